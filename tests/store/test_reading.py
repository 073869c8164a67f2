"""Reading in one way there and back: what comes, what was refused, and what a pooler between may do."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from psycopg.sql import SQL, Literal

from seemory.errors import GenerationsChanged, StoreError
from seemory.store.connect import Database, PoolSize, open_database
from seemory.store.reading import _MOST_PREPARED, _PREPARED, readable


@pytest.fixture
def alone(home: Path) -> Iterator[Database]:
    """With one connection, so that it is known which one is used."""
    with open_database(None, home=home, pool=PoolSize(1)) as database:
        yield database


def test_rows_of_a_statement(database: Database) -> None:
    one, when = uuid4(), datetime(2026, 2, 3, 4, 5, 6, 7, UTC)
    with database.reading("anna") as reading:
        rows = reading.rows("SELECT n, n * 2 FROM generate_series(1, %s) n WHERE n <> %s", [3, 2])
        assert rows == [(1, 2), (3, 6)]
        named = {"b": "b%", "a": [one], "unused": 1}
        assert reading.rows("SELECT %(a)s::uuid[], %(b)s, %(b)s || '%%'", named) == [([one], "b%", "b%%")]
        kinds = "SELECT %s, %s::jsonb, NULL, %s::bytea, 1.5::float8, true, %s::text[]"
        assert reading.rows(kinds, [when, '{"a": [1]}', b"\0", ["x", None]]) == [
            (when, {"a": [1]}, None, b"\0", 1.5, True, ["x", None])
        ]
        assert reading.rows(SQL("SELECT {}").format(Literal("%s"))) == [("%s",)]
        assert reading.rows("SELECT 1 WHERE false") == []
        assert reading.each(("SELECT 1", None), ("SELECT %s", [UUID(int=2)])) == [[(1,)], [(UUID(int=2),)]]


def test_more_than_a_socket_takes_at_once(database: Database) -> None:
    long = "ä" * 5_000_000
    with database.reading("anna") as reading:
        assert reading.rows("SELECT length(%s), %s", [long, long]) == [(5_000_000, long)]


def test_it_is_the_owners(database: Database) -> None:
    asked = "SELECT current_setting('seemory.owner', true), current_user"
    for owner in ("anna", "bert", "anna"):
        with database.reading(owner) as reading:
            assert reading.rows(asked) == [(owner, "seemory")]
            assert reading.rows(asked) == [(owner, "seemory")]  # in the second transaction as well
    with database.transaction(None) as connection:
        assert connection.execute(asked).fetchone() == ("", "seemory")


def test_what_is_sent_ahead_stands_for_each_transaction(database: Database) -> None:
    asked = "SELECT current_setting('enable_seqscan')"
    with database.reading("anna") as reading:
        reading.ahead("SELECT set_config('enable_seqscan', 'off', true)")
        assert reading.rows(asked) == [("off",)]
        assert reading.rows(asked) == [("off",)]
    with database.reading("anna") as reading:
        assert reading.rows(asked) == [("on",)]


@pytest.mark.parametrize("ahead", [False, True])
def test_refused_statements_leave_a_connection_that_goes_on(database: Database, ahead: bool) -> None:
    for refused, error in (
        ("SELECT 1 / %s", StoreError),  # when it runs
        ("SELECT nonsense FROM nowhere WHERE a = %s", GenerationsChanged),  # when it is prepared
        ("SELECT %s::int + 'x'::int", StoreError),
    ):
        for _ in range(2):
            with pytest.raises(error), database.reading("anna") as reading:  # noqa: PT012
                if ahead:
                    reading.ahead(refused, [0])
                reading.rows("SELECT 1") if ahead else reading.rows(refused, [0])
            with database.reading("anna") as reading:
                assert reading.rows("SELECT 1") == [(1,)]


def test_an_error_of_ones_own_leaves_a_connection_that_goes_on(alone: Database) -> None:
    pids = set()
    for _ in range(3):
        with suppress(ZeroDivisionError), alone.reading("anna") as reading:
            pids.add(reading.rows("SELECT pg_backend_pid()")[0][0])
            reading.ahead("SELECT 2")
            raise ZeroDivisionError
        with alone.reading("anna"):
            pass  # nothing is asked
    assert len(pids) == 1


def test_statements_that_a_pooler_lost_or_brought(alone: Database) -> None:
    """The session behind the connection is another one's: without our statements, or with them already there."""
    asked = "SELECT %s + 1"

    def ask() -> None:
        with alone.reading("anna") as reading:
            assert reading.rows(asked, [1]) == [(2,)]
            assert reading.rows("SELECT 'x'") == [("x",)]

    ask()
    with alone.transaction(None) as connection:
        connection.execute("DEALLOCATE ALL")
    ask()
    with alone.transaction(None) as connection:
        assert connection in _PREPARED
        _PREPARED[connection].clear()
    ask()
    with alone.transaction(None) as connection:
        _PREPARED[connection].popitem()
        connection.execute("DEALLOCATE ALL")
    ask()


def test_no_more_statements_are_kept_than_that(alone: Database) -> None:
    for n in range(2 * _MOST_PREPARED):
        with alone.reading("anna") as reading:
            assert reading.rows(f"SELECT {n}, %s", ["x"]) == [(n, "x")]
    with alone.transaction(None) as connection:
        kept = connection.execute("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'seemory%'").fetchone()
        assert kept == (_MOST_PREPARED,)
        assert len(_PREPARED[connection]) == _MOST_PREPARED


def test_sockets_of_high_numbers() -> None:
    """`select.select` takes none beyond 1,023."""
    resource = pytest.importorskip("resource")

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2048)), hard))
    ours, theirs = socket.socketpair()
    high = os.dup2(ours.fileno(), 1500)
    try:
        assert not readable(high, 0)
        theirs.send(b"x")
        assert readable(high, 0)
        assert readable(high)
    finally:
        os.close(high)
        ours.close()
        theirs.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
