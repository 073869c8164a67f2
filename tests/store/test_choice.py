"""The way of a search by the sizes of the owner and of the table whose graph it would walk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from data_folders import copy_home

pytest.importorskip("benchmarks.filters", reason="the repository's root is not on the path")

from benchmarks.filters import importer, rows_of
from seemory.store.choice import SMALLEST_EF, Choice
from seemory.store.connect import Database, open_database, stop_embedded
from seemory.store.generations import Generations
from seemory.store.items import Items
from seemory.store.query import Query
from seemory.types import Generation, Vectors

LARGE, SMALL = 4_000, 400


@pytest.fixture(scope="module")
def made() -> Vectors:
    rows = np.random.default_rng(7).standard_normal((LARGE + SMALL, 32), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def loaded(
    made: Vectors, pristine: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Database, Generation]]:
    home = copy_home(pristine, tmp_path_factory.mktemp("choice"))
    with open_database(None, home=home) as database:
        generation = Generations(database).create("c", "visual", model="m", fingerprint="f", dim=32)
        for owner, vectors in (("large", made[:LARGE]), ("small", made[LARGE:])):
            importer(database, Items(database, owner), generation).run(rows_of(vectors))
        with database.transaction(None) as connection:
            connection.execute("RESET ROLE")
            connection.execute(f"ANALYZE seemory.{generation.table}")
        yield database, generation
    stop_embedded(home)


@pytest.fixture(autouse=True)
def _small_borders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seemory.store.ann_index.EXACT_ROWS", 100)
    monkeypatch.setattr("seemory.store.choice._OUTSIDE_ROWS", 2_000)


def chosen(loaded: tuple[Database, Generation], owner: str, vector: np.ndarray) -> Choice:
    database, generation = loaded
    return Query(database, owner).explain(generation, vector, limit=10).choice


def test_a_larger_table_gets_a_wider_beam(
    loaded: tuple[Database, Generation], made: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_measured = chosen(loaded, "large", made[0])
    assert (as_measured.way, as_measured.ef_search) == ("index", SMALLEST_EF)
    monkeypatch.setattr("seemory.store.choice._TUNED_ROWS", (LARGE + SMALL) // 10)
    ten_times = chosen(loaded, "large", made[0])
    assert ten_times.way == "index"
    assert ten_times.ef_search == pytest.approx(SMALLEST_EF * 10**0.76, rel=0.02)


def test_an_owner_of_a_small_share_is_compared_row_by_row(loaded: tuple[Database, Generation], made: Vectors) -> None:
    choice = chosen(loaded, "small", made[LARGE])
    assert choice.way == "all"
    assert choice.owner_rows is not None
    assert choice.owner_rows > 100  # not because it is as small as all that
    assert "no more than" in choice.reason
