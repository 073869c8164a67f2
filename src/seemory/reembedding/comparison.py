"""The same questions to two generations: how many of the ten nearest both name, and how long each takes to answer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

import numpy as np

from seemory.models.encoder import Encoder
from seemory.store.connect import Database
from seemory.store.figures import Figures, is_indexed
from seemory.store.query import Query
from seemory.types import Generation, Vector

T = TypeVar("T")

ASKED = 32  # items whose neighbours are compared
NEIGHBOURS = 10


@dataclass(slots=True)
class Comparison:
    """What the questions gave; each list has one value a question."""

    overlap: list[float] = field(default_factory=list)
    """Share of the ten nearest to an item, asked with the item's own two vectors, that both generations name."""
    overlap_words: list[float] = field(default_factory=list)
    """The same for words."""
    recall: list[float] = field(default_factory=list)
    """Of the newer one's approximate index against the exact scan; empty where there is no index (all is exact)."""
    milliseconds: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    """Of each search in the first and in the second generation, the same ones; without embedding the words."""


def compare(
    database: Database,
    owners: Sequence[str],
    first: Generation,
    second: Generation,
    *,
    words: Sequence[str] = (),
    encoders: tuple[Encoder, Encoder] | None = None,
    asked: int = ASKED,
) -> Comparison:
    """What both generations answer to items of these owners, `asked` in all, and to words if both encoders are given.

    `first` and `second` may be the same one: then it is only timed.
    """
    found = Comparison()
    indexed = is_indexed(database, second)
    pairs: list[tuple[Vector, Vector]] = []
    if words and encoders and all(encoder.has_texts for encoder in encoders):
        old, new = (encoder.embed_texts(list(words)) for encoder in encoders)
        pairs = list(zip(old, new, strict=True))
    for owner in spread(owners, asked):
        query = Query(database, owner)
        samples = Figures(database, owner).sample(second, max(1, asked // len(owners)))
        known = query.vectors(first, [sample.item_id for sample in samples])
        for n, sample in enumerate(sample for sample in samples if sample.item_id in known):
            if n == 0:  # what Postgres reads from disk for the first search is not the search's price
                _ask(query, first, known[sample.item_id], sample.item_id, [])
                _ask(query, second, sample.vector, sample.item_id, [])
            was = _ask(query, first, known[sample.item_id], sample.item_id, found.milliseconds[0])
            now = _ask(query, second, sample.vector, sample.item_id, found.milliseconds[1])
            found.overlap += _common(was, now)
            if indexed:
                exact = _ask(query, second, sample.vector, sample.item_id, [], exact=True)
                found.recall += _common(exact, now)
        for before, after in pairs:
            was = _ask(query, first, before, None, found.milliseconds[0])
            found.overlap_words += _common(was, _ask(query, second, after, None, found.milliseconds[1]))
    return found


def spread(owners: Sequence[T], most: int) -> Sequence[T]:
    """Of more owners than there are samples, some, spread over all."""
    step = -(-len(owners) // most) if owners else 1
    return owners[::step]


def mean(values: Sequence[float]) -> float | None:
    """Their mean; None of none."""
    return float(np.mean(values)) if values else None


def percentiles(milliseconds: Sequence[float]) -> dict[str, Any] | None:
    """How many there are, their median and their 95th percentile; None of none."""
    if not milliseconds:
        return None
    middle, high = np.percentile(milliseconds, [50, 95])
    return {"searches": len(milliseconds), "p50": round(float(middle), 2), "p95": round(float(high), 2)}


def _ask(
    query: Query, generation: Generation, vector: Vector, item_id: UUID | None, taken: list[float], exact: bool = False
) -> list[UUID]:
    start = time.perf_counter()
    exclude = [] if item_id is None else [item_id]
    near = query.nearest(generation, vector, limit=NEIGHBOURS, exclude=exclude, exact=exact)
    taken.append((time.perf_counter() - start) * 1000)
    return [neighbour.item.item_id for neighbour in near]


def _common(first: Sequence[object], second: Sequence[object]) -> list[float]:
    return [len(set(first) & set(second)) / len(first)] if first else []
