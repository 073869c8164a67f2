"""Rank correlation: plain functions of arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seemory.errors import UsageError

Numbers = NDArray[np.float64]


def places(values: Numbers) -> Numbers:
    """The place of each value in rising order, `(n,)`, from 1; equal ones share the mean of theirs."""
    _, which, often = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(often)
    return np.asarray((last - (often - 1) / 2.0)[which], np.float64)


def spearman(first: Numbers, second: Numbers) -> float | None:
    """Spearman's rank correlation of two lists, -1 to 1; None where one of them says nothing (all are equal).

    Raises:
        UsageError: they are of different lengths, or a number is not finite.
    """
    if len(first) != len(second):
        raise UsageError(f"lists of {len(first)} and {len(second)} numbers cannot be correlated")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise UsageError("a number that is not finite has no rank")
    if len(first) < 2:
        return None
    one, other = places(first), places(second)
    one, other = one - one.mean(), other - other.mean()
    length = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / length if length > 0 else None
