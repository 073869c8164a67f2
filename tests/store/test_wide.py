"""Vectors wider than an index allows: found by their beginning, ranked whole, and compared where that misleads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest

from seemory.store import ann_index
from seemory.store.connect import Database
from seemory.store.generations import Generations
from seemory.store.items import Items
from seemory.store.query import Query
from seemory.types import Filter, Generation, Vectors

from .conftest import outcome
from .test_sql_functions import search as sql_search

DIM, ROWS = 4096, 1500


def unit_rows(rows: np.ndarray) -> Vectors:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def nested(rng: np.random.Generator, rows: int) -> Vectors:
    """As a Matryoshka head gives them: dimension j varies by 1/j, so the beginning says most."""
    return unit_rows(rng.normal(size=(rows, DIM)) / np.arange(1, DIM + 1) ** 0.75)


def shapeless(rng: np.random.Generator, rows: int) -> Vectors:
    """No dimension says more than another, and no vector is near another."""
    return unit_rows(rng.normal(size=(rows, DIM)))


@dataclass(frozen=True)
class Wide:
    """One owner's wide vectors, with an index of their beginnings."""

    database: Database
    owner: str
    generation: Generation
    ids: list[UUID]
    vectors: Vectors
    queries: Vectors

    def exact(self, query: np.ndarray, step: int = 1) -> list[UUID]:
        vectors = self.vectors.astype(np.float16).astype(np.float32)
        cosines = vectors @ query / np.linalg.norm(vectors, axis=1)
        return [self.ids[n] for n in np.argsort(-cosines) if n % step == 0]


@pytest.fixture(autouse=True)
def _few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ann_index, "EXACT_ROWS", 300)


def stored(database: Database, make: Callable[[np.random.Generator, int], Vectors]) -> Wide:
    rng = np.random.default_rng(4096)
    owner, name = f"wide-{uuid4()}", f"wide-{make.__name__}"
    generation = Generations(database).create(name, "visual", model="m", fingerprint=make.__name__, dim=DIM)
    drawn = make(rng, ROWS + 10)
    items = Items(database, owner)
    for start in range(0, ROWS, 100):
        batch = [outcome(f"/{n}", n, vector=drawn[n], width=1 + n % 2) for n in range(start, start + 100)]
        items.write(name, generation, batch)
    number = {item.item_id: int(item.uri[1:]) for item in items.listing(name, limit=ROWS)}
    ids = sorted(number, key=number.__getitem__)
    items.ensure_index(generation)
    items.analyze(generation)
    return Wide(database, owner, generation, ids, drawn[:ROWS], drawn[ROWS:])


@pytest.fixture(scope="module")
def both(database: Database) -> dict[str, Wide]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ann_index, "EXACT_ROWS", 300)
        return {make.__name__: stored(database, make) for make in (nested, shapeless)}


def test_index_of_beginnings_finds_and_whole_vectors_rank(both: dict[str, Wide]) -> None:
    wide = both["nested"]
    query, right = Query(wide.database, wide.owner), 0
    for vector in wide.queries:
        found = query.nearest(wide.generation, vector, limit=10)
        right += len({hit.item.item_id for hit in found} & set(wide.exact(vector)[:10]))
        best = wide.vectors[wide.ids.index(found[0].item.item_id)]
        assert found[0].cosine == pytest.approx(float(best @ vector), abs=2e-3)
    assert right >= 98
    explained = query.explain(wide.generation, wide.queries[0])
    assert [step.way for step in explained.steps] == ["index"]
    assert any("_hnsw" in line for line in explained.steps[0].plan)


def test_beginning_that_misleads_is_noticed(both: dict[str, Wide]) -> None:
    wide = both["shapeless"]
    query = Query(wide.database, wide.owner)
    for vector in wide.queries[:3]:
        explained = query.explain(wide.generation, vector)
        assert len(explained.steps) > 1, "the first candidates were not believed"
        found = [hit.item.item_id for hit in query.nearest(wide.generation, vector)]
        assert len(set(found) & set(wide.exact(vector)[:10])) >= 9  # halves move a near tie


@pytest.mark.parametrize("kind", ["nested", "shapeless"])
def test_complete_for_every_limit_and_filter(both: dict[str, Wide], kind: str) -> None:
    wide = both[kind]
    query = Query(wide.database, wide.owner)
    for limit in (1, 100, 1200, 2000):
        found = [hit.item.item_id for hit in query.nearest(wide.generation, wide.queries[0], limit=limit)]
        expected = wide.exact(wide.queries[0])[:limit]
        assert len(found) == len(expected)
        assert len(set(found) & set(expected)) >= 0.98 * len(expected)
    odd = [Filter("width", "=", "1")]
    found = [hit.item.item_id for hit in query.nearest(wide.generation, wide.queries[0], limit=600, filters=odd)]
    assert len(found) == 600
    assert len(set(found) & set(wide.exact(wide.queries[0], step=2)[:600])) >= 588


def test_sql_function_and_pairs_take_wide_vectors(both: dict[str, Wide]) -> None:
    wide = both["nested"]
    text = "[" + ",".join(map(repr, wide.queries[0].tolist())) + "]"
    with wide.database.transaction(wide.owner) as connection:
        rows = sql_search(connection, wide.generation, wide.owner, q=text, k=10, type="halfvec")
    assert [row[0] for row in rows][:5] == wide.exact(wide.queries[0])[:5]
    cosines = np.triu(wide.vectors @ wide.vectors.T, k=1)
    threshold = float(np.sort(cosines, axis=None)[-8]) - 1e-3
    pairs = Query(wide.database, wide.owner).near_pairs(wide.generation, threshold, 100)
    assert len(pairs) >= 8


def test_wide_vector_comes_back_as_it_was(both: dict[str, Wide]) -> None:
    wide = both["shapeless"]
    found = Query(wide.database, wide.owner).vectors(wide.generation, wide.ids[:2])
    np.testing.assert_array_equal(found[wide.ids[1]], wide.vectors[1].astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("dim", [4000, 4001, 16_000])
def test_any_width_that_a_half_vector_has(database: Database, dim: int) -> None:
    """The widest kept whole by an index, the narrowest that is not, and the widest of all."""
    generation = Generations(database).create(f"c-{uuid4()}", "visual", model="m", fingerprint="f", dim=dim)
    owner = f"o-{uuid4()}"
    items, rng = Items(database, owner), np.random.default_rng(dim)
    vectors = unit_rows(rng.normal(size=(301, dim)))
    items.write(generation.collection, generation, [outcome(f"/{n}", n, vector=v) for n, v in enumerate(vectors)])
    assert items.ensure_index(generation)
    hits = Query(database, owner).nearest(generation, vectors[7], limit=3)
    assert hits[0].item.uri == "/7"
    assert hits[0].cosine == pytest.approx(1.0, abs=1e-3)


def test_recall_of_real_vectors_made_wide(database: Database, shared: Path) -> None:
    """Real CLIP vectors in the order of their principal axes, continued by ever fainter noise."""
    clip_like = pytest.importorskip("benchmarks.clip_like", reason="the repository's root is not on the path")
    real = clip_like.real(shared)

    def made(rng: np.random.Generator, rows: int) -> Vectors:
        mean, axes = real.images.mean(axis=0), np.linalg.svd(real.images - real.images.mean(axis=0))[2]
        drawn = np.concatenate([clip_like.blow_up(real.images, rows - 10, h=0.645), real.text_queries[1203:1213]])
        faint = 0.05 * rng.normal(size=(rows, DIM - drawn.shape[1])) / np.arange(1, DIM - drawn.shape[1] + 1) ** 0.5
        return unit_rows(np.concatenate([(drawn - 0.5 * mean) @ axes.T, faint], axis=1))

    made.__name__ = "real"
    wide = stored(database, made)
    query, right = Query(database, wide.owner), 0
    for vector in wide.queries:
        found = [hit.item.item_id for hit in query.nearest(wide.generation, vector, limit=10)]
        right += len(set(found) & set(wide.exact(vector)[:10]))
    assert right >= 98
