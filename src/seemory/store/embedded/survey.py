# ruff: noqa: S608 - every name in these statements is quoted by Postgres itself
"""What a server holds, so that two of them can be compared: every row of every table, and who may do what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg.sql import SQL

from seemory.telemetry import Progress, ProgressListener, ignore

UrlOf = Callable[[str], str]
"""The address of the database of that name, as a superuser."""

_OURS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"

# Vectors and pictures by their bytes, the rest as text. md5 is alike in all versions; Postgres' own hashes need not be.
_TABLES = f"""
SELECT format('%I.%I', n.nspname, c.relname), string_agg(
    CASE WHEN t.typname = 'bytea' THEN format('md5(%I)', a.attname)
         WHEN t.typname IN ('vector', 'halfvec', 'sparsevec')
         THEN format('md5(%I.%I(%I))', tn.nspname, t.typname || '_send', a.attname)
         ELSE format('%I', a.attname) END, ', ' ORDER BY a.attnum)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_namespace tn ON tn.oid = t.typnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND {_OURS}
GROUP BY n.nspname, c.relname ORDER BY 1"""

_ROWS = """
SELECT count(*), coalesce(sum(('x' || left(md5(ROW({columns})::text), 15))::bit(60)::bigint::numeric), 0)::text
FROM {table}"""

# Names and marks, not definitions: how those are worded differs between versions.
_SHAPE: dict[str, LiteralString] = {
    "relation": f"""
        SELECT format('%I.%I', n.nspname, c.relname), c.relkind::text, c.relrowsecurity, c.relforcerowsecurity,
               pg_get_userbyid(c.relowner)::text, coalesce(c.relacl::text, ''), coalesce(i.indisvalid, true)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index i ON i.indexrelid = c.oid
        WHERE {_OURS}""",
    "policy": f"""
        SELECT format('%I.%I', n.nspname, c.relname), p.polname::text, p.polcmd::text, p.polpermissive, p.polroles::text
        FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {_OURS}""",
    "constraint": f"""
        SELECT n.nspname::text, k.conrelid::regclass::text, k.conname::text, k.contype::text, k.convalidated
        FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE k.contype <> 'n' AND {_OURS}""",
    "function": f"""
        SELECT n.nspname::text, p.proname::text, p.pronargs::int, md5(p.prosrc), p.prosecdef,
               pg_get_userbyid(p.proowner)::text, coalesce(p.proacl::text, '')
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE {_OURS} AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')""",
    "trigger": f"""
        SELECT format('%I.%I', n.nspname, c.relname), t.tgname::text, t.tgenabled::text
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE NOT t.tgisinternal AND {_OURS}""",
    "sequence": "SELECT schemaname::text, sequencename::text, last_value FROM pg_sequences",
    "extension": "SELECT extname::text FROM pg_extension",
}
_ROLES = """
SELECT rolname::text, rolsuper, rolbypassrls, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin,
       ARRAY(SELECT pg_get_userbyid(roleid)::text FROM pg_auth_members WHERE member = r.oid ORDER BY 1)::text
FROM pg_roles r WHERE rolname !~ '^pg_'"""


@dataclass(frozen=True, slots=True)
class Survey:
    """All databases of one server."""

    rows: Mapping[str, tuple[int, str]]
    """Rows of each table, and a sum over what they hold."""
    shape: frozenset[tuple[Any, ...]]
    """Tables, indexes, policies, constraints, functions, extensions, roles …, each with its marks."""

    @property
    def count(self) -> int:
        """Rows of all tables."""
        return sum(count for count, _ in self.rows.values())


def survey(url_of: UrlOf, *, stage: str = "survey", listen: ProgressListener = ignore) -> Survey:
    """Everything there is, read once.

    Raises:
        psycopg.Error: something cannot be read; a damaged table is found here.
    """
    rows: dict[str, tuple[int, str]] = {}
    shape: set[tuple[Any, ...]] = set()
    for database in databases(url_of):
        with psycopg.connect(url_of(database)) as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            connection.execute("SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO'; SET LOCAL search_path = ''")
            for kind, statement in _SHAPE.items():
                shape.update((database, kind, *row) for row in connection.execute(statement))
            shape.update(("role", *row) for row in connection.execute(_ROLES))
            for table, columns in connection.execute(_TABLES).fetchall():
                summed = SQL(_ROWS).format(columns=_written(columns or ""), table=_written(table))
                count, content = connection.execute(summed).fetchone() or (0, "")
                rows[f"{database}: {table}"] = (count, content)
                listen(Progress(stage, sum(count for count, _ in rows.values()), unit="rows"))
    return Survey(rows, frozenset(shape))


def databases(url_of: UrlOf) -> list[str]:
    """Those that can be connected to."""
    with psycopg.connect(url_of("postgres"), autocommit=True) as connection:
        found = connection.execute("SELECT datname FROM pg_database WHERE datallowconn ORDER BY datname").fetchall()
    return [name for (name,) in found]


def differences(before: Survey, after: Survey) -> list[str]:
    """What is not alike, as sentences."""
    found = [
        f"{table} has {after.rows[table][0]} rows and not {rows[0]}"
        if after.rows[table][0] != rows[0]
        else f"{table} holds other rows"
        for table, rows in before.rows.items()
        if table in after.rows and after.rows[table] != rows
    ]
    found += [f"{table} is missing" for table in before.rows.keys() - after.rows.keys()]
    found += [f"no longer so: {entry}" for entry in sorted(before.shape - after.shape, key=str)]
    found += [f"newly so: {entry}" for entry in sorted(after.shape - before.shape, key=str)]
    return found


def _written(quoted: str) -> SQL:
    """Names that Postgres quoted, as SQL."""
    return SQL(quoted)
