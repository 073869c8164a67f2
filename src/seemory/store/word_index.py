"""Words by their index under row-level security, which Postgres allows only where matching gives nothing away.

A condition that may tell of a row it looked at (by an error, say) must wait until the policy has let the row through,
and no index can be asked for it. `@@` is not declared to be free of that, though matching a document has no error that
depends on it, and shows nothing but whether it matches. A superuser may declare it, database by database.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import psycopg

_DECLARED = """
SELECT proleakproof FROM pg_catalog.pg_proc
WHERE oid = 'pg_catalog.ts_match_vq(tsvector, tsquery)'::regprocedure"""
DECLARE = "ALTER FUNCTION pg_catalog.ts_match_vq(tsvector, tsquery) LEAKPROOF"
"""What a superuser says, for searches by words to go by their index."""


def is_declared(connection: psycopg.Connection[Any]) -> bool:
    """Whether searches by words may use their index in this database."""
    row = connection.execute(_DECLARED).fetchone()
    return row is not None and bool(row[0])


def declare(connection: psycopg.Connection[Any]) -> None:
    """Let searches by words use their index in this database; nothing where the role may not (autocommit)."""
    if not is_declared(connection):
        with suppress(psycopg.errors.InsufficientPrivilege):
            connection.execute(DECLARE)
