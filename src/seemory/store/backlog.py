"""Items that a generation has no row for yet, and their rows once they were embedded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg.sql import SQL, Identifier

from seemory.store.connect import Database
from seemory.store.films import scene_columns
from seemory.store.rows import frame_facts
from seemory.store.texts import unescape
from seemory.store.writing import stored
from seemory.types import EmbeddingRecord, FrameFacts, Generation, Kind, SceneVectors, Vector

# An item of the collection without a row is behind; with `retry`, one whose row has no vector as well. A text that was
# remembered shows nothing, and never has a picture's vector.
_BEHIND = """
FROM seemory.item i
JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id
LEFT JOIN {table} v ON v.owner_id = i.owner_id AND v.item_id = i.id
WHERE i.owner_id = %(owner)s AND i.collection_id = (SELECT id FROM seemory.collection WHERE name = %(collection)s)
  AND (v.item_id IS NULL OR (%(retry)s AND v.embedding IS NULL)) AND NOT starts_with(a.uri, 'memory:')"""

_STAGING = """
CREATE TEMPORARY TABLE IF NOT EXISTS incoming_backlog (
    item_id uuid, embedding halfvec, record jsonb, frames text[]
) ON COMMIT DELETE ROWS"""
_COPY = "COPY pg_temp.incoming_backlog FROM STDIN (FORMAT BINARY)"
_TYPES = ["uuid", "halfvec", "jsonb", "text[]"]

# Only while the item is still there and its file still the one that was read. The locks make this wait for a writer who
# is changing it, and look again; in the order in which writers take them. A statement by itself, because Citus locks no
# rows while it reads a table of this connection alone.
_LOCK = """
SELECT i.id, a.sha256, a.mtime_ns
FROM seemory.item i JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id
WHERE i.owner_id = %s AND i.id = ANY (%s)
ORDER BY a.uri_key FOR SHARE OF a FOR KEY SHARE OF i"""
_WRITE = """
INSERT INTO {table} AS v (owner_id, item_id, embedding, metadata, frames)
SELECT %s, item_id, embedding, record, frames::halfvec[] FROM pg_temp.incoming_backlog ORDER BY item_id
ON CONFLICT (owner_id, item_id) DO UPDATE SET
    embedding = excluded.embedding, metadata = excluded.metadata, frames = excluded.frames
WHERE v.embedding IS NULL"""

_TWINS = """
SELECT DISTINCT ON (a.sha256) a.sha256, v.embedding, v.metadata
FROM seemory.asset a
JOIN seemory.item i ON i.owner_id = a.owner_id AND i.asset_id = a.id AND i.ordinal = 0
JOIN {table} v ON v.owner_id = i.owner_id AND v.item_id = i.id
WHERE a.owner_id = %s AND a.sha256 = ANY (%s::bytea[]) AND v.embedding IS NOT NULL
  AND a.collection_id = (SELECT id FROM seemory.collection WHERE name = %s)"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An item that is to be embedded, and the file it came from as the store knows it."""

    item_id: UUID
    kind: Kind
    ordinal: int
    uri: str
    sha256: bytes | None
    bytes: int
    mtime_ns: int
    frames: tuple[FrameFacts, ...] = ()
    """Of a scene: the frames that stand for it."""


Made = Vector | SceneVectors | None
"""What was made of an item: a vector, a scene's, or nothing."""


def has_backlog(connection: psycopg.Connection[Any], owner: str, generation: Generation) -> bool:
    """Whether any item of the owner has no row in the generation; the transaction is the owner's."""
    statement = SQL("SELECT EXISTS (SELECT" + _BEHIND + ")").format(table=Identifier("seemory", generation.table))
    row = connection.execute(statement, _names(owner, generation, False)).fetchone()
    return bool(row and row[0])


class Backlog:
    """What one owner's items still need in one generation."""

    def __init__(self, database: Database, owner: str, generation: Generation) -> None:
        self._database = database
        self.owner = owner
        self.generation = generation
        self._table = Identifier("seemory", generation.table)

    def count(self, *, retry: bool = False) -> int:
        """How many items wait."""
        statement = SQL("SELECT count(*)" + _BEHIND).format(table=self._table)
        with self._database.transaction(self.owner) as connection:
            row = connection.execute(statement, _names(self.owner, self.generation, retry)).fetchone()
        return int(row[0]) if row else 0

    def page(self, after: UUID, limit: int, *, retry: bool = False, scenes: bool = False) -> list[Waiting]:
        """The next items that wait, in the order of their ids: scenes of films, or all others."""
        statement = SQL(
            "SELECT i.id, i.kind, i.ordinal, a.uri, a.sha256, a.bytes, a.mtime_ns, i.metadata"
            + _BEHIND
            + " AND (i.kind = 'scene') = %(scenes)s AND i.id > %(after)s ORDER BY i.id LIMIT %(limit)s"
        ).format(table=self._table)
        names = _names(self.owner, self.generation, retry) | {"after": after, "limit": limit, "scenes": scenes}
        with self._database.transaction(self.owner) as connection:
            rows = connection.execute(statement, names).fetchall()
        return [
            Waiting(item, kind, n, unescape(uri), sha256, size, mtime_ns, frame_facts(told))
            for item, kind, n, uri, sha256, size, mtime_ns, told in rows
        ]

    def twins(self, hashes: Sequence[bytes]) -> list[tuple[bytes, tuple[Vector | None, EmbeddingRecord]]]:
        """(sha256, (vector, record)) that the generation has already for files of the same bytes."""
        statement = SQL(_TWINS).format(table=self._table)
        values = [self.owner, list(hashes), self.generation.collection]
        with self._database.transaction(self.owner) as connection, connection.cursor(binary=True) as cursor:
            rows = cursor.execute(statement, values).fetchall()
        known = set(EmbeddingRecord.__slots__)
        return [
            (sha256, (vector, EmbeddingRecord(**{name: value for name, value in record.items() if name in known})))
            for sha256, vector, record in rows
        ]

    def write(self, done: Sequence[tuple[Waiting, Made, EmbeddingRecord]]) -> int:
        """How many rows were written, all in one transaction; a vector that is there already is never replaced.

        Items that are gone, or whose file was indexed anew since they were read, are passed over.
        """
        with self._database.transaction(self.owner) as connection:
            locked = connection.execute(_LOCK, [self.owner, [waiting.item_id for waiting, _, _ in done]]).fetchall()
            now = {item_id: file for item_id, *file in locked}
            connection.execute(_STAGING)
            with connection.cursor().copy(_COPY) as copy:
                copy.set_types(_TYPES)
                for waiting, made, record in done:
                    if now.get(waiting.item_id) != [waiting.sha256, waiting.mtime_ns]:
                        continue
                    copy.write_row((waiting.item_id, *self._columns(waiting, made, record)))
            return connection.execute(SQL(_WRITE).format(table=self._table), [self.owner]).rowcount

    def _columns(self, waiting: Waiting, made: Made, record: EmbeddingRecord) -> tuple[Any, ...]:
        """embedding, record, frames."""
        if isinstance(made, SceneVectors):
            embedding, frames, document = scene_columns(made, self.generation.dim, waiting.uri)
            return embedding, document, frames
        return *stored(made, record, self.generation.dim, waiting.uri), None

    def without_vector(self, limit: int) -> list[tuple[UUID, str, str]]:
        """(item id, uri, reason) of items that the generation has no vector for."""
        statement = SQL("SELECT i.id, a.uri, " + _REASON + _BEHIND + " ORDER BY a.uri, i.id LIMIT %(limit)s").format(
            table=self._table
        )
        with self._database.transaction(self.owner) as connection:
            rows = connection.execute(statement, _names(self.owner, self.generation, True) | {"limit": limit})
            return [(item_id, unescape(uri), reason) for item_id, uri, reason in rows]

    def reasons(self) -> dict[str, int]:
        """How many items have no vector, by reason, the most frequent first."""
        statement = SQL(
            "SELECT " + _REASON + " AS reason, count(*)" + _BEHIND + " GROUP BY reason ORDER BY count(*) DESC, reason"
        ).format(table=self._table)
        with self._database.transaction(self.owner) as connection:
            return dict(connection.execute(statement, _names(self.owner, self.generation, True)).fetchall())


_REASON = (
    "CASE WHEN v.item_id IS NULL THEN 'not embedded yet' ELSE coalesce(left(v.metadata ->> 'error', 200), '-') END"
)


def _names(owner: str, generation: Generation, retry: bool) -> dict[str, Any]:
    return {"owner": owner, "collection": generation.collection, "retry": retry}
