from __future__ import annotations

import threading
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from seemory.errors import MigrationFailed
from seemory.store.connect import Database
from seemory.store.migrate import Migration, applied, migrate, migrations, pending
from seemory.store.owners import owners_of

BROKEN = Migration(9001, "9001_broken", "CREATE TABLE seemory.half (id int); SELECT 1 / 0")
MORE = Migration(9000, "9000_more", "CREATE TABLE seemory.more (id int); INSERT INTO seemory.more VALUES (1)")


@pytest.fixture
def empty(superuser: psycopg.Connection, database: Database) -> Iterator[str]:
    """The address of a new database without schema."""
    name = f"empty_{uuid4().hex[:8]}"
    if database.distributed:
        pytest.skip("a new database, which a cluster would need on each of its nodes")
    superuser.execute(f"CREATE DATABASE {name} OWNER seemory")
    yield database.url.replace("@/seemory", f"@/{name}")
    superuser.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_files_are_numbered_each_once() -> None:
    versions = [migration.version for migration in migrations()]
    assert versions[0] == 1
    assert versions == sorted(set(versions)), "a number may be missing, where two were written at the same time"


def test_each_is_applied_once_in_order(empty: str) -> None:
    with psycopg.connect(empty) as connection:
        assert migrate(connection) == [migration.name for migration in migrations()]
        assert migrate(connection) == []
        assert migrate(connection, [*migrations(), MORE]) == ["9000_more"]
    with psycopg.connect(empty) as connection:
        assert [version for version, _, _ in applied(connection)] == [*(m.version for m in migrations()), 9000]


def test_all_at_once_is_fine(empty: str) -> None:
    names: list[str] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with psycopg.connect(empty) as connection:
                names.extend(migrate(connection, [*migrations(), MORE]))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(names) == [*(migration.name for migration in migrations()), "9000_more"]
    with psycopg.connect(empty) as connection:
        assert connection.execute("SELECT count(*) FROM seemory.more").fetchone() == (1,)


def test_failed_one_leaves_nothing_and_those_before_stay(empty: str) -> None:
    with psycopg.connect(empty) as connection, pytest.raises(MigrationFailed, match=r"9001_broken.*division by zero"):
        migrate(connection, [*migrations(), MORE, BROKEN])
    with psycopg.connect(empty) as connection:
        for table, there in (("half", False), ("more", True)):
            found = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [f"seemory.{table}"]).fetchone()
            assert found == (there,)


def test_edited_file_is_refused(empty: str) -> None:
    with psycopg.connect(empty) as connection:
        migrate(connection)
        first, *others = migrations()
        with pytest.raises(MigrationFailed, match="was edited"):
            migrate(connection, [Migration(first.version, first.name, first.sql + "\n-- a word"), *others])


def test_newer_database_is_refused(empty: str) -> None:
    with psycopg.connect(empty) as connection:
        migrate(connection, [*migrations(), MORE])
        with pytest.raises(MigrationFailed, match=r"9000_more.*newer Seemory"):
            migrate(connection)


def test_one_that_was_passed_over_is_applied_later() -> None:
    first, second = Migration(1, "1_a", "a"), Migration(2, "2_b", "b")
    assert pending([(2, "2_b", second.sha256)], [first, second]) == [first]


def test_every_table_with_an_owner_forces_row_level_security(
    database: Database, generation: object, superuser: psycopg.Connection
) -> None:
    rows = superuser.execute(
        """
        SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity,
               (SELECT string_agg(a.attname, ',' ORDER BY k.place) FROM pg_index i,
                       unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
                JOIN pg_attribute a ON a.attnum = k.attnum
                WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid)
        FROM pg_class c JOIN pg_attribute owned ON owned.attrelid = c.oid AND owned.attname = 'owner_id'
        WHERE c.relnamespace = 'seemory'::regnamespace AND c.relkind = 'r'"""
    ).fetchall()
    assert {"asset", "item"} < {name for name, _, _ in rows}
    assert len(rows) >= 3
    assert all(forced and key.split(",")[0] == "owner_id" for _, forced, key in rows)


def test_owners_there_already_are_listed_and_stay_apart(empty: str) -> None:
    with psycopg.connect(empty) as connection:
        migrate(connection, migrations()[:1])
        connection.execute("INSERT INTO seemory.collection (name) VALUES ('photos')")
        for owner in ("anna", "ben"):
            connection.execute("SELECT set_config('seemory.owner', %s, true)", [owner])
            connection.execute(
                "INSERT INTO seemory.asset (owner_id, id, collection_id, kind, uri, bytes, mtime_ns) "
                "SELECT %s, gen_random_uuid(), id, 'image', '/a', 1, 1 FROM seemory.collection",
                [owner],
            )
    with psycopg.connect(empty) as connection:
        migrate(connection)
        assert owners_of(connection, "photos") == ["anna", "ben"]
        assert connection.execute("SELECT count(*) FROM seemory.collection_owner").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM seemory.asset").fetchone() == (0,)


def test_items_there_already_get_their_words(empty: str) -> None:
    with psycopg.connect(empty) as connection:
        migrate(connection, migrations()[:3])
        connection.execute("INSERT INTO seemory.collection (name) VALUES ('photos')")
        for owner, uri, caption in (("anna", "/x/GoldenGate.jpg", None), ("ben", "/x/fog.jpg", "a ferry")):
            connection.execute("SELECT set_config('seemory.owner', %s, true)", [owner])
            connection.execute(
                """
                WITH place AS (SELECT id FROM seemory.collection), owner AS (
                    INSERT INTO seemory.collection_owner SELECT %(owner)s, id FROM place), asset AS (
                    INSERT INTO seemory.asset (owner_id, id, collection_id, kind, uri, bytes, mtime_ns, metadata)
                    SELECT %(owner)s, gen_random_uuid(), id, 'image', %(uri)s, 1, 1, '{"caption": "by the sea"}'
                    FROM place
                    RETURNING id, collection_id)
                INSERT INTO seemory.item (owner_id, id, asset_id, collection_id, kind, caption)
                SELECT %(owner)s, gen_random_uuid(), id, collection_id, 'image', %(caption)s FROM asset""",
                {"owner": owner, "uri": uri, "caption": caption},
            )
    with psycopg.connect(empty) as connection:
        migrate(connection)
        assert connection.execute("SELECT count(*) FROM seemory.item").fetchone() == (0,), "the policy holds again"
        for owner, words, language in (
            ("anna", {"golden", "gate", "sea"}, None),
            ("ben", {"fog", "ferri", "sea"}, "english"),
        ):
            connection.execute("SELECT set_config('seemory.owner', %s, true)", [owner])
            row = connection.execute("SELECT tsvector_to_array(document), language FROM seemory.item").fetchone()
            assert row is not None
            assert (words <= set(row[0]), row[1]) == (True, language)
            assert connection.execute("SELECT languages FROM seemory.collection_owner").fetchall() == [(["english"],)]
            known = "SELECT count(*) = cardinality(%s::text[]) FROM seemory.vocabulary"
            assert connection.execute(known, [row[0]]).fetchone() == (True,)
