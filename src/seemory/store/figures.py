"""What one owner's share of a generation looks like: counts, failures, samples, and how fast it grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from psycopg.sql import SQL, Composed, Identifier

from seemory.store.connect import Database
from seemory.store.texts import unescape
from seemory.types import Generation, Vector

# A remembered text has a vector in the sentences' generation, and is to have none in the pictures'.
_ITEMS = """
SELECT count(*) FROM seemory.item i
WHERE i.owner_id = %s AND i.collection_id = (SELECT id FROM seemory.collection WHERE name = %s)
  AND NOT (i.kind = 'text' AND EXISTS (SELECT FROM seemory.asset a WHERE a.owner_id = i.owner_id AND a.id = i.asset_id
                                       AND starts_with(a.uri, 'memory:')))"""

_FAILURES = """
SELECT coalesce(left(metadata ->> 'error', 200), '-') AS reason, count(*)
FROM {table} WHERE owner_id = %s AND embedding IS NULL GROUP BY reason ORDER BY count(*) DESC, reason"""

# Of items whose file is there: one that is gone from disk (and marked so) cannot be embedded, and is in no answer.
_LOST = """
SELECT count(*) FROM {old} o JOIN {new} n ON n.owner_id = o.owner_id AND n.item_id = o.item_id
JOIN seemory.item i ON i.owner_id = o.owner_id AND i.id = o.item_id
JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id
WHERE o.owner_id = %s AND o.embedding IS NOT NULL AND n.embedding IS NULL AND a.missing_at IS NULL"""

_RATE = """
WITH made AS (SELECT (metadata ->> 'created_at')::timestamptz AS at FROM {table} WHERE owner_id = %s),
     late AS (SELECT at FROM made WHERE at > (SELECT max(at) FROM made) - interval '60 s')
SELECT (count(*) - 1) / nullif(extract(epoch FROM max(at) - min(at)), 0)::float8 FROM late"""

# Ids are random, so the items after a random id are a random sample.
_SAMPLE = """
(SELECT i.id, a.uri, a.bytes, a.mtime_ns, v.embedding
 FROM {table} v JOIN seemory.item i ON i.owner_id = v.owner_id AND i.id = v.item_id
 JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id
 WHERE v.owner_id = %(owner)s AND v.item_id >= %(from)s AND v.embedding IS NOT NULL AND a.missing_at IS NULL
 ORDER BY v.item_id LIMIT %(limit)s)
UNION ALL
(SELECT i.id, a.uri, a.bytes, a.mtime_ns, v.embedding
 FROM {table} v JOIN seemory.item i ON i.owner_id = v.owner_id AND i.id = v.item_id
 JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id
 WHERE v.owner_id = %(owner)s AND v.item_id < %(from)s AND v.embedding IS NOT NULL AND a.missing_at IS NULL
 ORDER BY v.item_id LIMIT %(limit)s)
LIMIT %(limit)s"""


@dataclass(frozen=True, slots=True)
class Sample:
    """One stored vector and the file it was made from, as the store knows it."""

    item_id: UUID
    uri: str
    bytes: int
    mtime_ns: int
    vector: Vector


class Figures:
    """Counts and samples of one owner's rows."""

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self.owner = owner

    def _one(self, statement: SQL | Composed, values: list[Any]) -> Any:
        with self._database.transaction(self.owner) as connection:
            row = connection.execute(statement, values).fetchone()
        return row[0] if row else None

    def items(self, collection: str) -> int:
        """How many items of the collection are to have a vector of what they show."""
        return int(self._one(SQL(_ITEMS), [self.owner, collection]) or 0)

    def rows(self, generation: Generation) -> int:
        """How many of them the generation has a row for, with a vector or with a reason."""
        statement = SQL("SELECT count(*) FROM {} WHERE owner_id = %s").format(_table(generation))
        return int(self._one(statement, [self.owner]) or 0)

    def failures(self, generation: Generation) -> dict[str, int]:
        """How many of its rows have no vector, by reason."""
        with self._database.transaction(self.owner) as connection:
            statement = SQL(_FAILURES).format(table=_table(generation))
            return dict(connection.execute(statement, [self.owner]).fetchall())

    def lost(self, old: Generation, new: Generation) -> int:
        """How many items have a vector in `old` and a row without one in `new`, their files being there."""
        return int(self._one(SQL(_LOST).format(old=_table(old), new=_table(new)), [self.owner]) or 0)

    def rate(self, generation: Generation) -> float | None:
        """Rows a second in the last minute in which there were any; None for fewer than two."""
        rate = self._one(SQL(_RATE).format(table=_table(generation)), [self.owner])
        return None if rate is None else float(rate)

    def sample(self, generation: Generation, limit: int) -> list[Sample]:
        """Up to `limit` random vectors."""
        names = {"owner": self.owner, "from": uuid4(), "limit": limit}
        with self._database.transaction(self.owner) as connection, connection.cursor(binary=True) as cursor:
            rows = cursor.execute(SQL(_SAMPLE).format(table=_table(generation)), names).fetchall()
        return [Sample(item_id, unescape(uri), *rest) for item_id, uri, *rest in rows]


def bytes_of(database: Database, generation: Generation) -> int:
    """Bytes of the generation's table with its indexes, of all owners."""
    with database.transaction(None) as connection:
        row = connection.execute(
            "SELECT pg_total_relation_size(to_regclass(%s))", [f"seemory.{generation.table}"]
        ).fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def sizes_of(database: Database, generation: Generation) -> dict[str, Any]:
    """Bytes of all owners' rows: of the table, of its vector index and its key, and of one vector as it is stored."""
    with database.transaction(None) as connection:
        row = connection.execute(
            "SELECT pg_table_size(t), coalesce(pg_relation_size(to_regclass(%s)), 0), pg_indexes_size(t) "
            "FROM to_regclass(%s) AS t",
            [f"seemory.{generation.table}_hnsw", f"seemory.{generation.table}"],
        ).fetchone()
    table, index, indexes = row if row and row[0] is not None else (0, 0, 0)
    return {
        "table_bytes": int(table),
        "index_bytes": int(index),
        "key_bytes": int(indexes) - int(index),
        "vector_bytes": 2 * generation.dim + 8,  # a halfvec: two bytes a dimension, and a head
    }


def embedding_times(database: Database, owner: str, generation: Generation, item_ids: Sequence[UUID]) -> list[float]:
    """Milliseconds of a forward pass for each of these items whose record says it."""
    statement = SQL(
        "SELECT (metadata ->> 'inference_time_ms')::float8 FROM {} WHERE owner_id = %s AND item_id = ANY (%s) "
        "AND jsonb_typeof(metadata -> 'inference_time_ms') = 'number'"
    ).format(_table(generation))
    with database.transaction(owner) as connection:
        return [ms for (ms,) in connection.execute(statement, [owner, list(item_ids)])]


def verification_of(database: Database, generation: Generation) -> dict[str, Any] | None:
    """What the generation's last verification found, if there was one."""
    with database.transaction(None) as connection:
        row = connection.execute(
            "SELECT verification FROM seemory.generation WHERE id = %s", [generation.id]
        ).fetchone()
    return row[0] if row else None


def is_indexed(database: Database, generation: Generation) -> bool:
    """Whether the generation has its approximate index."""
    with database.transaction(None) as connection:
        row = connection.execute("SELECT to_regclass(%s)", [f"seemory.{generation.table}_hnsw"]).fetchone()
    return bool(row and row[0] is not None)


def _table(generation: Generation) -> Identifier:
    return Identifier("seemory", generation.table)
