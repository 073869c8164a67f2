"""What two pictures both show, by zero-shot classification against a list of what people photograph."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Final

import numpy as np

from seemory.models.encoder import Encoder
from seemory.types import Vector, Vectors
from seemory.zero_shot import ZeroShotClassifier

SUBJECTS: Final = (
    *("mountains", "a valley", "a river", "a lake", "a waterfall", "the sea", "a beach", "a desert", "sand dunes"),
    *("a forest", "a tree", "a field", "a garden", "a flower", "leaves", "grass", "snow", "ice", "rocks", "a canyon"),
    *("clouds", "a dramatic sky", "a sunset", "fog", "rain", "the moon", "stars at night", "a reflection in water"),
    *("a city street", "a skyline", "a building", "a house", "a church", "a temple", "a bridge", "ruins", "a window"),
    *("a staircase", "a road", "a railway", "a wall", "an interior", "a portrait of a person", "a face", "hands"),
    *("a child", "a couple", "a group of people", "a crowd", "a dancer", "an athlete", "a worker", "a dog", "a cat"),
    *("a horse", "a bird", "an insect", "a wild animal", "a boat", "a car", "a motorcycle", "a bicycle", "a train"),
    *("an aeroplane", "a rocket", "food", "a cup of coffee", "a still life of objects", "a machine", "a pattern"),
)
"""Nouns as they stand after "a photo of"."""

_TEMPLATES: Final = ("a photo of {}.",)
_MOST: Final = 3
_LEAST: Final = 0.05


@dataclass(frozen=True, slots=True)
class SharedLabel:
    """A subject that both pictures show."""

    label: str
    photograph: float
    """The photograph's share of probability for it, among all subjects."""
    reference: float
    """The work's."""


class Subjects:
    """The subjects' vectors, made once for each encoder. May be asked by several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._classifiers: dict[str, ZeroShotClassifier] = {}

    def shared(self, encoder: Encoder, photograph: Vector, references: Vectors) -> list[tuple[SharedLabel, ...]]:
        """For each of `(n, d)` works the subjects among the three likeliest of both, the photograph's likeliest first.

        None for an encoder without a text tower.
        """
        if not encoder.has_texts:
            return [()] * len(references)
        probabilities = self._of(encoder).probabilities(np.vstack([photograph[None], references]))
        # an encoder with a sigmoid judges each subject by itself: its probabilities do not add up to 1
        shares = probabilities / np.maximum(probabilities.sum(axis=1, keepdims=True), 1e-12)
        likeliest = [[int(n) for n in np.argsort(-row, kind="stable")[:_MOST] if row[n] >= _LEAST] for row in shares]
        return [
            tuple(
                SharedLabel(SUBJECTS[n], round(float(shares[0, n]), 4), round(float(shares[row, n]), 4))
                for n in likeliest[0]
                if n in likeliest[row]
            )
            for row in range(1, len(shares))
        ]

    def _of(self, encoder: Encoder) -> ZeroShotClassifier:
        with self._lock:
            made = self._classifiers.get(encoder.fingerprint)
            if made is None:
                made = self._classifiers[encoder.fingerprint] = ZeroShotClassifier(encoder, SUBJECTS, _TEMPLATES)
            return made
