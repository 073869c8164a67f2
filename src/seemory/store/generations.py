"""Generations: one table of vectors for each fingerprint, and which of them is live."""

from __future__ import annotations

from typing import Any, Literal

import psycopg
from psycopg import sql

from seemory.errors import StoreError, UsageError
from seemory.store.ann_index import WIDEST_INDEXED
from seemory.store.connect import Database
from seemory.store.distribution import is_distributed, place_table
from seemory.store.texts import clean
from seemory.types import Channel, Generation

MOST_DIMENSIONS = 16_000  # of a halfvec

_SELECT = """
SELECT g.id, c.name, g.channel, g.table_name, g.model, g.fingerprint, g.dim, g.state
FROM seemory.generation g JOIN seemory.collection c ON c.id = g.collection_id"""

ROLLED_OUT = """
LEFT JOIN seemory.rollout r ON r.owner_id = %(owner)s AND r.collection_id = g.collection_id AND r.channel = g.channel"""
"""Joined to a generation `g`: whether an operator has given the owner another one than the live one."""

ANSWERS = "coalesce(g.id = r.generation_id, g.state = 'live')"
"""Whether the generation answers for the owner; for nobody in particular (NULL), whether it is the live one."""

# STORAGE MAIN keeps vectors of more than some 1,000 dimensions in the row, where an exact scan finds them at once. What
# is wider than an index takes does not fit a page: it lies outside, and no time is spent on trying to shrink it. The
# vectors of a scene's frames always lie outside: only who asks for the moment reads them.
_MAKE_TABLE = """
CREATE TABLE {table} (
    owner_id  text NOT NULL CHECK (owner_id <> ''),
    item_id   uuid NOT NULL,
    embedding halfvec({dim}),
    metadata  jsonb NOT NULL DEFAULT '{{}}',
    frames    halfvec({dim})[],
    PRIMARY KEY (owner_id, item_id)
);
ALTER TABLE {table} ALTER COLUMN embedding SET STORAGE {storage};
ALTER TABLE {table} ALTER COLUMN frames SET STORAGE EXTERNAL;
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON {table}
    USING (owner_id = current_setting('seemory.owner', true))
    WITH CHECK (owner_id = current_setting('seemory.owner', true));"""

# Apart from the table, because a distributed table can refer to a distributed one only once it is distributed itself.
_REFER_TO_ITEM = """
ALTER TABLE {table}
    ADD FOREIGN KEY (owner_id, item_id) REFERENCES seemory.item (owner_id, id) ON DELETE CASCADE"""


class Generations:
    """The collections and their generations; they have no owner, all owners of a collection share them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def live(self, collection: str, channel: Channel = "visual", *, owner: str | None = None) -> Generation | None:
        """The generation that the collection's alias points at; None if nothing was ever indexed.

        For an `owner`, the one that answers for it: another one while a change of encoder is rolled out owner by owner.
        """
        statement = f"{_SELECT}{ROLLED_OUT} WHERE c.name = %(name)s AND g.channel = %(channel)s AND {ANSWERS}"
        with self._database.reading(owner) as reading:
            rows = reading.rows(statement, {"name": collection, "channel": channel, "owner": owner})
        return Generation(*rows[0]) if rows else None

    def all(self, collection: str, channel: Channel = "visual", *, owner: str | None = None) -> list[Generation]:
        """All generations of a collection's channel as of one moment, the live one first, then newest first.

        For an `owner`, the one that answers for it comes first.
        """
        with self._database.transaction(owner) as connection:
            return generations_of(connection, collection, channel, owner=owner)

    def create(
        self, collection: str, channel: Channel, *, model: str, fingerprint: str, dim: int, first: bool = False
    ) -> Generation:
        """The generation of that fingerprint, made if there is none: live if no other is, or else building.

        With `first`, nothing is made beside a live one: that is returned, whatever its fingerprint.

        Raises:
            UsageError: more dimensions than can be stored, or a name that is empty or cannot be stored.
        """
        require_width(model, dim)
        if not collection.strip() or clean(collection) != collection:
            raise UsageError(f"{collection!r} is no name for a collection")
        with self._database.transaction(None) as connection:
            # Two processes may index a new collection at once: the second waits here, and finds what the first made.
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", [collection])
            connection.execute(
                "INSERT INTO seemory.collection (name) VALUES (%s) ON CONFLICT (name) DO NOTHING", [collection]
            )
            existing = connection.execute(
                f"{_SELECT} WHERE c.name = %s AND g.channel = %s AND (g.fingerprint = %s OR (%s AND g.state = 'live')) "
                f"AND g.state IN ('live', 'ready', 'building') ORDER BY g.state = 'live' DESC, g.id DESC LIMIT 1",
                [collection, channel, fingerprint, first],
            ).fetchone()
            if existing:
                return Generation(*existing)
            return make_generation(connection, collection, channel, model, fingerprint, dim)

    def collections(self) -> list[str]:
        """The names of all collections, in order."""
        with self._database.transaction(None) as connection:
            return [name for (name,) in connection.execute("SELECT name FROM seemory.collection ORDER BY name")]


def require_width(model: str, dim: int) -> None:
    """Refuse vectors that cannot be stored.

    Raises:
        UsageError: they have none, or too many dimensions.
    """
    if not 0 < dim <= MOST_DIMENSIONS:
        raise UsageError(
            f"{model} has {dim} dimensions, and a half-precision vector has 1 to {MOST_DIMENSIONS}: "
            f"choose a narrower encoder"
        )


def generations_of(
    connection: psycopg.Connection[Any],
    collection: str,
    channel: Channel = "visual",
    *,
    owner: str | None = None,
    lock: bool = False,
) -> list[Generation]:
    """All generations of a collection's channel, the one that answers first; with `lock`, nobody else changes them."""
    rows = connection.execute(
        f"{_SELECT}{ROLLED_OUT} WHERE c.name = %(name)s AND g.channel = %(channel)s ORDER BY {ANSWERS} DESC, g.id DESC"
        + (" FOR UPDATE OF g" if lock else ""),
        {"name": collection, "channel": channel, "owner": owner},
    )
    return [Generation(*row) for row in rows]


def make_generation(
    connection: psycopg.Connection[Any], collection: str, channel: Channel, model: str, fingerprint: str, dim: int
) -> Generation:
    """A new generation with its table: live if no other is, or else building."""
    # The table is named after its generation's number, so the number comes first. Three plain statements, because Citus
    # takes no insert that makes its values itself; whoever calls this keeps others out.
    row = connection.execute(
        """
        SELECT c.id, count(g.id)
        FROM seemory.collection c
        LEFT JOIN seemory.generation g ON g.collection_id = c.id AND g.channel = %s AND g.state = 'live'
        WHERE c.name = %s GROUP BY c.id""",
        [channel, collection],
    ).fetchone()
    if row is None:
        raise StoreError(f"collection {collection!r} vanished while its generation was made")
    collection_id, beside = row
    (number,) = connection.execute("SELECT nextval(pg_get_serial_sequence('seemory.generation', 'id'))").fetchall()[0]
    name = f"{channel}_memory_v{number}"
    state: Literal["building", "live"] = "building" if beside else "live"
    connection.execute(
        """
        INSERT INTO seemory.generation (id, collection_id, channel, table_name, model, fingerprint, dim, state)
        OVERRIDING SYSTEM VALUE VALUES (%s, %s, %s, %s, %s, %s, %s, %s)""",
        [number, collection_id, channel, name, model, fingerprint, dim, state],
    )
    table = sql.Identifier("seemory", name)
    storage = sql.SQL("EXTERNAL" if dim > WIDEST_INDEXED else "MAIN")
    connection.execute(sql.SQL(_MAKE_TABLE).format(table=table, dim=sql.Literal(dim), storage=storage))
    if is_distributed(connection):
        place_table(connection, name)
    connection.execute(sql.SQL(_REFER_TO_ITEM).format(table=table))
    connection.execute("SELECT seemory.note_writing(%s)", [name])
    return Generation(number, collection, channel, name, model, fingerprint, dim, state)
