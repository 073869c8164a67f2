"""Who is nearest to whom, exactly, and who is named too often or never: plain functions of arrays, by cosine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seemory.evaluation.geometry import unit_rows
from seemory.types import Vectors

Places = NDArray[np.int64]

K = 10

_BLOCK = 4_000_000  # cosines in memory at once


def nearest(queries: Vectors, gallery: Vectors, k: int = K, *, without_self: bool = False) -> Places:
    """The places of the `k` nearest rows of the gallery, `(n, k)`, nearest first; ties by place.

    Args:
        queries: `(n, d)`.
        gallery: `(m, d)`, m > k with `without_self`, else m >= k.
        k: how many.
        without_self: the queries are the gallery, and none is its own neighbour.
    """
    asked, held = (np.asarray(unit_rows(rows), np.float32) for rows in (queries, gallery))
    found = np.empty((len(asked), k), np.int64)
    step = max(1, _BLOCK // max(1, len(held)))
    for start in range(0, len(asked), step):
        cosines = asked[start : start + step] @ held.T
        if without_self:
            rows = np.arange(len(cosines))
            cosines[rows, start + rows] = -np.inf
        if k < cosines.shape[1]:
            some = np.sort(np.argpartition(-cosines, k - 1, axis=1)[:, :k], axis=1)
        else:
            some = np.broadcast_to(np.arange(k), (len(cosines), k))
        order = np.argsort(-np.take_along_axis(cosines, some, axis=1), axis=1, kind="stable")
        found[start : start + step] = np.take_along_axis(some, order, axis=1)
    return found


@dataclass(frozen=True, slots=True)
class Hubness:
    """How unevenly rows are named among the k nearest of others (Radovanović, Nanopoulos & Ivanović 2010)."""

    k: int
    skewness: float
    """Of how often each row is named: 0 where all are named alike, large where few are named by everybody."""
    most: int
    """How often the row that is named most often is."""
    top_share: float
    """The share of all answers that the hundredth part of the rows named most often has; 0.01 were even."""
    never: float
    """The share of rows that are in nobody's answer: isolated points, which no such query finds."""

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}


def times_named(named: Places, gallery: int) -> NDArray[np.int64]:
    """How often each of so many rows is among the `named` ones, `(gallery,)`."""
    return np.bincount(named.ravel(), minlength=gallery)


def hubness(counts: NDArray[np.int64], k: int) -> Hubness:
    """The figures of `times_named`, of answers of `k` rows each."""
    spread = float(counts.std())
    moved = counts - counts.mean()
    top = max(1, round(len(counts) / 100))
    return Hubness(
        k=k,
        skewness=float((moved**3).mean() / spread**3) if spread > 0 else 0.0,
        most=int(counts.max()),
        top_share=float(np.sort(counts)[-top:].sum() / max(1, counts.sum())),
        never=float((counts == 0).mean()),
    )
