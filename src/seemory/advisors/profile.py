"""A photograph's eight scores, each with the figures it rests on, as they are shown, stored and compared."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seemory.errors import UsageError

DIMENSIONS: Final[tuple[str, ...]] = (
    "composition",
    "lighting",
    "focus_sharpness",
    "color_harmony",
    "subject_isolation",
    "depth_perspective",
    "visual_balance",
    "emotional_impact",
)
"""The dimensions in the order in which they are shown, and in which `Profile.scores` has them."""

HIGHEST: Final = 10.0
"""Scores go from 0 to this."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One dimension of one photograph."""

    score: float
    """0 to 10."""
    comment: str
    """One sentence: the figure that the score rests on most, and what would raise it."""
    evidence: Mapping[str, float]
    """All the figures that made the score, by name."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.score <= HIGHEST:  # also false for a NaN
            raise UsageError(f"a dimension's score is from 0 to {HIGHEST:g}, not {self.score}")
        for name, value in self.evidence.items():
            if not math.isfinite(value):
                raise UsageError(f"a dimension's evidence is made of finite figures, and {name} is {value}")
        object.__setattr__(self, "evidence", dict(self.evidence))


@dataclass(frozen=True, slots=True)
class Profile:
    """One photograph in all eight dimensions."""

    measured: Mapping[str, Measured]
    """By the names in `DIMENSIONS`, all of them and in that order."""
    formulas: str
    """What the scores were made by: profiles of different formulas cannot be compared, and old ones are made again."""

    def __post_init__(self) -> None:
        if set(self.measured) != set(DIMENSIONS):
            differing = ", ".join(sorted(set(self.measured) ^ set(DIMENSIONS)))
            raise UsageError(f"a profile has exactly the eight dimensions; missing or not known: {differing}")
        in_order = {name: self.measured[name] for name in DIMENSIONS}
        object.__setattr__(self, "measured", in_order)

    def scores(self) -> NDArray[np.float64]:
        """`(8,)` scores of 0 to 10, in the order of `DIMENSIONS`."""
        return np.array([one.score for one in self.measured.values()], dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        """The profile as a document of plain values, from which `from_json` makes an equal one."""
        return {
            "formulas": self.formulas,
            "dimensions": {
                name: {"score": one.score, "comment": one.comment, "evidence": dict(one.evidence)}
                for name, one in self.measured.items()
            },
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Profile:
        """The profile that `to_json` made a document of.

        Raises:
            UsageError: the document is no such profile.
        """
        try:
            measured = {
                str(name): Measured(float(one["score"]), str(one["comment"]), _figures(one["evidence"]))
                for name, one in document["dimensions"].items()
            }
            return cls(measured, str(document["formulas"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"not a profile of eight dimensions ({type(error).__name__}: {error})") from error


def _figures(values: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): float(value) for name, value in values.items()}
