"""The bytes of a copy: no wanted row is lost by rounding, nor by comparing few dimensions of each first."""

from __future__ import annotations

import numpy as np
import pytest

from seemory.store.resident.codes import Codes, Scanned
from seemory.store.resident.threads import Threads
from seemory.store.resident.turning import Axes
from seemory.types import Vector, Vectors

THREADS = Threads()
DIM, ROWS = 192, 20_000


def drawn(rng: np.random.Generator, rows: int, spectrum: Vector) -> Vectors:
    """Rows of norm 1 around a mean, as encoders give them, of which the first dimensions say most."""
    middle = np.zeros(len(spectrum))
    middle[-1] = 0.5
    vectors = middle + rng.standard_normal((rows, len(spectrum))) * spectrum
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def coded(vectors: Vectors, sample: Vectors) -> Codes:
    codes = Codes.empty(Axes.of(sample), 100)  # so small that the room has to grow
    for start in range(0, len(vectors), 7_000):
        part = vectors[start : start + 7_000]
        numbers = np.arange(start, start + len(part), dtype=np.uint64)
        codes = codes.with_rows(np.stack([numbers, numbers], axis=1).view(np.uint8), part)
    return codes


def candidates(found: Scanned, wanted: int) -> set[int]:
    places = found.reaching(found.highest(wanted) - found.error)
    return set(found.ids(places).view(np.uint64)[:, 0].tolist())


def agree(codes: Codes, vectors: Vectors, queries: Vectors, wanted: int = 10, within: int = 20) -> None:
    """All wanted rows are named, among few others, and no cosine is farther off than is said."""
    for query in queries:
        cosines = vectors @ query
        found = codes.scan(query, THREADS)
        named = candidates(found, wanted)
        assert named >= set(np.argsort(-cosines)[:wanted].tolist())
        assert len(named) <= within * wanted
        places = np.argsort(-cosines)[:500]
        assert np.abs(found.cosines(places) - cosines[places]).max() <= found.error


FALLING: Vector = np.asarray(0.1 * 0.97 ** np.arange(DIM), np.float32)


def test_dimensions_that_say_most_come_first() -> None:
    rng = np.random.default_rng(0)
    vectors = drawn(rng, ROWS, FALLING)
    codes = coded(vectors, vectors[:2_000])
    assert codes.axes.head == 64
    assert [part.rows.shape[1] for part in codes.parts] == [64, 128]
    agree(codes, vectors, drawn(rng, 20, FALLING))


def test_queries_that_point_elsewhere_are_answered_as_well() -> None:
    """As words do: most of such a query lies where rows have little."""
    rng = np.random.default_rng(1)
    vectors = drawn(rng, ROWS, FALLING)
    codes = coded(vectors, vectors[:2_000])
    agree(codes, vectors, drawn(rng, 20, FALLING[::-1].copy()), within=200)


def test_rows_that_are_spread_evenly_are_compared_whole() -> None:
    rng = np.random.default_rng(2)
    vectors = drawn(rng, ROWS, np.full(DIM, 0.1, np.float32))
    codes = coded(vectors, vectors[:2_000])
    assert codes.axes.head == DIM
    assert len(codes.parts) == 1
    agree(codes, vectors, drawn(rng, 20, np.full(DIM, 0.1, np.float32)))


def test_rows_that_come_later_and_differ_are_not_lost() -> None:
    """The turn was chosen before they were known; what tails may add is learnt from them, too."""
    rng = np.random.default_rng(3)
    first, later = drawn(rng, 5_000, FALLING), drawn(rng, 15_000, FALLING[::-1].copy())
    vectors = np.concatenate([first, later])
    codes = coded(vectors, first)
    assert codes.axes.head == 64
    agree(codes, vectors, drawn(rng, 10, FALLING[::-1].copy()), within=2_000)
    agree(codes, vectors, drawn(rng, 10, FALLING), within=2_000)


@pytest.mark.parametrize("rows", [1, 9, 10, 130])
def test_few_rows(rows: int) -> None:
    rng = np.random.default_rng(4)
    vectors = drawn(rng, rows, FALLING)
    codes = coded(vectors, vectors)
    for wanted in (1, 10, 200):
        best = set(np.argsort(-(vectors @ vectors[0]))[:wanted].tolist())
        assert candidates(codes.scan(vectors[0], THREADS), wanted) >= best
