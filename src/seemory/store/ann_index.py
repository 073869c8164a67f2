"""The approximate index of a generation: built when an owner first has more rows than are compared one by one.

An index of halves takes 4,000 dimensions. Of wider vectors their beginning is indexed, which the cosine operator brings
to norm 1 by itself: encoders trained for it (Matryoshka) have their most telling dimensions first. What the beginning
finds is ranked by whole vectors.
"""

from __future__ import annotations

from psycopg.sql import SQL, Composed, Identifier, Literal

from seemory.store.build_memory import with_memory
from seemory.store.connect import Connection, Database
from seemory.types import Generation

EXACT_ROWS = 5_000
"""Up to so many rows that could be hits, all are compared; beyond, the index is asked (measured: docs/decisions.md)."""

WIDEST_INDEXED = 4_000  # pgvector's limit for an index of halves
PREFIX = 1_024
"""So many dimensions of a vector that no index takes whole are indexed; a usual width of Matryoshka training."""


def is_wide(generation: Generation) -> bool:
    """Whether its vectors are wider than an index takes."""
    return generation.dim > WIDEST_INDEXED


def indexed_column(generation: Generation) -> SQL | Composed:
    """What the index is over, of a row `v`."""
    if is_wide(generation):
        return SQL("(subvector(v.embedding, 1, {0})::halfvec({0}))").format(Literal(PREFIX))
    return SQL("v.embedding")


def ensure_index(database: Database, owner: str, generation: Generation) -> bool:
    """Whether the HNSW index was built now: the owner has rows enough for it, and there was none.

    Building after a bulk load costs a fraction of keeping it up row by row; readers go on meanwhile, writers wait.
    """
    table = Identifier("seemory", generation.table)
    name = f"{generation.table}_hnsw"
    column: SQL | Composed = SQL("embedding")
    if is_wide(generation):
        column = SQL("(subvector(embedding, 1, {0})::halfvec({0}))").format(Literal(PREFIX))
    with database.transaction(owner) as connection:
        if connection.execute("SELECT to_regclass(%s)", [f"seemory.{name}"]).fetchone() != (None,):
            return False
        counted = SQL("SELECT count(*) FROM (SELECT FROM {} WHERE owner_id = %s LIMIT %s) AS counted").format(table)
        rows = connection.execute(counted, [owner, EXACT_ROWS + 1]).fetchone()
        if rows is None or rows[0] <= EXACT_ROWS:
            return False
        # Of two processes that come here, the second waits for the first and finds the index made.
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 2))", [name])
        statement = SQL(
            "CREATE INDEX IF NOT EXISTS {} ON {} USING hnsw ({} halfvec_cosine_ops) "
            "WITH (m = 16, ef_construction = 128)"
        ).format(Identifier(name), table, column)
        with_memory(connection, table, generation.dim, lambda: connection.execute(statement))
        analyze(connection, generation)
        return True


def analyze(connection: Connection, generation: Generation) -> None:
    """Have the planner count what came in: its estimates choose the way of a search, and filters are over all three."""
    table = Identifier("seemory", generation.table)
    connection.execute(SQL("ANALYZE seemory.asset, seemory.item, {}").format(table))
