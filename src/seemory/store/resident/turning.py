"""How a copy's vectors are moved and turned before they are rounded: so that few dimensions say most of each.

Vectors of one collection are alike, and what tells them apart lies in some directions more than in others. Moved by
their mean and turned to their principal axes, the first half of CLIP's dimensions holds 96 % of the variance: a scan
of that half finds what the whole would, but for what the rest may add, and that is known by its second moments.
Within each of the two parts all is turned at random, so that no dimension stands out, and errors of rounding do not
depend on the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from seemory.types import Vector, Vectors

_SHARE = 0.95  # of the variance that the head is to hold
_GRAIN = 64  # dimensions: one line of the processor's cache
_MOST_OF_ALL = 0.75  # of the dimensions; a longer head saves nothing
_WIDEST_TURNED = 2_048  # where turning a query still takes much less time than the scan


@dataclass(frozen=True, slots=True)
class Axes:
    """A movement and a turn, the same for all of a copy's rows and for queries."""

    centre: Vector
    """`(d,)`: what rows are moved by. It changes all cosines of a query by the same amount."""
    turn: NDArray[np.float32] | None
    """`(d, d)` orthogonal: what they are turned by then."""
    head: int
    """How many of the dimensions say most; all of them, where no few do."""

    @staticmethod
    def of(sample: Vectors) -> Axes:
        """The axes of rows `(n, d)`, of any norm but 0, drawn at random from all."""
        rows = _unit(sample)
        centre = rows.mean(axis=0)
        dim = sample.shape[1]
        if dim > _WIDEST_TURNED:
            return Axes(centre, None, dim)
        moved = rows - centre
        variances, directions = np.linalg.eigh(moved.T @ moved)
        shares = np.cumsum(variances[::-1]) / max(float(variances.sum()), 1e-12)
        head = _GRAIN * (int(np.searchsorted(shares, _SHARE)) // _GRAIN + 1)
        if head > _MOST_OF_ALL * dim:
            return Axes(centre, _random_turn(dim), dim)
        leading, rest = directions[:, ::-1][:, :head], directions[:, ::-1][:, head:]
        turn = np.hstack([leading @ _random_turn(head), rest @ _random_turn(dim - head)])
        return Axes(centre, np.asarray(turn, np.float32), head)

    def moved(self, vectors: Vectors) -> Vectors:
        """Rows `(n, d)`, of any norm but 0, brought to norm 1, moved and turned."""
        return self.turned(_unit(vectors) - self.centre)

    def turned(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows, or one, turned alone."""
        return vectors if self.turn is None else vectors @ self.turn


def _unit(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


@cache
def _random_turn(dim: int) -> NDArray[np.float32]:
    turn = np.linalg.qr(np.random.default_rng(dim).standard_normal((dim, dim)))[0]
    return np.asarray(turn, np.float32)
