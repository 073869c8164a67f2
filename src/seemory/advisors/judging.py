"""From figures to a score: each figure is placed among those of real photographs, and the places are added.

A place is 0 at the photographs' median, 1 at their upper tenth and -1 at their lower; far outside it grows ever more
slowly, so that no figure alone decides. The sum is placed among the photographs' sums in the same way, which is the
score. So 5.5 is what half of all photographs reach, 8.5 one in twenty, and 10 none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

SCORES: Final = (2.5, 4.5, 5.5, 6.5, 8.5)
"""The scores of a sum at the 5th, 25th, 50th, 75th and 95th of a hundred photographs."""

Anchors = tuple[float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Term:
    """One figure's part in a dimension."""

    figure: str
    weight: float
    """Below 0 where a smaller figure is better."""
    says: str
    """What the figure is, as the beginning of a sentence; `{}` takes the value."""
    advice: str
    """What would raise the score."""
    factor: float = 1.0
    """What the value is multiplied by before it is shown."""
    grey: tuple[str, str] | None = None
    """`says` and `advice` of a picture without colour, where those above speak of it; empty where there is nothing."""

    def told(self, value: float, *, coloured: bool = True) -> str:
        """The figure in words; none where it says nothing of a picture without colour."""
        return self._words(coloured)[0].format(value * self.factor)

    def advised(self, *, coloured: bool = True) -> str:
        """What would raise the score, in words."""
        return self._words(coloured)[1]

    def _words(self, coloured: bool) -> tuple[str, str]:
        return (self.says, self.advice) if coloured or self.grey is None else self.grey


def place(value: float, tenths: tuple[float, float, float]) -> float:
    """Where a figure lies among those of photographs, given their lower tenth, median and upper tenth."""
    low, middle, high = tenths
    unit = max(middle - low, (high - low) / 8) if value < middle else max(high - middle, (high - low) / 8)
    away = (value - middle) / unit
    return float(away / (1 + abs(away) / 4))


def total(
    terms: Sequence[Term], values: Mapping[str, float], tenths: Mapping[str, tuple[float, float, float]]
) -> float:
    """The weighted mean place of those figures that there are."""
    known = [term for term in terms if term.figure in values]
    parts = [term.weight * place(values[term.figure], tenths[term.figure]) for term in known]
    return sum(parts) / sum(abs(term.weight) for term in known)


def score(sum_: float, anchors: Anchors) -> float:
    """The score, 0 to 10, of a sum, given the sums of five photographs in a hundred. Rises everywhere."""
    low, high = anchors[0], anchors[-1]
    if sum_ < low:
        slope = (SCORES[1] - SCORES[0]) / (anchors[1] - low)
        return float(SCORES[0] * np.exp((sum_ - low) * slope / SCORES[0]))
    if sum_ > high:
        slope = (SCORES[-1] - SCORES[-2]) / (high - anchors[-2])
        room = 10 - SCORES[-1]
        return float(10 - room * np.exp((high - sum_) * slope / room))
    return float(np.interp(sum_, anchors, SCORES))


def sentence(
    terms: Sequence[Term],
    values: Mapping[str, float],
    tenths: Mapping[str, tuple[float, float, float]],
    *,
    coloured: bool = True,
) -> str:
    """The figure that holds the score back most, and what would raise it; the best figure where none does."""
    known = [term for term in terms if term.figure in values and term.told(0.0, coloured=coloured)]
    parts = {term: term.weight * place(values[term.figure], tenths[term.figure]) for term in known}
    weakest = min(known, key=lambda term: parts[term])
    if parts[weakest] < 0:
        told = weakest.told(values[weakest.figure], coloured=coloured)
        return f"{told}: {weakest.advised(coloured=coloured)} would raise this."
    best = max(known, key=lambda term: parts[term])
    told = best.told(values[best.figure], coloured=coloured)
    advice = weakest.advised(coloured=coloured)
    return f"{told}, and nothing here falls short; {advice} would still raise this a little."
