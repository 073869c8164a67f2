"""How much an approximate index finds of what is really nearest: plain functions of arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seemory.evaluation.geometry import unit_rows
from seemory.evaluation.neighbours import nearest
from seemory.types import Vectors

Places = NDArray[np.int64]

_TIE = 1e-6  # cosines closer than this are one: single precision tells them apart by chance


@dataclass(frozen=True, slots=True)
class Truth:
    """What is really nearest to some queries in a gallery."""

    places: Places
    """`(n, k)`."""
    least: NDArray[np.float64]
    """`(n,)`: the cosine of the k-th."""
    queries: Vectors
    gallery: Vectors


def truth_of(queries: Vectors, gallery: Vectors, k: int) -> Truth:
    """The exact answers to `(n, d)` queries in an `(m, d)` gallery, of `k` each."""
    asked, held = (unit_rows(rows).astype(np.float32) for rows in (queries, gallery))
    places = nearest(asked, held, k)
    return Truth(places, _cosines(asked, held, places[:, -1:])[:, 0], asked, held)


def hits(found: Places, truth: Truth) -> NDArray[np.float64]:
    """For each query the share of its k answers that are as near as the k-th nearest, `(n,)`: its recall@k.

    Of rows that are equally near at the border any will do. A place of -1 is no answer.
    """
    cosines = _cosines(truth.queries, truth.gallery, np.maximum(found, 0))
    return np.asarray(((cosines >= truth.least[:, None] - _TIE) & (found >= 0)).mean(axis=1))


def found_of(found: Places, truth: Truth, rows: NDArray[np.bool_]) -> float | None:
    """Of those exact answers that are among certain `rows` of the gallery, `(m,)`, the share found; None of none."""
    wanted = rows[truth.places]
    if not wanted.any():
        return None
    there = (truth.places[:, :, None] == found[:, None, :]).any(axis=2)
    return float(there[wanted].mean())


def _cosines(asked: Vectors, held: Vectors, places: Places) -> NDArray[np.float64]:
    return np.asarray(np.einsum("nd,nkd->nk", asked.astype(np.float64), held[places].astype(np.float64)))
