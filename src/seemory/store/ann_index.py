"""The approximate index of a generation: built when an owner first has more rows than are compared one by one."""

from __future__ import annotations

from psycopg.sql import SQL, Identifier

from seemory.store.connect import Database
from seemory.types import Generation

EXACT_ROWS = 5_000
"""Up to so many rows that could be hits, all are compared; beyond, the index is asked (measured: docs/decisions.md)."""


def ensure_index(database: Database, owner: str, generation: Generation) -> bool:
    """Whether the HNSW index was built now: the owner has rows enough for it, and there was none.

    Building after a bulk load costs a fraction of keeping it up row by row; readers go on meanwhile, writers wait.
    """
    table = Identifier("seemory", generation.table)
    name = f"{generation.table}_hnsw"
    with database.transaction(owner) as connection:
        if connection.execute("SELECT to_regclass(%s)", [f"seemory.{name}"]).fetchone() != (None,):
            return False
        counted = SQL("SELECT count(*) FROM (SELECT FROM {} WHERE owner_id = %s LIMIT %s) AS counted").format(table)
        rows = connection.execute(counted, [owner, EXACT_ROWS + 1]).fetchone()
        if rows is None or rows[0] <= EXACT_ROWS:
            return False
        # Of two processes that come here, the second waits for the first and finds the index made.
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 2))", [name])
        connection.execute(
            SQL(
                "CREATE INDEX IF NOT EXISTS {} ON {} USING hnsw (embedding halfvec_cosine_ops) "
                "WITH (m = 16, ef_construction = 128)"
            ).format(Identifier(name), table)
        )
        return True
