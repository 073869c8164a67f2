"""Searches by a copy of the vectors in this process: the exact answer, whatever others write meanwhile."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import psycopg
import pytest
from data_folders import copy_home
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.sql import SQL, Identifier

from seemory.errors import StoreError
from seemory.store.backup import back_up
from seemory.store.connect import Database, open_database, stop_embedded, unbound_url
from seemory.store.generations import Generations
from seemory.store.items import Items
from seemory.store.migrate import migrations
from seemory.store.query import Query
from seemory.store.resident import answering
from seemory.store.resident.reading import mark
from seemory.store.resident.shelf import SHELF
from seemory.store.restore import restore
from seemory.store.transitions import Transitions
from seemory.types import Filter, Generation, Vector, Vectors

WIDTH, ROWS = 96, 6_000
LIMIT = 100_000_000


def drawn(rng: np.random.Generator, rows: int) -> Vectors:
    """Unit rows around a common direction, as encoders give them."""
    vectors = rng.normal(size=(rows, WIDTH)) + 1.5 * np.sin(np.arange(WIDTH))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@dataclass
class Shelved:
    """An owner's rows, and a query that answers by a copy of them."""

    database: Database
    owner: str
    generation: Generation
    rng: np.random.Generator
    query: Query = field(init=False)

    def __post_init__(self) -> None:
        self.query = Query(self.database, self.owner, LIMIT)

    def insert(self, vectors: Vectors, connection: psycopg.Connection | None = None) -> list[UUID]:
        """Rows with their items, in one transaction of their own or in the given one."""
        ids = [uuid4() for _ in vectors]
        if connection is None:
            with self.database.transaction(self.owner) as connection:
                self._insert(connection, ids, vectors)
        else:
            self._insert(connection, ids, vectors)
        return ids

    def _insert(self, connection: psycopg.Connection, ids: list[UUID], vectors: Vectors) -> None:
        connection.execute("CREATE TEMPORARY TABLE IF NOT EXISTS drawn (id uuid, embedding halfvec) ON COMMIT DROP")
        connection.execute("TRUNCATE drawn")
        connection.execute(
            "INSERT INTO drawn SELECT id, vector::halfvec FROM unnest(%s::uuid[], %s::text[]) AS n (id, vector)",
            [ids, [text(vector) for vector in vectors]],
        )
        for statement in (
            "INSERT INTO seemory.asset (owner_id, id, collection_id, kind, uri, bytes, mtime_ns) SELECT %(owner)s, id, "
            "(SELECT id FROM seemory.collection WHERE name = %(collection)s), 'image', '/' || id, 1, 1 FROM drawn",
            "INSERT INTO seemory.item (owner_id, id, asset_id, collection_id, kind) SELECT %(owner)s, id, id, "
            "(SELECT id FROM seemory.collection WHERE name = %(collection)s), 'image' FROM drawn",
        ):
            connection.execute(statement, {"owner": self.owner, "collection": self.generation.collection})
        self.insert_vectors(connection, self.generation)

    def insert_vectors(self, connection: psycopg.Connection, generation: Generation) -> None:
        statement = "INSERT INTO {} (owner_id, item_id, embedding) SELECT %s, id, embedding FROM drawn"
        connection.execute(SQL(statement).format(Identifier("seemory", generation.table)), [self.owner])

    def update(self, item_id: UUID, vector: Vector, connection: psycopg.Connection) -> None:
        statement = "UPDATE {} SET embedding = %s::halfvec WHERE owner_id = %s AND item_id = %s"
        table = Identifier("seemory", self.generation.table)
        connection.execute(SQL(statement).format(table), [text(vector), self.owner, item_id])

    def load(self) -> None:
        """As a program comes to have a copy: by searching a few times."""
        for vector in drawn(self.rng, answering._SEARCHES):
            self.query.nearest(self.generation, vector)
        SHELF.wait()
        assert self.way() == "resident"

    def way(self, **asked: object) -> str:
        return self.query.explain(self.generation, drawn(self.rng, 1)[0], **asked).choice.way

    def agree(self, vector: Vector, limit: int = 10, **asked: object) -> None:
        """The copy's answer, item by item, is that of comparing all."""
        found = self.query.nearest(self.generation, vector, limit=limit, **asked)
        right = self.query.nearest(self.generation, vector, limit=limit, exact=True, **asked)
        assert [(hit.item, hit.cosine) for hit in found] == [(hit.item, hit.cosine) for hit in right]


@pytest.fixture
def shelved(database: Database, owner: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelved]:
    if database.distributed:
        pytest.skip("a cluster numbers transactions by node, so no copies are made there")
    monkeypatch.setattr(answering, "_SEARCHES", 2)
    monkeypatch.setattr("seemory.store.ann_index.EXACT_ROWS", 500)
    collection = f"resident-{uuid4()}"
    generation = Generations(database).create(collection, "visual", model="m", fingerprint="f", dim=WIDTH)
    made = Shelved(database, owner, generation, np.random.default_rng(7))
    made.insert(drawn(made.rng, ROWS))
    with database.transaction(owner) as connection:
        connection.execute(SQL("ANALYZE {}").format(Identifier("seemory", generation.table)))
    yield made
    made.query.close()


@pytest.fixture
def other_session(shelved: Shelved) -> Iterator[psycopg.Connection]:
    """A transaction of the same owner that somebody else holds open."""
    with psycopg.connect(shelved.database.session(shelved.owner)) as connection:
        yield connection


def test_answers_are_those_of_comparing_all(shelved: Shelved) -> None:
    assert shelved.way() != "resident"
    shelved.load()
    for limit in (1, 10, 200, 900):
        for vector in [*drawn(shelved.rng, 10), *np.eye(WIDTH, dtype=np.float32)[:5], -drawn(shelved.rng, 1)[0]]:
            shelved.agree(vector, limit)
    shelved.agree(drawn(shelved.rng, 1)[0], 10, offset=30)
    first = shelved.query.nearest(shelved.generation, drawn(shelved.rng, 1)[0])[0].item.item_id
    shelved.agree(drawn(shelved.rng, 1)[0], 10, exclude=[first])
    shelved.agree(drawn(shelved.rng, 1)[0], 10, kind="image")
    assert shelved.way() == "resident"


def test_what_it_is_not_for_goes_the_other_ways(shelved: Shelved) -> None:
    shelved.load()
    assert shelved.way(filters=[Filter("width", "<", "3")]) != "resident"
    assert shelved.way(limit=1_000) != "resident"
    assert shelved.way(exact=True) == "all"
    assert shelved.way(kind="scene") != "resident", "no row is left, which a copy cannot know"
    assert shelved.way() == "resident", "and it is kept"
    without = Query(shelved.database, shelved.owner, 0)
    assert without.explain(shelved.generation, drawn(shelved.rng, 1)[0]).choice.way != "resident"


def test_what_others_commit_after_the_load_is_found(shelved: Shelved, other_session: psycopg.Connection) -> None:
    shelved.load()
    target = drawn(shelved.rng, 1)[0]
    (new,) = shelved.insert(target[None], other_session)
    assert new not in nearest(shelved, target), "nobody sees what is not committed"
    other_session.commit()
    assert nearest(shelved, target)[0] == new
    shelved.agree(target)
    assert shelved.way() == "resident"


def test_what_was_under_way_during_the_load_is_found_when_it_commits(
    shelved: Shelved, other_session: psycopg.Connection
) -> None:
    target = drawn(shelved.rng, 1)[0]
    (new,) = shelved.insert(target[None], other_session)
    (moved,) = shelved.query.nearest(shelved.generation, -target, limit=1)
    shelved.update(moved.item.item_id, target, other_session)
    shelved.insert(drawn(shelved.rng, 3))  # committed by a younger transaction
    shelved.load()
    shelved.agree(target)
    other_session.commit()
    assert set(nearest(shelved, target)[:2]) == {new, moved.item.item_id}
    shelved.agree(target)
    shelved.agree(-target)
    assert shelved.way() == "resident"


def test_what_is_rolled_back_is_never_found(shelved: Shelved, other_session: psycopg.Connection) -> None:
    target = drawn(shelved.rng, 1)[0]
    (never,) = shelved.insert(target[None], other_session)
    shelved.load()
    other_session.rollback()
    shelved.agree(target)
    assert never not in nearest(shelved, target)


def test_changed_and_forgotten_rows(shelved: Shelved) -> None:
    shelved.load()
    target = drawn(shelved.rng, 1)[0]
    before = nearest(shelved, target)
    with shelved.database.transaction(shelved.owner) as connection:
        shelved.update(before[0], -target, connection)
    assert before[0] not in nearest(shelved, target)
    assert nearest(shelved, -target)[0] == before[0]
    Items(shelved.database, shelved.owner).delete(before[1:4])
    assert not set(before[:4]) & set(nearest(shelved, target))
    shelved.agree(target)
    assert shelved.way() == "resident"


def test_a_copy_of_which_most_was_deleted_is_made_anew(shelved: Shelved) -> None:
    shelved.load()
    target = drawn(shelved.rng, 1)[0]
    Items(shelved.database, shelved.owner).delete(nearest(shelved, target, 900))
    shelved.agree(target)
    assert SHELF.find(shelved.query._resident._key(shelved.generation)) is None


def test_a_copy_is_brought_up_to_date_by_what_is_new(shelved: Shelved) -> None:
    shelved.load()
    key = shelved.query._resident._key(shelved.generation)
    before = SHELF.find(key)
    target = drawn(shelved.rng, 1)[0]
    new = shelved.insert(np.concatenate([target[None], drawn(shelved.rng, answering._REFRESH_ROWS)]))
    assert nearest(shelved, target)[0] == new[0]
    SHELF.wait()
    after = SHELF.find(key)
    assert after.codes.count == before.codes.count + len(new)
    assert after.mark.oldest > before.mark.oldest
    assert nearest(shelved, target)[0] == new[0]
    for vector in drawn(shelved.rng, 10):
        shelved.agree(vector)
    shelved.insert(drawn(shelved.rng, answering.MOST_RECENT + 1))
    shelved.agree(target)  # too much is new: another way
    SHELF.wait()
    assert shelved.way() == "resident"
    shelved.agree(target)


def test_as_many_twins_as_it_cannot_tell_apart(shelved: Shelved) -> None:
    twin = drawn(shelved.rng, 1)
    shelved.insert(np.repeat(twin, 15, axis=0))
    shelved.load()
    shelved.agree(twin[0])
    assert shelved.way() == "resident"
    many = drawn(shelved.rng, 1)
    shelved.insert(np.repeat(many, 1_500, axis=0))
    shelved.query.close()
    shelved.query = Query(shelved.database, shelved.owner, LIMIT)
    shelved.load()
    shelved.agree(many[0])


def test_another_owners_rows_never_appear(shelved: Shelved) -> None:
    target = drawn(shelved.rng, 1)[0]
    stranger = Shelved(shelved.database, f"stranger-{uuid4()}", shelved.generation, np.random.default_rng(8))
    theirs = set(stranger.insert(np.concatenate([np.repeat(target[None], 20, axis=0), drawn(stranger.rng, 1_000)])))
    shelved.load()
    stranger.load()
    theirs |= set(stranger.insert(np.repeat(target[None], 20, axis=0)))
    assert not theirs & set(nearest(shelved, target, 200))
    assert theirs >= set(nearest(stranger, target, 200))
    # A copy in the wrong hands names candidates that Postgres does not give.
    mine = shelved.query._resident._key(shelved.generation)
    other = stranger.query._resident._key(shelved.generation)
    SHELF._copies[mine] = SHELF._copies[other]
    assert not theirs & set(nearest(shelved, target, 200))
    stranger.query.close()


def test_a_switch_of_generation(shelved: Shelved) -> None:
    shelved.load()
    old, collection = shelved.generation, shelved.generation.collection
    transitions = Transitions(shelved.database, collection)
    new = transitions.begin(model="n", fingerprint="g", dim=WIDTH)
    with shelved.database.transaction(shelved.owner) as connection:
        connection.execute(
            SQL("INSERT INTO {} (owner_id, item_id, embedding) SELECT owner_id, item_id, embedding FROM {}").format(
                Identifier("seemory", new.table), Identifier("seemory", old.table)
            )
        )
        target = drawn(shelved.rng, 1)[0]
        (far,) = shelved.query.nearest(old, -target, limit=1)
        shelved.generation = new
        shelved.update(far.item.item_id, target, connection)
    transitions.switch(force=True)
    assert nearest(shelved, target)[0] == far.item.item_id
    shelved.load()
    assert nearest(shelved, target)[0] == far.item.item_id
    shelved.agree(target)
    transitions.drop()
    shelved.agree(target)


def test_memory_is_bounded_and_the_copy_unused_longest_goes(shelved: Shelved) -> None:
    one = ROWS * (WIDTH + 20)
    others = [Shelved(shelved.database, f"more-{n}-{uuid4()}", shelved.generation, shelved.rng) for n in range(3)]
    for other in others:
        other.insert(drawn(shelved.rng, ROWS))
        other.query = Query(shelved.database, other.owner, round(2.9 * one))
        other.load()
        assert SHELF.bytes <= 2.9 * one
    assert others[0].way() != "resident"
    assert others[1].way() == "resident"
    assert others[2].way() == "resident"
    tiny = Query(shelved.database, shelved.owner, one // 2)
    for vector in drawn(shelved.rng, 5):
        tiny.nearest(shelved.generation, vector)
    SHELF.wait()
    assert tiny.explain(shelved.generation, drawn(shelved.rng, 1)[0]).choice.way != "resident"
    for other in others:
        other.query.close()
    assert SHELF.bytes == 0


def test_a_forked_child_begins_without_copies(shelved: Shelved) -> None:
    shelved.load()
    key = shelved.query._resident._key(shelved.generation)
    with SHELF._lock:  # as another thread might, at the moment of the fork
        child = os.fork()
        if child == 0:
            os._exit(0 if SHELF.find(key) is None else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_many_threads_while_rows_come(shelved: Shelved) -> None:
    from concurrent.futures import ThreadPoolExecutor

    shelved.load()

    def write(n: int) -> None:
        shelved.insert(drawn(np.random.default_rng(n), 60))

    def read(n: int) -> None:
        target = drawn(np.random.default_rng(1_000 + n), 1)
        (new,) = shelved.insert(target)
        assert nearest(shelved, target[0])[0] == new

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: (write if n % 3 == 0 else read)(n), range(60)))
    SHELF.wait()
    for vector in drawn(shelved.rng, 5):
        shelved.agree(vector)


def nearest(shelved: Shelved, vector: Vector, limit: int = 10) -> list[UUID]:
    return [hit.item.item_id for hit in shelved.query.nearest(shelved.generation, vector, limit=limit)]


def text(vector: Vector) -> str:
    return "[" + ",".join(f"{value:.6f}" for value in vector) + "]"


@given(st.data())
@settings(max_examples=12)
def test_any_history_ends_in_the_exact_answer(
    database: Database, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Rows inserted, moved and deleted, by transactions that stay open, commit or fail while copies are made."""
    if database.distributed:
        pytest.skip("a cluster numbers transactions by node, so no copies are made there")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answering, "_SEARCHES", 1)
        patch.setattr(answering, "_REFRESH_ROWS", 20)
        patch.setattr(answering, "MOST_RECENT", 200)
        patch.setattr("seemory.store.ann_index.EXACT_ROWS", 10)
        generation = Generations(database).create(f"history-{uuid4()}", "visual", model="m", fingerprint="f", dim=WIDTH)
        rng = np.random.default_rng(data.draw(st.integers(0, 1_000)))
        history = Shelved(database, f"owner-{uuid4()}", generation, rng)
        ids = history.insert(drawn(rng, 300))
        sessions: list[psycopg.Connection] = []
        try:
            for step in data.draw(st.lists(st.sampled_from(STEPS), min_size=5, max_size=25)):
                carry_out(step, history, ids, sessions)
                vector = drawn(rng, 1)[0]
                history.agree(vector)
                if data.draw(st.booleans()):
                    SHELF.wait()
                    history.agree(vector)
        finally:
            for session in sessions:
                session.close()
            history.query.close()


STEPS = ("insert", "insert many", "move", "delete", "open", "write in open", "commit", "roll back", "forget copy")


def carry_out(step: str, history: Shelved, ids: list[UUID], sessions: list[psycopg.Connection]) -> None:
    """One step of a history; rows that an open transaction has written are left alone by all others."""
    rng = history.rng
    if step in ("insert", "insert many"):
        ids += history.insert(drawn(rng, 3 if step == "insert" else 120))
    elif step == "move" and ids:
        with history.database.transaction(history.owner) as connection:
            history.update(ids[rng.integers(len(ids))], drawn(rng, 1)[0], connection)
    elif step == "delete" and ids:
        gone = [ids.pop(rng.integers(len(ids))) for _ in range(min(20, len(ids)))]
        Items(history.database, history.owner).delete(gone)
    elif step == "open" and len(sessions) < 3:
        sessions.append(psycopg.connect(history.database.session(history.owner)))
    elif step == "write in open" and sessions:
        session = sessions[rng.integers(len(sessions))]
        history.insert(drawn(rng, 5), session)
        if ids:
            history.update(ids.pop(), drawn(rng, 1)[0], session)
    elif step in ("commit", "roll back") and sessions:
        session = sessions.pop(rng.integers(len(sessions)))
        session.commit() if step == "commit" else session.rollback()
        session.close()
    elif step == "forget copy":
        history.query.close()
        history.query = Query(history.database, history.owner, LIMIT)


@pytest.fixture
def own(pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Shelved]]:
    """A data folder of the test's own, with rows and a copy of them."""
    monkeypatch.setattr(answering, "_SEARCHES", 2)
    monkeypatch.setattr("seemory.store.ann_index.EXACT_ROWS", 100)
    home = copy_home(pristine, tmp_path / "own")
    with open_database(None, home=home) as database:
        generation = Generations(database).create("c", "visual", model="m", fingerprint="f", dim=WIDTH)
        made = Shelved(database, "owner", generation, np.random.default_rng(9))
        made.insert(drawn(made.rng, 1_000))
        made.load()
        yield home, made
        made.query.close()
    stop_embedded(home)


def test_a_restored_backup_is_not_answered_by_the_copy_of_what_was(own: tuple[Path, Shelved]) -> None:
    home, shelved = own
    target = drawn(shelved.rng, 1)[0]
    (far,) = shelved.query.nearest(shelved.generation, -target, limit=1)
    with shelved.database.transaction(shelved.owner) as connection:
        shelved.update(far.item.item_id, target, connection)
    back_up(unbound_url(home), home / "backup")
    with shelved.database.transaction(shelved.owner) as connection:
        shelved.update(far.item.item_id, -target, connection)
    shelved.query.close()
    shelved.load()
    assert far.item.item_id not in nearest(shelved, target)
    restore(shelved.database.conninfo, home / "backup", replace=True)
    assert nearest(shelved, target)[0] == far.item.item_id
    shelved.load()
    shelved.agree(target)
    (new,) = shelved.insert(target[None])
    assert set(nearest(shelved, target)[:2]) == {far.item.item_id, new}
    with shelved.database.transaction(shelved.owner) as connection:  # the restored table takes note, too
        shelved.update(new, -target, connection)
    assert nearest(shelved, -target)[0] == new
    assert shelved.way() == "resident"


def test_the_table_of_a_restored_memory_is_another_one(own: tuple[Path, Shelved]) -> None:
    """The same name and rows whose numbers of transactions come from elsewhere."""
    _, shelved = own
    target, table = drawn(shelved.rng, 1)[0], Identifier("seemory", shelved.generation.table)
    with shelved.database.transaction(shelved.owner) as connection:
        (far,) = shelved.query.nearest(shelved.generation, -target, limit=1)
        for statement in (
            "CREATE TABLE seemory.restored AS SELECT * FROM {}",
            "DROP TABLE {}",
            "ALTER TABLE seemory.restored RENAME TO {name}",
            "ALTER TABLE {} ADD PRIMARY KEY (owner_id, item_id)",
        ):
            name = Identifier(shelved.generation.table)
            connection.execute(SQL(statement).format(table, name=name))
        connection.execute(
            SQL("UPDATE {} SET embedding = %s::halfvec WHERE item_id = %s").format(table),
            [text(target), far.item.item_id],
        )
    assert nearest(shelved, target)[0] == far.item.item_id
    shelved.agree(target)


def test_after_a_crash_of_postgres_copies_are_made_anew(own: tuple[Path, Shelved]) -> None:
    """Numbers of transactions that left no trace may be given again."""
    home, shelved = own
    key = shelved.query._resident._key(shelved.generation)
    before = SHELF.find(key).mark
    with psycopg.connect(unbound_url(home), autocommit=True) as victim, psycopg.connect(unbound_url(home)) as witness:
        os.kill(victim.info.backend_pid, signal.SIGKILL)
        with pytest.raises(psycopg.OperationalError):  # they all end
            witness.execute("SELECT pg_sleep(60)")
    deadline, target = time.monotonic() + 90, drawn(shelved.rng, 1)[0]
    while True:  # until it has recovered, and every connection of the pool has been replaced
        try:
            with shelved.database.transaction(shelved.owner) as connection:
                after = mark(connection, shelved.generation)
            shelved.agree(target)
            break
        except StoreError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert after.incarnation != before.incarnation
    kept = SHELF.find(key)
    assert kept is None or kept.mark.incarnation == after.incarnation, "made anew"
    shelved.query.close()
    shelved.load()


def test_rows_that_were_there_before_are_noted_by_the_migration(own: tuple[Path, Shelved]) -> None:
    """A table as an older Seemory made it, and the statement that the migration brings it up to date with."""
    _, shelved = own
    table = Identifier("seemory", shelved.generation.table)
    shelved.query.close()
    with shelved.database.transaction(shelved.owner) as connection:
        connection.execute(SQL("DROP TRIGGER written ON {0}; ALTER TABLE {0} DROP COLUMN written").format(table))
    migration = next(migration for migration in migrations() if migration.name.endswith("_written"))
    last = migration.sql.strip().splitlines()[-1]
    assert "seemory.note_writing" in last
    with shelved.database.transaction(None) as connection:
        connection.execute(last)
    with shelved.database.transaction(shelved.owner) as connection:
        written = connection.execute(SQL("SELECT DISTINCT written::text FROM {}").format(table)).fetchall()
        assert len(written) == 1
    target = drawn(shelved.rng, 1)[0]
    shelved.load()
    (new,) = shelved.insert(target[None])
    assert nearest(shelved, target)[0] == new
    shelved.agree(target)
