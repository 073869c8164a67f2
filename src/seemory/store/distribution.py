"""The schema on a cluster: an owner's tables as Citus tables by `owner_id`, the few without owner on every node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import psycopg
from psycopg.sql import SQL, Identifier
from psycopg.sql import Literal as Value

from seemory.errors import DatabaseUnreachable, StoreError, UsageError
from seemory.store.address import explained
from seemory.store.migrate import LOCK

OLDEST_CITUS = (13, 0)
OLDEST_POSTGRES = 17
"""Citus on PostgreSQL 15 and 16 refuses outer joins of the kind that asks what is known of a file."""

SHARDS = 32

_LOCAL = ("schema_migration",)  # asked for on the coordinator alone

_EVERYWHERE = ("rollout",)  # an owner's rows, but few, an operator's to write, and asked for beside generations

_CITUS = "SELECT extversion FROM pg_extension WHERE extname = 'citus'"

_TABLES = """
SELECT c.relname, EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'owner_id'
                          AND NOT a.attisdropped) AND c.relname <> ALL (%(everywhere)s),
       c.relforcerowsecurity
FROM pg_class c WHERE c.relnamespace = 'seemory'::regnamespace AND c.relkind = 'r'
-- first what others refer to: without them these come in the order in which they were made
ORDER BY c.relname NOT IN ('collection', 'generation'), c.relname NOT IN ('asset', 'item'), c.oid"""

_PLACED = """
SELECT c.relname FROM pg_dist_partition p JOIN pg_class c ON c.oid = p.logicalrelid
WHERE c.relnamespace = 'seemory'::regnamespace
  AND (p.partmethod = 'h' OR (p.partmethod = 'n' AND p.repmodel = 't'))"""

# Foreign keys between owners' tables: taken away while one side is distributed and the other is not yet.
_LINKS = """
SELECT k.conname, t.relname, pg_get_constraintdef(k.oid)
FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid
WHERE k.contype = 'f' AND k.connamespace = 'seemory'::regnamespace AND k.conparentid = 0
  AND t.relname = ANY (%(owned)s) AND k.confrelid IN (SELECT c.oid FROM pg_class c
      WHERE c.relnamespace = 'seemory'::regnamespace AND c.relname = ANY (%(owned)s))"""

_FORGET_WRITING = "DROP TRIGGER IF EXISTS written ON {0}; ALTER TABLE {0} DROP COLUMN IF EXISTS written"

_FUNCTIONS = """
SELECT p.oid::regprocedure::text FROM pg_proc p
WHERE p.pronamespace = 'seemory'::regnamespace
  AND p.prorettype <> 'trigger'::regtype
  AND NOT EXISTS (SELECT FROM pg_dist_object o WHERE o.classid = 'pg_proc'::regclass AND o.objid = p.oid)"""


@dataclass(frozen=True, slots=True)
class Placement:
    """How one table lies on the cluster."""

    table: str
    kind: Literal["distributed", "reference"]
    rows: int
    done_before: bool


def is_distributed(connection: psycopg.Connection[Any]) -> bool:
    """Whether the schema's tables are distributed; also on a server that has never heard of Citus."""
    row = connection.execute("SELECT to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL").fetchone()
    if row is None or not row[0]:
        return False
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = to_regclass('seemory.asset') "
        "AND partmethod = 'h')"
    ).fetchone()
    return bool(row and row[0])


def tells_workers(connection: psycopg.Connection[Any]) -> bool:
    """Whether the connection was made on a Citus coordinator, to pass on what SET LOCAL says, and nothing else."""
    return "citus.propagate_set_commands" in connection.info.options


def planned_rows(plan: Mapping[str, Any]) -> int:
    """How many rows a plan (of EXPLAIN, as JSON) expects; on a cluster, those that its shards expect."""
    tasks = plan.get("Distributed Query", {}).get("Job", {}).get("Tasks")
    if not tasks:
        return int(plan["Plan Rows"])
    return sum(planned_rows(task["Remote Plan"][0][0]["Plan"]) for task in tasks if "Remote Plan" in task)


def place_table(connection: psycopg.Connection[Any], table: str, shards: int | None = None) -> None:
    """Distribute one owner's table beside the others; with `shards`, as the first of them."""
    name = f"seemory.{Identifier(table).as_string(connection)}"
    beside = (
        SQL("colocate_with => 'seemory.asset'") if shards is None else SQL("shard_count => {}").format(Value(shards))
    )
    connection.execute(SQL("SELECT create_distributed_table({}, 'owner_id', {})").format(Value(name), beside))


def distribute(
    connection: psycopg.Connection[Any],
    *,
    shards: int = SHARDS,
    dry_run: bool = False,
    listen: Callable[[str], None] = lambda _: None,
) -> list[Placement]:
    """How every table lies on the cluster now, in one transaction: all of it or nothing, whenever it is killed.

    What is distributed already stays as it is, so it may be called again: after a migration has brought a table.
    Rows are moved and counted on both sides. Others wait until it is over.

    Args:
        connection: of the role that owns the schema, not in a transaction.
        shards: of the first table, which all others follow.
        dry_run: say what would be done.
        listen: called with the name of each table before it is moved.

    Raises:
        UsageError: there is no Citus in this database, or too few shards.
        StoreError: Citus is too old or has no nodes, or rows were lost on the way: then nothing was changed.
    """
    if shards < 1:
        raise UsageError(f"{shards} shards are too few: at least 1, and some for each worker (default {SHARDS})")
    require_citus(connection)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        connection.execute("SET LOCAL citus.multi_shard_modify_mode TO 'sequential'")
        placed = {name for (name,) in connection.execute(_PLACED)}
        tables = [
            row
            for row in connection.execute(_TABLES, {"everywhere": list(_EVERYWHERE)}).fetchall()
            if row[0] not in _LOCAL
        ]
        todo = [name for name, owned, _ in tables if owned and name not in placed]
        forced = [name for name, owned, is_forced in tables if is_forced]
        for name in forced:  # the policies would hide the rows from whoever moves and counts them
            connection.execute(SQL("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY").format(_named(name)))
        before = {name: _count(connection, name) for name, _, _ in tables}
        result = [
            Placement(name, "distributed" if owned else "reference", before[name], name in placed)
            for name, owned, _ in tables
        ]
        if dry_run:
            raise psycopg.Rollback  # leaves this block
        links = connection.execute(_LINKS, {"owned": todo}).fetchall() if todo else []
        for link, table, _ in links:
            connection.execute(SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(_named(table), Identifier(link)))
        for name, owned, _ in tables:
            if name in placed:
                continue
            listen(name)
            if "_memory_v" in name:  # Citus takes no triggers, and its nodes number transactions apart
                connection.execute(SQL(_FORGET_WRITING).format(_named(name)))
            if owned:
                place_table(connection, name, shards if name == "asset" else None)
            else:
                connection.execute("SELECT create_reference_table(%s)", [f"seemory.{name}"])
        for link, table, definition in links:
            connection.execute(
                SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(_named(table), Identifier(link), SQL(definition))
            )
        for (function,) in connection.execute(_FUNCTIONS).fetchall():
            connection.execute("SELECT create_distributed_function(%s)", [function])
        for name, rows in before.items():
            if (now := _count(connection, name)) != rows:
                raise StoreError(f"table {name} had {rows} rows and has {now} on the cluster: nothing was changed")
        for name in forced:
            connection.execute(SQL("ALTER TABLE {} FORCE ROW LEVEL SECURITY").format(_named(name)))
    return result


def distribute_database(
    conninfo: str, *, shards: int = SHARDS, dry_run: bool = False, listen: Callable[[str], None] = lambda _: None
) -> list[Placement]:
    """`distribute` over a connection of its own; `conninfo` is how the memory's own connections are made.

    Raises as it does, and DatabaseUnreachable without a connection.
    """
    try:
        with psycopg.connect(conninfo, connect_timeout=10, autocommit=True) as connection:
            return distribute(connection, shards=shards, dry_run=dry_run, listen=listen)
    except psycopg.OperationalError as error:
        raise DatabaseUnreachable(f"the connection to {explained(conninfo, error)} broke") from error
    except psycopg.Error as error:
        raise StoreError(f"nothing was changed: {explained(conninfo, error)}") from error


def require_citus(connection: psycopg.Connection[Any]) -> None:
    """Refuse a database that cannot be distributed.

    Raises:
        UsageError: no Citus in it.
        StoreError: Citus is too old, or has no worker.
    """
    row = connection.execute(_CITUS).fetchone()
    if row is None:
        raise UsageError(
            "this database has no Citus: tables can be distributed on a Citus coordinator only (install Citus on every "
            "node, then in this database: CREATE EXTENSION citus; SELECT citus_add_node('worker', 5432);)"
        )
    version = tuple(int(part) for part in row[0].partition("-")[0].split(".")[:2])
    if version < OLDEST_CITUS:
        raise StoreError(f"this database has Citus {row[0]}; Seemory needs {OLDEST_CITUS[0]} or newer")
    if connection.info.server_version < OLDEST_POSTGRES * 10_000:
        raise StoreError(
            f"a cluster needs PostgreSQL {OLDEST_POSTGRES} or newer on every node, and this is "
            f"{connection.info.server_version // 10_000}: Citus on older ones refuses some of the queries"
        )
    nodes = connection.execute("SELECT count(*) FROM pg_dist_node WHERE shouldhaveshards AND isactive").fetchone()
    if nodes is None or nodes[0] == 0:
        raise StoreError("this Citus has no node that takes shards: SELECT citus_add_node('worker', 5432);")


def _named(table: str) -> Identifier:
    return Identifier("seemory", table)


def _count(connection: psycopg.Connection[Any], table: str) -> int:
    row = connection.execute(SQL("SELECT count(*) FROM {}").format(_named(table))).fetchone()
    return int(row[0]) if row else 0
