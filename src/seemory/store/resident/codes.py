"""Vectors as one byte a dimension, compared with a query all at once: approximate cosines, and how far off they may be.

A row of norm 1 is moved by a fixed vector near the mean of all, which changes every cosine of a query by the same
amount, and leaves less to round. It is turned at random, so that no dimension stands out and errors of rounding do not
depend on the data. What is left is rounded to 255 steps of the row's own size; the query likewise.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numkong
import numpy as np
from numpy.typing import NDArray

from seemory.types import Vector, Vectors

_STEPS = 127.0
_SIGMAS = 5.0  # of the rounding's error: one row in some three million is farther off on that side
_SPARE = 1.25  # room for rows to come, as a multiple of those there are
_LEAST_SHARE = 8_000  # rows for which another thread pays
_BLOCK = 128
_WIDEST_TURNED = 2_048  # where turning a query still takes much less time than the scan


@dataclass(frozen=True, slots=True)
class Scanned:
    """The approximate cosine of a query to every row."""

    codes: Codes
    cosines: NDArray[np.float32]
    """`(n,)`."""
    error: float
    """No cosine is farther off than this, as good as certainly."""

    def highest(self, wanted: int) -> float:
        """A value that at least `wanted` rows reach, and few more do; -inf if there are no more rows than that."""
        if wanted >= len(self.cosines):
            return -np.inf
        blocks = self.cosines[: len(self.cosines) // _BLOCK * _BLOCK].reshape(-1, _BLOCK).max(axis=1)
        reached = self.cosines
        if len(blocks) > wanted:  # so many blocks have a row that reaches this, and hardly any other row does
            reached = reached[reached >= np.partition(blocks, len(blocks) - wanted)[len(blocks) - wanted]]
        return float(np.partition(reached, len(reached) - wanted)[len(reached) - wanted])

    def reaching(self, cosine: float) -> NDArray[np.intp]:
        """The places of the rows whose approximate cosine is at least that."""
        return np.flatnonzero(self.cosines >= cosine)

    def ids(self, places: NDArray[np.intp]) -> NDArray[np.uint8]:
        """`(n, 16)`: the item ids at these places."""
        return self.codes.ids[places]


@dataclass(frozen=True, slots=True)
class Codes:
    """The first `count` rows of arrays that have room for more; what is there never changes."""

    rows: NDArray[np.int8]
    """`(room, d)`."""
    steps: NDArray[np.float32]
    """`(room,)`: what one step is worth, by row."""
    ids: NDArray[np.uint8]
    """`(room, 16)`: item ids."""
    count: int
    centre: Vector
    """`(d,)`: what all rows were moved by."""
    turn: NDArray[np.float32] | None
    """`(d, d)` orthogonal: what they were turned by then."""
    coarsest: float = 0.0
    """The largest step."""
    farthest: float = 0.0
    """The largest norm of a moved row."""

    @staticmethod
    def empty(centre: Vector, room: int) -> Codes:
        """No rows yet, and room for so many."""
        dim = centre.shape[0]
        rows, steps, ids = np.empty((room, dim), np.int8), np.empty(room, np.float32), np.empty((room, 16), np.uint8)
        return Codes(rows, steps, ids, 0, centre, _random_turn(dim) if dim <= _WIDEST_TURNED else None)

    @property
    def bytes(self) -> int:
        """The memory that it takes."""
        return int(self.rows.nbytes + self.steps.nbytes + self.ids.nbytes)

    def with_rows(self, ids: NDArray[np.uint8], vectors: Vectors) -> Codes:
        """The same with more rows after the last: `(n, 16)` and `(n, d)`, of any norm but 0.

        They are written into the spare room, which no one else reads: only one may add to the newest of these.
        """
        end = self.count + len(vectors)
        room = self if end <= len(self.rows) else self._moved(round(end * _SPARE))
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        moved = self._turned(vectors / norms - self.centre)
        steps = np.maximum(np.abs(moved).max(axis=1) / _STEPS, 1e-12).astype(np.float32)
        room.rows[self.count : end] = np.rint(moved / steps[:, None])
        room.steps[self.count : end] = steps
        room.ids[self.count : end] = ids
        coarsest = max(self.coarsest, float(steps.max(initial=0.0)))
        farthest = max(self.farthest, float(np.linalg.norm(moved, axis=1).max(initial=0.0)))
        return Codes(room.rows, room.steps, room.ids, end, self.centre, self.turn, coarsest, farthest)

    def _moved(self, room: int) -> Codes:
        larger = Codes.empty(self.centre, room)
        for new, old in ((larger.rows, self.rows), (larger.steps, self.steps), (larger.ids, self.ids)):
            new[: self.count] = old[: self.count]
        return larger

    def _turned(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        return vectors if self.turn is None else vectors @ self.turn

    def scan(self, query: Vector, threads: Threads) -> Scanned:
        """Every row compared with a query `(d,)` of any norm but 0."""
        unit = query / np.linalg.norm(query)
        turned = self._turned(unit)
        step = float(np.abs(turned).max()) / _STEPS
        rounded = np.rint(turned / step).astype(np.int8)[None]

        def part(rows: slice) -> NDArray[np.float32]:
            products: Any = numkong.cdist(rounded, self.rows[rows], "dot")
            found: NDArray[np.float32] = np.asarray(products, np.float32)[0]
            found *= self.steps[rows]
            return found

        cosines = threads.over(part, self.count)
        cosines *= np.float32(step)
        cosines += np.float32(unit @ self.centre)
        # Rounding errors are spread evenly over one step: their variance is a twelfth of its square, by dimension.
        sigma = ((self.coarsest**2 + (step * self.farthest) ** 2) / 12) ** 0.5
        return Scanned(self, cosines, _SIGMAS * sigma)


@cache
def _random_turn(dim: int) -> NDArray[np.float32]:
    turn = np.linalg.qr(np.random.default_rng(dim).standard_normal((dim, dim)))[0]
    return np.asarray(turn, np.float32)


class Threads:
    """Does a scan in as many parts as pay, side by side: the comparing itself holds no lock of Python's."""

    def __init__(self, most: int | None = None) -> None:
        """`most` threads, by default a core each and at most four: beyond that memory is what a scan waits for."""
        self._most = most or min(4, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(max(1, self._most - 1), thread_name_prefix="seemory-scan")

    def over(self, part: Callable[[slice], NDArray[np.float32]], rows: int) -> NDArray[np.float32]:
        """What `part` gives for all rows."""
        shares = max(1, min(self._most, rows // _LEAST_SHARE))
        borders = [rows * n // shares for n in range(shares + 1)]
        first, *others = [slice(a, b) for a, b in itertools.pairwise(borders)]
        waiting = [self._pool.submit(part, share) for share in others]
        mine = part(first)
        return mine if not waiting else np.concatenate([mine, *(future.result() for future in waiting)])
