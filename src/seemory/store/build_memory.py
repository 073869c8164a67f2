"""Memory for the building of an index: pgvector builds far slower once the graph does not fit in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.sql import Identifier

# What the graph needs is told from the table's size, because row-level security hides how many rows others have. A row
# has 2 bytes a dimension and some 150 more at least; in the graph it has its halves and about 1,200 bytes (m = 16).
# A server says by effective_cache_size how much memory it believes to have: a build may take a quarter.
_RAISE = """
SELECT set_config('maintenance_work_mem', greatest(current, least(wanted, allowed))::bigint || 'kB', true)
FROM (SELECT (SELECT setting::numeric FROM pg_settings WHERE name = 'maintenance_work_mem') AS current,
             pg_table_size(%(table)s::regclass) / (2 * %(dim)s + 150.0) * (2 * %(dim)s + 1200) / 1024 AS wanted,
             (SELECT setting::numeric * 8 / 4 FROM pg_settings WHERE name = 'effective_cache_size') AS allowed
     ) AS sizes"""


def with_memory(connection: psycopg.Connection[Any], table: Identifier, dim: int, build: Callable[[], object]) -> None:
    """Run `build` with as much memory as the graph of that table needs and the server can spare, until the transaction
    ends. Where parallel builders cannot share so much (a container's small /dev/shm), it is run again by one alone.
    """
    connection.execute(_RAISE, {"table": table.as_string(connection), "dim": dim})
    try:
        with connection.transaction():
            build()
    except (psycopg.errors.DiskFull, psycopg.errors.OutOfMemory):
        connection.execute("SET LOCAL max_parallel_maintenance_workers = 0")
        build()
