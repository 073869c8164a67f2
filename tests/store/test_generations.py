from __future__ import annotations

import threading
from uuid import uuid4

import numpy as np
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from seemory.errors import UsageError
from seemory.store.build_memory import with_memory
from seemory.store.connect import Database
from seemory.store.generations import Generations
from seemory.store.items import Items
from seemory.types import Generation

from .conftest import outcome


def make(database: Database, collection: str, fingerprint: str = "f1", dim: int = 8) -> Generation:
    return Generations(database).create(collection, "visual", model="m", fingerprint=fingerprint, dim=dim)


def test_nothing_is_live_before_the_first(database: Database) -> None:
    assert Generations(database).live("never-made") is None


def test_first_is_live_and_the_next_is_built_beside_it(database: Database) -> None:
    name = f"c-{uuid4()}"
    first = make(database, name)
    assert (first.state, first.collection, first.table) == ("live", name, f"visual_memory_v{first.id}")
    assert Generations(database).live(name) == first
    assert make(database, name) == first
    second = make(database, name, "f2")
    assert second.state == "building"
    assert make(database, name, "f2") == second
    assert Generations(database).live(name) == first
    assert name in Generations(database).collections()


def test_channels_are_live_each_for_itself(database: Database) -> None:
    name = f"c-{uuid4()}"
    visual = make(database, name)
    text = Generations(database).create(name, "text", model="t", fingerprint="f1", dim=8)
    assert text.state == "live"
    assert text.table.startswith("text_memory_v")
    assert Generations(database).live(name, "text") == text
    assert Generations(database).live(name) == visual


def test_made_by_many_at_once_there_is_one(database: Database) -> None:
    name, made = f"c-{uuid4()}", []
    threads = [threading.Thread(target=lambda: made.append(make(database, name))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 6
    assert len(set(made)) == 1


def test_a_build_gets_the_memory_its_graph_needs_and_no_more_than_a_quarter(
    database: Database, superuser: psycopg.Connection
) -> None:
    if database.distributed:
        pytest.skip("watches the build by a trigger, which a distributed table cannot have")
    generation = make(database, f"c-{uuid4()}", dim=512)
    table = Identifier("seemory", generation.table)
    superuser.execute(SQL("ALTER TABLE {} DISABLE TRIGGER ALL").format(table))  # rows of no item
    superuser.execute(
        SQL(
            "INSERT INTO {} (owner_id, item_id, embedding, metadata) SELECT 'o', gen_random_uuid(), "
            "array_fill(0.5::real, ARRAY[512])::halfvec, '{{}}' FROM generate_series(1, 4000)"
        ).format(table)
    )

    def given(current: str, cache: str) -> int:
        seen: list[int] = []
        with database.transaction("o") as connection:
            connection.execute(f"SET LOCAL maintenance_work_mem = '{current}'")
            connection.execute(f"SET LOCAL effective_cache_size = '{cache}'")
            look = "SELECT setting::int FROM pg_settings WHERE name = 'maintenance_work_mem'"
            with_memory(connection, table, 512, lambda: seen.append(connection.execute(look).fetchone()[0]))
        return seen[0]

    assert 8_000 < given("1MB", "4GB") < 10_000, "4,000 rows of some 2.2 kB"
    assert given("1MB", "16MB") == 4096, "a quarter of what the server has"
    assert given("64MB", "4GB") == 65536, "never less than the server gives by itself"


def test_parallel_builders_without_room_give_way_to_one(database: Database) -> None:
    generation = make(database, f"c-{uuid4()}", dim=8)
    tried: list[str] = []
    with database.transaction("o") as connection:

        def build() -> None:
            tried.append(connection.execute("SHOW max_parallel_maintenance_workers").fetchone()[0])
            if len(tried) == 1:  # as Postgres says it of a /dev/shm that is too small
                connection.execute("DO $$ BEGIN RAISE disk_full USING MESSAGE = 'could not resize'; END $$")

        with_memory(connection, Identifier("seemory", generation.table), 8, build)
    assert tried == ["2", "0"]


def test_the_index_is_built_when_an_owner_has_many_rows(
    database: Database, superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seemory.store.ann_index.EXACT_ROWS", 3)
    generation = make(database, f"c-{uuid4()}", dim=4000)
    items, other = Items(database, f"o-{uuid4()}"), Items(database, f"o-{uuid4()}")
    vector = np.ones(4000, dtype=np.float32)
    for n in range(4):
        assert not items.ensure_index(generation), "few rows are compared one by one"
        items.write(generation.collection, generation, [outcome(f"/{n}", n, vector=vector)])
    assert not other.ensure_index(generation), "another owner's rows are not this one's"
    assert items.ensure_index(generation)
    assert not items.ensure_index(generation), "there is one already"
    (definition,) = superuser.execute(
        "SELECT indexdef FROM pg_indexes WHERE tablename = %s AND indexdef LIKE '%%hnsw%%'", [generation.table]
    ).fetchone()
    assert "halfvec_cosine_ops" in definition
    assert "m='16', ef_construction='128'" in definition


@pytest.mark.parametrize("dim", [0, -1, 16_001])
def test_width_that_cannot_be_stored(database: Database, dim: int) -> None:
    with pytest.raises(UsageError, match="16000"):
        make(database, f"c-{uuid4()}", dim=dim)


@pytest.mark.parametrize("name", ["", " ", "a\0b", "\ud800"])
def test_collection_without_a_name(database: Database, name: str) -> None:
    with pytest.raises(UsageError, match="name for a collection"):
        make(database, name)


def test_collection_may_have_any_other_name(database: Database) -> None:
    name = f"x'); DROP TABLE seemory.asset; -- \"{uuid4()}"
    assert Generations(database).live(make(database, name).collection) is not None
