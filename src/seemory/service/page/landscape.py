"""The library as a map: each item at a place in the plane, those that look alike near one another where that can be."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any, Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from seemory.memory import Memory
from seemory.service.page.showing import shown_item
from seemory.store.browsing import Browsing
from seemory.store.generations import Generations
from seemory.store.query import Query
from seemory.types import Generation, Vectors

MOST: Final = 20_000
"""Items on one map. Ids are random, so the first of them by id are a random sample."""

_KEPT: Final = 16  # maps
_EVEN: Final = 0.6  # how much of a place is its rank: a projection alone puts most of a library into one dense spot

Plane = NDArray[np.float64]


def project(vectors: Vectors) -> tuple[Plane, float]:
    """Each vector's place, `(n, 2)` in [-1, 1], and the share of the variance that the plane shows.

    The two principal components, each place between its value and its rank among all. The signs are chosen so that
    the largest value is positive: the same vectors give the same map.
    """
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)  # (n, d)
    if len(vectors) < 3:
        return np.linspace([-0.5, 0.0], [0.5, 0.0], len(vectors)), 1.0
    values, directions = np.linalg.eigh(centred.T @ centred)  # ascending
    places = centred @ directions[:, :-3:-1]  # (n, 2)
    places *= np.where(places[np.abs(places).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)
    far = np.quantile(np.abs(places), 0.99, axis=0)
    by_value = np.clip(places / np.where(far > 0, far, 1.0), -1, 1)
    by_rank = 2 * places.argsort(axis=0).argsort(axis=0) / (len(places) - 1) - 1
    total = float(values.clip(0).sum())
    share = float(values[-2:].clip(0).sum()) / total if total > 0 else 1.0
    return (1 - _EVEN) * by_value + _EVEN * by_rank, share


class Landscapes:
    """Maps of libraries, kept until an item comes, goes or gets another vector table."""

    def __init__(self) -> None:
        """Nothing is drawn yet."""
        self._lock = Lock()
        self._kept: OrderedDict[tuple[Any, ...], dict[str, Any]] = OrderedDict()

    def of(self, memory: Memory) -> dict[str, Any]:
        """The map of the memory's owner: `items` with `x` and `y`, and the `share` of the variance that it shows."""
        live = Generations(memory.database).live(memory.collection, owner=memory.owner)
        if live is None:
            return {"items": [], "share": None, "of": 0}
        browsing = Browsing(memory.database, memory.owner, memory.collection)
        key = (memory.owner, memory.collection, live.id, *browsing.mark())
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        drawn = _draw(memory, browsing, live)
        with self._lock:
            self._kept[key] = drawn
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return drawn


def _draw(memory: Memory, browsing: Browsing, live: Generation) -> dict[str, Any]:
    there = {item.item_id: item for item in browsing.sample(MOST)}
    ids: list[UUID] = []
    parts: list[Vectors] = []
    for page_ids, vectors in Query(memory.database, memory.owner).all_vectors(live):
        here = [n for n, item_id in enumerate(page_ids) if item_id in there]
        ids += [page_ids[n] for n in here]
        parts.append(vectors[here])
        if len(ids) >= len(there):
            break
    places, share = project(np.concatenate(parts)) if ids else (np.zeros((0, 2)), 1.0)
    return {"items": _placed(ids, places, there), "share": round(share, 4), "of": browsing.count()}


def _placed(ids: Sequence[UUID], places: Plane, items: dict[UUID, Any]) -> list[dict[str, Any]]:
    return [
        shown_item(items[item_id]) | {"x": round(float(x), 4), "y": round(float(y), 4)}
        for item_id, (x, y) in zip(ids, places, strict=True)
    ]
