"""What one transaction does to a pooled connection, and what the next owner finds there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from seemory.errors import SeemoryError, StoreError
from seemory.memory import Memory
from seemory.store.connect import Database, open_database, unbound_url
from seemory.types import Generation

COUNT = "SELECT count(*) FROM seemory.item"


HAS = 5
"""The victim's items: four pictures and what it asked to be remembered."""


@pytest.fixture(params=["embedded", "superuser's URL"])
def database(request: pytest.FixtureRequest, home: Path) -> Iterator[Database]:
    """One connection that all transactions of a test share."""
    with open_database(None if request.param == "embedded" else unbound_url(home), home=home) as database:
        database._pool.resize(1, 1)
        yield database


def seen(database: Database, owner: str | None) -> tuple[int, int, str, str]:
    """(backend, items, role, owner) of a transaction."""
    with database.transaction(owner) as connection:
        row = connection.execute(
            f"SELECT pg_backend_pid(), ({COUNT}), current_user, current_setting('seemory.owner')"
        ).fetchone()
    assert row is not None
    return row


def test_one_owner_after_another_on_the_same_backend(database: Database, victim: Memory) -> None:
    first = seen(database, victim.owner)
    assert first[1] == HAS
    assert seen(database, "thief") == (first[0], 0, "seemory", "thief")
    assert seen(database, None) == (first[0], 0, "seemory", "")
    assert seen(database, victim.owner) == first


@pytest.mark.parametrize(
    "statement",
    [
        "SET seemory.owner = '{victim}'",
        "SELECT set_config('seemory.owner', '{victim}', false)",
        "SET SESSION seemory.owner = '{victim}'; SET seemory.operator = 'on'",
        "COMMIT; SET seemory.owner = '{victim}'; BEGIN",
        "SET row_security = off",
        "SET ROLE NONE",
        "RESET ROLE",
        "RESET ALL",
        "SET SESSION AUTHORIZATION DEFAULT",
        "SET LOCAL seemory.owner = '{victim}'",
        "SET search_path = pg_temp, public; CREATE TEMP TABLE item AS TABLE seemory.item",
        "PREPARE stolen AS SELECT * FROM seemory.item",
    ],
)
def test_a_setting_of_the_session_does_not_reach_the_next_transaction(
    database: Database, victim: Memory, statement: str
) -> None:
    """A program that sets the session on a connection it was lent: it may as it likes, the next one has not asked."""
    with database.transaction(victim.owner) as connection:
        pid = connection.info.backend_pid
        for part in statement.format(victim=victim.owner).split("; "):
            connection.execute(part)
    for owner in (None, "thief", None):
        assert seen(database, owner) == (pid, 0, "seemory", owner or "")
        with database.transaction(owner) as connection:
            assert connection.execute("SELECT count(*) FROM seemory.collection_owner").fetchone() == (0,)
    assert seen(database, victim.owner)[1] == HAS


@pytest.mark.parametrize("error", [StoreError, KeyboardInterrupt, ZeroDivisionError])
def test_a_transaction_that_failed_leaves_no_owner(
    database: Database, victim: Memory, error: type[BaseException]
) -> None:
    with pytest.raises(error), database.transaction(victim.owner) as connection:  # noqa: PT012
        pid = connection.info.backend_pid
        connection.execute("DELETE FROM seemory.item WHERE owner_id = %s", [victim.owner])
        if error is StoreError:
            connection.execute("SELECT 1 / 0")
        raise error("in the middle")
    assert seen(database, None) == (pid, 0, "seemory", "")
    assert seen(database, victim.owner)[1] == HAS


def test_a_cancelled_statement_leaves_no_owner(database: Database, victim: Memory) -> None:
    with pytest.raises(StoreError, match="cancel"), database.transaction(victim.owner) as connection:  # noqa: PT012
        pid = connection.info.backend_pid
        threading.Timer(0.3, connection.cancel).start()
        connection.execute("SELECT pg_sleep(30)")
    assert seen(database, None) == (pid, 0, "seemory", "")


def test_a_failed_statement_inside_a_savepoint_keeps_the_owner(database: Database, victim: Memory) -> None:
    """The setting belongs to the whole transaction, so rolling back to a savepoint may not undo it."""
    with database.transaction(victim.owner) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero), connection.transaction():
            connection.execute("SELECT 1 / 0")
        assert connection.execute(COUNT).fetchone() == (HAS,)
        with connection.transaction(force_rollback=True):
            connection.execute("SELECT set_config('seemory.owner', 'thief', true)")
        assert connection.execute(COUNT).fetchone() == (HAS,)


def test_nothing_stays_in_the_staging_tables(
    database: Database, victim: Memory, package_photographs: dict[str, Path]
) -> None:
    """Seemory's own writers keep nothing of a batch on the connection: not after a commit, not after a failure."""
    from seemory.store.backlog import Backlog
    from seemory.store.generations import Generations
    from seemory.store.items import Items
    from seemory.types import EmbeddingRecord, FileOutcome

    live = Generations(database).live(victim.collection)
    assert live is not None
    items = Items(database, f"writer-{uuid4()}")
    import numpy as np

    vector = np.ones(live.dim, dtype=np.float32)
    outcome = FileOutcome("/private", 1, 1, b"x" * 32, vector=vector, record=EmbeddingRecord("m", "p", live.dim))
    assert items.write(victim.collection, live, [outcome]) == 1
    assert left(database) == {"incoming": 0}
    wrong = FileOutcome("/secret", 1, 1, b"y" * 32, vector=vector[:3], record=EmbeddingRecord("m", "p", 3))
    with pytest.raises(SeemoryError):
        items.write(victim.collection, live, [outcome, wrong])
    with pytest.raises(ZeroDivisionError), database.transaction(items.owner) as connection:  # noqa: PT012
        from seemory.store.writing import write

        write(connection, items.owner, live, [(outcome, None)])
        raise ZeroDivisionError
    backlog = Backlog(database, items.owner, live)
    assert backlog.count(retry=True) == 0
    backlog.write([])
    assert set(left(database).values()) == {0}
    with database.transaction(None) as connection:
        held = connection.execute("SELECT name FROM pg_cursors WHERE is_holdable").fetchall()
        locks = connection.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        ).fetchone()
    assert (held, locks) == ([], (0,))


def left(database: Database) -> dict[str, int]:
    """Rows in each temporary table of the connection."""
    with database.transaction(None) as connection:
        names = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind = 'r'"
        )
        return {
            name: connection.execute(f"SELECT count(*) FROM pg_temp.{name}").fetchone()[0]
            for (name,) in names.fetchall()
        }


def test_an_owner_cannot_be_smuggled_into_another_connection(database: Database, victim: Memory) -> None:
    """Owners of many names in many threads on few connections: each sees its own."""
    database._pool.resize(1, 3)
    wrong: list[object] = []

    def ask(owner: str | None, wanted: int) -> None:
        for _ in range(40):
            _, items, role, now = seen(database, owner)
            if (items, role, now) != (wanted, "seemory", owner or ""):
                wrong.append((owner, items, role, now))

    threads = [
        threading.Thread(target=ask, args=who)
        for who in ((victim.owner, HAS), ("thief", 0), (None, 0), (victim.owner, HAS), (f"{victim.owner} ", 0))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_generation_named_like_sql_is_a_name(database: Database, victim: Memory) -> None:
    """Table names come from the database alone; should one ever be made up, it stays an identifier."""
    from seemory.store.items import Items

    forged = Generation(0, victim.collection, "visual", 'x"; DROP TABLE seemory.item; --', "m", "f", 3, "live")
    with pytest.raises(StoreError):
        Items(database, "thief").known(victim.collection, forged, ["/x"])
    assert seen(database, victim.owner)[1] == HAS
