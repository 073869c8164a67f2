"""The two teachers joined, as one encoder: what the towers are taught, and what they are measured beside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from . import teacher, words
from .aims import Aim


class Teachers:
    """Pictures squashed to the teacher's own side, and sentences, as vectors of norm 1 in the aim's space."""

    def __init__(self, data: Path, aim: Aim) -> None:
        self._look = teacher.Teacher(data)
        self._read = words.MiniLM()
        self._aim = aim

    def pictures(self, pictures: list[Image.Image]) -> np.ndarray:
        """(n, dim)."""
        found = [
            self._look(picture.resize((teacher.SIDE, teacher.SIDE), Image.Resampling.BICUBIC)) for picture in pictures
        ]
        return self._aim.picture(np.array([seen["logits"] for seen in found]), np.array([f["pooled"] for f in found]))

    def texts(self, texts: list[str]) -> np.ndarray:
        """(n, dim)."""
        return self._aim.sentence(self._read(texts))
