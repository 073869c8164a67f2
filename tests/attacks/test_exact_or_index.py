"""Small owners are compared row by row, large ones answered by HNSW: read from Postgres's own counts of index scans."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from seemory.store.ann_index import EXACT_ROWS, ensure_index
from seemory.store.connect import Database, open_database, unbound_url
from seemory.store.generations import Generations
from seemory.store.query import Query
from seemory.types import Filter, Generation

DIM = 16
LARGE = 3 * EXACT_ROWS  # far from the border, where estimates decide
MIDDLE = EXACT_ROWS  # the border: still exact
SMALL = 300


@pytest.fixture(scope="module")
def database(home: Path) -> Iterator[Database]:
    with open_database(None, home=home) as database:
        yield database


@pytest.fixture(scope="module")
def owners() -> dict[str, str]:
    return {size: f"{size}-{uuid4()}" for size in ("large", "middle", "small")}


@pytest.fixture(scope="module")
def generation(database: Database, owners: dict[str, str], home: Path) -> Generation:
    """One table with a large owner, one at the border and a small one; the index is there because of the large one."""
    made = Generations(database).create(f"sizes-{uuid4()}", "visual", model="m", fingerprint="f" * 64, dim=DIM)
    for size, rows in (("large", LARGE), ("middle", MIDDLE), ("small", SMALL)):
        fill(database, owners[size], made, rows)
    assert not ensure_index(database, owners["small"], made)
    assert not ensure_index(database, owners["middle"], made)
    assert ensure_index(database, owners["large"], made)
    with psycopg.connect(unbound_url(home), autocommit=True) as eye:
        eye.execute(SQL("ANALYZE seemory.asset, seemory.item, seemory.{}").format(Identifier(made.table)))
    return made


def fill(database: Database, owner: str, generation: Generation, rows: int) -> None:
    """Rows with vectors that Postgres itself draws: writing 10,000 outcomes would take a minute."""
    with database.transaction(owner) as connection:
        connection.execute("SELECT setseed(0.5)")
        names = {"owner": owner, "rows": rows, "collection": generation.collection}
        connection.execute(
            "INSERT INTO seemory.asset (owner_id, id, collection_id, kind, uri, bytes, mtime_ns) "
            "SELECT %(owner)s, gen_random_uuid(), c.id, 'image', '/' || n, n, 1 "
            "FROM seemory.collection c, generate_series(1, %(rows)s) n WHERE c.name = %(collection)s",
            names,
        )
        connection.execute(
            "INSERT INTO seemory.item (owner_id, id, asset_id, collection_id, kind) "
            "SELECT owner_id, gen_random_uuid(), id, collection_id, kind FROM seemory.asset WHERE owner_id = %(owner)s",
            names,
        )
        connection.execute(
            SQL(
                "INSERT INTO {} (owner_id, item_id, embedding, metadata) SELECT owner_id, i.id, "
                "(SELECT array_agg(random() - 0.5 + 0 * g)::vector FROM generate_series(1, {}) g WHERE i.ordinal = 0)"
                "::halfvec, '{{}}' "
                "FROM seemory.item i WHERE owner_id = %(owner)s"
            ).format(Identifier("seemory", generation.table), DIM),
            names,
        )


def scans(home: Path, generation: Generation) -> int:
    """How often the approximate index was read, by anybody, so far."""
    with psycopg.connect(unbound_url(home), autocommit=True) as eye:
        row = eye.execute(
            "SELECT pg_stat_get_numscans(format('seemory.%%I', %s::text)::regclass)", [f"{generation.table}_hnsw"]
        ).fetchone()
    assert row is not None
    return int(row[0])


def asked(
    database: Database, owner: str, generation: Generation, home: Path, **more: object
) -> tuple[bool, list[object]]:
    """(whether the approximate index was read, the hits)."""
    vector = np.random.default_rng(3).standard_normal(DIM).astype(np.float32)
    query = Query(database, owner)
    before = scans(home, generation)
    hits = query.nearest(generation, vector, **more)  # type: ignore[arg-type]
    for other in database._pool._pool:  # whichever of the pool's connections answered
        other.execute("SELECT pg_stat_force_next_flush()")
        other.commit()
    return scans(home, generation) > before, [(hit.item.item_id, hit.cosine) for hit in hits]


@pytest.mark.parametrize(("size", "by_index"), [("large", True), ("middle", False), ("small", False)])
def test_the_owners_own_number_of_rows_decides(
    database: Database, owners: dict[str, str], generation: Generation, home: Path, size: str, by_index: bool
) -> None:
    """A small owner is answered exactly though the table has an index, and so is a large one that asks for it."""
    used, hits = asked(database, owners[size], generation, home)
    assert used is by_index
    exactly, exact = asked(database, owners[size], generation, home, exact=True)
    assert not exactly
    assert len(set(hits) & set(exact)) >= (9 if by_index else 10)
    assert len(hits) == 10


def test_a_filter_that_few_pass_is_answered_exactly(
    database: Database, owners: dict[str, str], generation: Generation, home: Path
) -> None:
    used, hits = asked(database, owners["large"], generation, home, filters=[Filter("bytes", "<=", "50")], limit=20)
    assert not used
    assert len(hits) == 20
    used, hits = asked(database, owners["large"], generation, home, filters=[Filter("bytes", ">", "50")], limit=20)
    assert used
    assert len(hits) == 20


def test_the_index_holds_all_owners_and_answers_one(
    database: Database, owners: dict[str, str], generation: Generation, home: Path
) -> None:
    """The neighbours of a large owner's query are its own, though others' rows lie in the same graph."""
    _, hits = asked(database, owners["large"], generation, home, limit=500)
    with psycopg.connect(unbound_url(home), autocommit=True) as eye:
        statement = SQL("SELECT DISTINCT owner_id FROM seemory.{} WHERE item_id = ANY (%s)").format(
            Identifier(generation.table)
        )
        assert eye.execute(statement, [[item for item, _ in hits]]).fetchall() == [(owners["large"],)]  # type: ignore[misc, has-type]
    assert len(hits) == 500


def test_a_stranger_finds_nothing_by_either_way(database: Database, generation: Generation, home: Path) -> None:
    assert asked(database, f"stranger-{uuid4()}", generation, home) == (False, [])
