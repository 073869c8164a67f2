"""One owner attacks another's rows."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest

from seemory.errors import ItemNotFound, StoreError
from seemory.store.connect import Database
from seemory.store.items import Items
from seemory.store.query import Query
from seemory.types import FileOutcome, Filter, Generation

from .conftest import outcome, unit

INJECTION = "x' OR '1'='1'; SELECT set_config('seemory.owner', 'victim', true); --"


@pytest.fixture
def victim(items: Items, generation: Generation) -> Items:
    items.write(generation.collection, generation, [outcome("/v/a", 1), outcome("/v/b", 1), outcome("/v/c", 3)])
    return items


@pytest.fixture
def thief(database: Database) -> str:
    return f"thief-{uuid4()}"


def tables(generation: Generation) -> list[str]:
    return ["seemory.asset", "seemory.item", f"seemory.{generation.table}"]


@pytest.mark.parametrize("setting", [None, "", "thief"])
def test_without_the_owner_there_are_no_rows(
    database: Database, victim: Items, generation: Generation, setting: str | None
) -> None:
    for table in tables(generation):
        with database.transaction(None) as connection:
            if setting is not None:
                connection.execute("SELECT set_config('seemory.owner', %s, true)", [setting])
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
            assert connection.execute(f"DELETE FROM {table}").rowcount == 0
            assert connection.execute(f"UPDATE {table} SET metadata = '{{}}'").rowcount == 0


def test_rows_cannot_be_written_for_another(
    database: Database, victim: Items, generation: Generation, thief: str
) -> None:
    item = victim.listing(generation.collection)[0]
    for statement in (
        "INSERT INTO seemory.asset (owner_id, id, collection_id, kind, uri, bytes, mtime_ns) "
        "SELECT %(victim)s, gen_random_uuid(), id, 'image', '/planted', 1, 1 FROM seemory.collection LIMIT 1",
        f"INSERT INTO seemory.{generation.table} (owner_id, item_id) VALUES (%(victim)s, %(item)s) "
        "ON CONFLICT (owner_id, item_id) DO UPDATE SET embedding = NULL",
        "INSERT INTO seemory.asset (owner_id, id, collection_id, kind, uri, bytes, mtime_ns) "
        "SELECT '', gen_random_uuid(), id, 'image', '/planted', 1, 1 FROM seemory.collection LIMIT 1",
    ):
        with pytest.raises(StoreError, match="row-level security"), database.transaction(thief) as connection:
            connection.execute(statement, {"victim": victim.owner, "item": item.item_id})


def test_own_rows_cannot_be_given_to_another(database: Database, victim: Items, thief: str) -> None:
    refusal = "row-level security|modifying the partition value"  # a cluster refuses it to everybody
    with pytest.raises(StoreError, match=refusal), database.transaction(victim.owner) as connection:
        connection.execute("UPDATE seemory.asset SET owner_id = %s", [thief])


def test_anothers_ids_are_of_no_use(database: Database, victim: Items, generation: Generation, thief: str) -> None:
    items, query, name = Items(database, thief), Query(database, thief), generation.collection
    stolen = victim.listing(name)
    ids, assets = [item.item_id for item in stolen], [item.asset_id for item in stolen]
    for item_id in ids:
        with pytest.raises(ItemNotFound):
            items.get(item_id)
        with pytest.raises(ItemNotFound) as caught:
            items.resolve(str(item_id)[:8], name)
        assert "/v/" not in str(caught.value)
        assert items.thumbnail(item_id) is None
    with pytest.raises(ItemNotFound) as caught:
        items.resolve("/v", name)
    assert "/v/a" not in str(caught.value)
    assert items.delete(ids) == 0
    assert items.touch(assets, [(1, 1)] * len(assets)) == 0
    assert items.mark_missing(name, assets) == items.unmark_missing(name, assets) == 0
    items.move(assets[0], "/mine", 1, 1)
    copied = [(FileOutcome("/mine", 1, 1, bytes.fromhex(stolen[0].sha256 or "")), assets[0])]
    assert items.copy_vectors(name, generation, copied) == 0
    assert items.by_hash(name, generation, [bytes.fromhex(stolen[0].sha256 or "")]) == {}
    assert items.known(name, generation, ["/v/a"]) == {}
    assert list(items.under(name, ["/"])) == items.listing(name) == items.errors(name) == []
    assert items.stats(name)["assets"] == items.stats(name)["embedded"] == 0
    assert query.vectors(generation, ids) == {}
    assert list(query.all_vectors(generation)) == []
    assert query.nearest(generation, unit(1), include_missing=True) == []
    assert query.near_pairs(generation, -1.0, 10) == query.exact_groups(name) == []
    assert victim.listing(name) == stolen


def test_same_file_of_two_owners_is_two_files(
    database: Database, victim: Items, generation: Generation, thief: str
) -> None:
    before = victim.listing(generation.collection)
    other = Items(database, thief)
    other.write(generation.collection, generation, [outcome("/v/a", 9), FileOutcome("/v/b", 1, 1, error="bad")])
    assert victim.listing(generation.collection) == before
    assert [item.uri for item in other.listing(generation.collection)] == ["/v/a"]


def test_sql_in_every_text(database: Database, victim: Items, generation: Generation, thief: str) -> None:
    items, query, name = Items(database, thief), Query(database, thief), generation.collection
    facts = {"format": INJECTION, "camera": INJECTION, "metadata": {INJECTION: INJECTION}}
    items.write(name, generation, [outcome(INJECTION, 1, **facts), FileOutcome("/e", 1, 1, error=INJECTION)])
    assert [item.camera for item in items.listing(name)] == [INJECTION]
    assert items.resolve(INJECTION, name)
    for field in ("path", "name", "camera", "format", "tag", INJECTION, "x' OR true --", "a.b'c.{d}.%s"):
        for operator in ("=", "!=", "~"):
            found = query.nearest(generation, unit(1), filters=[Filter(field, operator, INJECTION)])
            assert {hit.item.uri for hit in found} <= {INJECTION}
            assert {item.uri for item in items.listing(name, filters=[Filter(field, operator, INJECTION)])} <= {
                INJECTION
            }
    for text in (name, INJECTION):
        assert items.stats(text)["assets"] in (0, 2)
        assert len(list(items.under(text, [INJECTION]))) <= 1
    assert len(victim.listing(name)) == 3


def test_owner_called_like_sql(database: Database, victim: Items, generation: Generation) -> None:
    for owner in (INJECTION, f"{victim.owner}' --", "%", "*", victim.owner.upper(), victim.owner + " "):
        assert Items(database, owner).listing(generation.collection) == []


def test_connection_used_again_after_an_error_forgets_its_owner(
    database: Database, victim: Items, generation: Generation
) -> None:
    for _ in range(10):
        with pytest.raises(StoreError), database.transaction(victim.owner) as connection:
            connection.execute("SELECT 1 / 0")
        with database.transaction(None) as connection:
            assert connection.execute("SELECT count(*) FROM seemory.asset").fetchone() == (0,)


def test_role_cannot_lift_the_policy_for_a_query(
    database: Database, victim: Items, superuser: psycopg.Connection
) -> None:
    with pytest.raises(StoreError, match="row-level security"), database.transaction(None) as connection:  # noqa: PT012
        connection.execute("SET LOCAL row_security = off")
        connection.execute("SELECT count(*) FROM seemory.asset")
    if database.distributed:
        return  # the cluster's tests connect as its superuser, who may take any role
    with pytest.raises(StoreError, match="permission denied"), database.transaction(None) as connection:
        connection.execute(f"SET LOCAL ROLE {superuser.info.user}")
    assert superuser.execute("SELECT count(*) > 0 FROM seemory.asset").fetchone() == (True,)
