"""How evenly vectors use their space: plain functions of `(n, d)` vectors of any length but zero."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seemory.evaluation.geometry import unit_rows
from seemory.types import Vectors

Numbers = NDArray[np.float64]

_BLOCK = 4_000_000  # cosines in memory at once


def mean_cosine(vectors: Vectors) -> float | None:
    """The mean cosine of all pairs of different rows, without drawing any; None for fewer than two.

    All pairs together: |Σu|² is the sum of every cosine, of which n are of a row with itself. Ethayarajh 2019 ("How
    contextual are contextualized word representations?") calls it anisotropy; 0 is what even use gives.
    """
    unit = unit_rows(vectors)
    n = len(unit)
    if n < 2:
        return None
    return float((np.square(unit.sum(axis=0)).sum() - n) / (n * (n - 1)))


def spectrum(vectors: Vectors) -> Numbers:
    """The shares of the singular values of the rows of norm 1, `(min(n, d),)`, falling, with sum 1."""
    unit = unit_rows(vectors)
    small = unit.T @ unit if unit.shape[0] > unit.shape[1] else unit @ unit.T
    values = np.sqrt(np.clip(np.linalg.eigvalsh(small)[::-1], 0.0, None))
    return np.asarray(values / values.sum())


def effective_rank(vectors: Vectors) -> float:
    """How many dimensions the rows really use, 1 to min(n, d): e to the entropy of the spectrum.

    Roy & Vetterli 2007, "The effective rank: a measure of effective dimensionality". Nothing is subtracted first, so a
    direction that all rows share counts, and weighs.
    """
    shares = spectrum(vectors)
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def isoscore(vectors: Vectors) -> float | None:
    """How evenly the variance is spread over the dimensions, 0 (a line) to 1 (a ball); None for fewer than two.

    Rudman, Gillman, Rayne & Eickhoff 2022, "IsoScore: measuring the uniformity of embedding space utilization",
    algorithm 1. The mean plays no part in it. It is of the rows as they are given: for cosines, of norm 1. Fewer rows
    than some ten times the dimensions make it too small: their sample's variances are uneven by chance.
    """
    rows = np.asarray(vectors, np.float64)
    n, d = rows.shape
    if n < 2 or d < 2:
        return None
    moved = rows - rows.mean(axis=0)
    variances = np.clip(np.linalg.eigvalsh(moved.T @ moved / (n - 1)), 0.0, None)  # along the principal axes
    length = np.linalg.norm(variances)
    if length == 0:
        return None  # all rows are one: there is no variance to be spread
    defect = np.linalg.norm(np.sqrt(d) * variances / length - 1.0) / np.sqrt(2 * (d - np.sqrt(d)))
    used = (d - defect**2 * (d - np.sqrt(d))) ** 2 / d**2
    return float((d * used - 1) / (d - 1))


def uniformity(vectors: Vectors) -> float | None:
    """The logarithm of the mean of e^(-2 |x - y|²) over pairs of different rows; None for fewer than two.

    Wang & Isola 2020, "Understanding contrastive representation learning through alignment and uniformity on the
    hypersphere", t = 2. 0 is collapse; rows spread evenly over a sphere of many dimensions come near -4.
    """
    unit = np.asarray(unit_rows(vectors), np.float32)
    n = len(unit)
    if n < 2:
        return None
    total, step = 0.0, max(1, _BLOCK // n)
    for start in range(0, n, step):
        distances = 2.0 - 2.0 * (unit[start : start + step] @ unit.T)
        total += float(np.exp(-2.0 * distances).sum(dtype=np.float64))
    return float(np.log(max(total - n, np.finfo(np.float64).tiny) / (n * (n - 1))))


def alignment(first: Vectors, second: Vectors) -> float:
    """The mean squared distance of the rows of norm 1 that belong together: `(n, d)` twice, row by row; 0 is the best.

    Wang & Isola 2020, alpha = 2.
    """
    return float(np.square(unit_rows(first) - unit_rows(second)).sum(axis=1).mean())


def modality_gap(first: Vectors, second: Vectors) -> float:
    """The distance between the means of two kinds of vectors of one space, rows of norm 1; 0 to 2.

    Liang et al. 2022, "Mind the gap: understanding the modality gap in multi-modal contrastive representation
    learning".
    """
    return float(np.linalg.norm(unit_rows(first).mean(axis=0) - unit_rows(second).mean(axis=0)))
