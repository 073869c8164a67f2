"""Which photographs the dimensions' constants are fitted on, and which the proof is measured on: never the same.

The half that a photograph is in follows from its bytes alone, so another copy of it, under another name or in another
folder, is in the same half. The demo's photographs are all in the proof.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from PIL import Image

from seemory.demo_photographs import PHOTOGRAPHS
from seemory.media.opening import PICTURE_SUFFIXES

Half = Literal["fit", "proof"]


def half_of(path: Path) -> Half:
    """The half a photograph file is in, by the first bit of its SHA-256."""
    return "fit" if hashlib.sha256(path.read_bytes()).digest()[0] < 128 else "proof"


def demo_photographs() -> list[Path]:
    """Those of scikit-image and scikit-learn that are installed."""
    return [path for photograph in PHOTOGRAPHS if (path := photograph.find())]


def photographs(folders: list[Path], half: Half, *, longer_side: int) -> Iterator[Path]:
    """The pictures of these folders that are in that half and whose longer side is that long, each content once."""
    seen = {path.read_bytes() for path in demo_photographs()}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() not in PICTURE_SUFFIXES or half_of(path) != half:
                continue
            with Image.open(path) as image:
                large = max(image.size) >= longer_side
            if large and (content := path.read_bytes()) not in seen:
                seen.add(content)
                yield path
