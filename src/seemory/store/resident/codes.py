"""Vectors as one byte a dimension, compared with a query all at once: approximate cosines, and how far off they may be.

A row of norm 1 is moved and turned (`turning`), and rounded to 255 steps of its own size; the query likewise. Its head,
the few dimensions that say most, and its tail lie apart: all heads are compared, and the tails of those rows alone that
may be among the wanted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numkong
import numpy as np
from numpy.typing import NDArray

from seemory.store.resident.threads import Threads
from seemory.store.resident.turning import Axes
from seemory.types import Vector, Vectors

_STEPS = 127.0
_SIGMAS = 5.0  # of the rounding's error: one row in some three million is farther off on that side
# Of what a tail adds. It is not spread as evenly as errors of rounding: in 900 queries of real vectors, none of the
# wanted rows was farther off than five.
_TAIL_SIGMAS = 6.0
_SPARE = 1.25  # room for rows to come, as a multiple of those there are
_BLOCK = 128
_LOOKED_AT = 4  # times as many of the best heads are compared whole, to learn what the wanted ones reach
_SCATTERED = 8  # one row in so many: more are compared faster with all rows between them

Where = slice | NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Rounded:
    """A query's share of some dimensions."""

    values: NDArray[np.int8]
    """`(1, d)`."""
    step: float
    norm: float

    @staticmethod
    def of(part: NDArray[np.float32]) -> Rounded:
        """`(d,)`, rounded."""
        step = max(float(np.abs(part).max(initial=0.0)) / _STEPS, 1e-12)
        return Rounded(np.rint(part / step).astype(np.int8)[None], step, float(np.linalg.norm(part)))


@dataclass(frozen=True, slots=True)
class Part:
    """All rows' share of some dimensions."""

    rows: NDArray[np.int8]
    """`(room, d)`."""
    steps: NDArray[np.float32]
    """`(room,)`: what one step is worth, by row."""
    coarsest: float = 0.0
    """The largest step."""
    farthest: float = 0.0
    """The largest norm of a row's share."""

    @staticmethod
    def empty(room: int, dim: int) -> Part:
        """No rows yet."""
        return Part(np.empty((room, dim), np.int8), np.empty(room, np.float32))

    @property
    def bytes(self) -> int:
        """The memory that it takes."""
        return int(self.rows.nbytes + self.steps.nbytes)

    def put(self, start: int, moved: NDArray[np.float32]) -> Part:
        """The same with `(n, d)` rows from the place `start`."""
        end = start + len(moved)
        steps = np.maximum(np.abs(moved).max(axis=1, initial=0.0) / _STEPS, 1e-12).astype(np.float32)
        self.rows[start:end] = np.rint(moved / steps[:, None])
        self.steps[start:end] = steps
        coarsest = max(self.coarsest, float(steps.max(initial=0.0)))
        farthest = max(self.farthest, float(np.linalg.norm(moved, axis=1).max(initial=0.0)))
        return Part(self.rows, self.steps, coarsest, farthest)

    def products(self, query: Rounded, where: Where, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """`(n,)`: the scalar products with those rows, in steps of the query; written to `out` where it is given."""
        rows, steps = self.rows[where], self.steps[where]
        found = np.empty(len(rows), np.float32) if out is None else out
        if len(found):
            numkong.cdist(query.values, rows, "dot", out=found[None], out_dtype="float32")
        found *= steps
        return found

    def variance(self, query: Rounded) -> float:
        """Of the products' errors: those of rounding are spread evenly over one step, in each dimension."""
        return float((self.coarsest * query.norm) ** 2 + (query.step * self.farthest) ** 2) / 12


@dataclass(frozen=True, slots=True)
class Scanned:
    """A query compared with every row's head, and with the tails of those that are asked for."""

    codes: Codes
    leading: NDArray[np.float32]
    """`(n,)`: the products with the heads, in steps of the query's."""
    head: Rounded
    tail: Rounded | None
    """The query's tail, where there is one."""
    middle: float
    """The cosine of a row at the centre."""
    behind: float
    """No tail adds more than this, as good as certainly."""
    error: float
    """No cosine is farther off than this because of rounding, as good as certainly."""

    def cosines(self, places: NDArray[np.intp]) -> NDArray[np.float32]:
        """The approximate cosines of these rows."""
        cosines = self.leading[places] * np.float32(self.head.step) + np.float32(self.middle)
        if self.tail is not None:
            part, count = self.codes.parts[1], len(self.leading)
            scattered = len(places) <= count // _SCATTERED
            found = part.products(self.tail, places) if scattered else part.products(self.tail, slice(0, count))[places]
            cosines += found * np.float32(self.tail.step)
        return cosines

    def highest(self, wanted: int) -> float:
        """A value that at least `wanted` rows' cosines reach, and few more do; -inf if there are no more rows."""
        if wanted >= len(self.leading):
            return -np.inf
        best = self.cosines(_best(self.leading, min(len(self.leading), _LOOKED_AT * wanted)))
        return float(np.partition(best, len(best) - wanted)[len(best) - wanted])

    def reaching(self, cosine: float) -> NDArray[np.intp]:
        """The places of the rows whose approximate cosine is at least that."""
        places = np.flatnonzero(self.leading >= np.float32((cosine - self.behind - self.middle) / self.head.step))
        return places if self.tail is None else places[self.cosines(places) >= cosine]

    def ids(self, places: NDArray[np.intp]) -> NDArray[np.uint8]:
        """`(n, 16)`: the item ids at these places."""
        return self.codes.ids[places]


def _best(values: NDArray[np.float32], wanted: int) -> NDArray[np.intp]:
    """Places of at least the `wanted` highest values, and of few more."""
    blocks = values[: len(values) // _BLOCK * _BLOCK].reshape(-1, _BLOCK)
    if len(blocks) <= wanted:
        return np.argpartition(values, len(values) - wanted)[len(values) - wanted :]
    highest = blocks.max(axis=1)
    # So many blocks have a value that reaches this, and hardly any other value does.
    least = np.partition(highest, len(blocks) - wanted)[len(blocks) - wanted]
    near = np.flatnonzero(highest >= least)
    block, place = np.nonzero(blocks[near] >= least)
    rest = np.flatnonzero(values[blocks.size :] >= least)
    return np.concatenate([near[block] * _BLOCK + place, rest + blocks.size])


@dataclass(frozen=True, slots=True)
class Codes:
    """The first `count` rows of arrays that have room for more; what is there never changes."""

    axes: Axes
    parts: tuple[Part, ...]
    """Heads, and tails where there are any."""
    ids: NDArray[np.uint8]
    """`(room, 16)`: item ids."""
    count: int = 0
    moments: NDArray[np.float32] | None = None
    """`(t, t)`: the sum of all tails' products with themselves."""

    @staticmethod
    def empty(axes: Axes, room: int) -> Codes:
        """No rows yet, and room for so many."""
        tail = len(axes.centre) - axes.head
        parts = tuple(Part.empty(room, dim) for dim in (axes.head, tail) if dim)
        return Codes(
            axes, parts, np.empty((room, 16), np.uint8), moments=np.zeros((tail, tail), np.float32) if tail else None
        )

    @property
    def bytes(self) -> int:
        """The memory that it takes."""
        return int(self.ids.nbytes) + sum(part.bytes for part in self.parts)

    def with_rows(self, ids: NDArray[np.uint8], vectors: Vectors) -> Codes:
        """The same with more rows after the last: `(n, 16)` and `(n, d)`, of any norm but 0.

        They are written into the spare room, which no one else reads: only one may add to the newest of these.
        """
        end = self.count + len(vectors)
        room = self if end <= len(self.ids) else self._larger(round(end * _SPARE))
        moved = self.axes.moved(vectors)
        head, tail = moved[:, : self.axes.head], moved[:, self.axes.head :]
        parts = tuple(part.put(self.count, share) for part, share in zip(room.parts, (head, tail), strict=False))
        room.ids[self.count : end] = ids
        moments = None if self.moments is None else self.moments + tail.T @ tail
        return Codes(self.axes, parts, room.ids, end, moments)

    def _larger(self, room: int) -> Codes:
        larger = Codes.empty(self.axes, room)
        larger.ids[: self.count] = self.ids[: self.count]
        for new, old in zip(larger.parts, self.parts, strict=True):
            new.rows[: self.count], new.steps[: self.count] = old.rows[: self.count], old.steps[: self.count]
        parts = (Part(n.rows, n.steps, o.coarsest, o.farthest) for n, o in zip(larger.parts, self.parts, strict=True))
        return Codes(self.axes, tuple(parts), larger.ids, self.count, self.moments)

    def scan(self, query: Vector, threads: Threads) -> Scanned:
        """Every row's head compared with a query `(d,)` of any norm but 0."""
        unit = query / np.linalg.norm(query)
        turned = self.axes.turned(unit)
        behind = turned[self.axes.head :]
        head, tail = Rounded.of(turned[: self.axes.head]), Rounded.of(behind) if len(behind) else None
        leading = np.empty(self.count, np.float32)
        threads.over(lambda rows: self.parts[0].products(head, rows, leading[rows]), self.count)
        queries = [head] if tail is None else [head, tail]
        variance = sum(part.variance(share) for part, share in zip(self.parts, queries, strict=True))
        spread = 0.0 if self.moments is None else float(behind @ self.moments @ behind) / max(self.count, 1)
        middle, far = float(unit @ self.axes.centre), _TAIL_SIGMAS * max(spread, 0.0) ** 0.5
        return Scanned(self, leading, head, tail, middle, far, _SIGMAS * variance**0.5)
