"""What a copy is read with: the mark that says what it holds, and the owner's vectors, all or those written since.

A mark is taken first and the rows are read after it. Whatever a transaction older than the mark has written is
committed or undone by then, so it is read; what any other has written has a number that says so, and is compared by
Postgres in each search until it is read too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from psycopg.sql import SQL, Identifier, Literal

from seemory.store.connect import Connection
from seemory.types import Generation, Vectors

INCARNATION = (
    "concat_ws(' ', to_regclass({name})::oid, pg_postmaster_start_time(), pg_stat_get_bgwriter_stat_reset_time())"
)
"""The table, the start of its server, and the last crash that it came back from (statistics begin anew after one): as
long as it is the same, transactions were numbered on without a gap. Restored rows are in another table."""

_HEADER = 19  # bytes before the first row of a binary COPY
_BLOCK = 1 << 22


@dataclass(frozen=True, slots=True)
class Mark:
    """Up to where a copy reaches."""

    incarnation: str
    oldest: int
    """The oldest transaction that was under way; all that older ones have written is in the copy."""


def mark(connection: Connection, generation: Generation) -> Mark:
    """The mark of this moment."""
    name = Literal(f"seemory.{generation.table}")
    statement = SQL("SELECT " + INCARNATION + ", pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
    row = connection.execute(statement.format(name=name)).fetchone()
    assert row is not None
    return Mark(*row)


def count(connection: Connection, owner: str, generation: Generation, most: int) -> int:
    """How many rows the owner has, counted up to `most`."""
    statement = SQL("SELECT count(*) FROM (SELECT FROM {} WHERE owner_id = %s LIMIT %s) AS counted")
    row = connection.execute(statement.format(Identifier("seemory", generation.table)), [owner, most]).fetchone()
    return int(row[0]) if row else 0


def sample(connection: Connection, owner: str, generation: Generation, most: int) -> Vectors:
    """At most so many of the owner's vectors, drawn at random: `(n, d)` float32."""
    statement = SQL(
        "SELECT embedding FROM {table} WHERE owner_id = %s AND embedding IS NOT NULL AND item_id = ANY (ARRAY("
        "SELECT item_id FROM {table} WHERE owner_id = %s ORDER BY random() LIMIT %s))"
    ).format(table=Identifier("seemory", generation.table))
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(statement, [owner, owner, most]).fetchall()
    return np.array([vector for (vector,) in rows], np.float32).reshape(-1, generation.dim)


def blocks(
    connection: Connection, owner: str, generation: Generation, until: Mark, since: Mark | None = None
) -> Iterator[tuple[NDArray[np.uint8], Vectors]]:
    """The owner's vectors that a copy of the mark `until` has, and one of `since` has not.

    As they come: ids `(n, 16)` and `(n, d)` float32. `until` was taken before this transaction's snapshot or with it.
    """
    conditions = SQL("owner_id = {} AND embedding IS NOT NULL AND written < {}::text::xid8").format(
        Literal(owner), Literal(str(until.oldest))
    )
    if since is not None:
        conditions += SQL(" AND written >= {}::text::xid8").format(Literal(str(since.oldest)))
    statement = SQL("COPY (SELECT item_id, embedding FROM {} WHERE {}) TO STDOUT (FORMAT BINARY)").format(
        Identifier("seemory", generation.table), conditions
    )
    row = np.dtype(
        [("columns", ">i2"), ("id_bytes", ">i4"), ("id", "u1", 16), ("vector_bytes", ">i4"), ("dim", ">i2"),
         ("unused", ">i2"), ("vector", ">f2", generation.dim)]
    )  # fmt: skip
    waiting, seen = bytearray(), 0
    with connection.cursor().copy(statement) as copy:
        for part in copy:
            waiting += part
            if len(waiting) >= _BLOCK:
                start = 0 if seen else _HEADER
                rows = np.frombuffer(bytes(waiting), row, (len(waiting) - start) // row.itemsize, start)
                del waiting[: start + rows.nbytes]
                seen += len(rows)
                yield rows["id"], rows["vector"].astype(np.float32)
    start = 0 if seen else _HEADER
    rows = np.frombuffer(bytes(waiting), row, (len(waiting) - start) // row.itemsize, start)
    if len(rows):
        yield rows["id"], rows["vector"].astype(np.float32)
