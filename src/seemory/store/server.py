"""What a server is and has, and whether that is enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from seemory.errors import StoreError
from seemory.store.migrate import applied
from seemory.store.roles import ROLE, make_room

OLDEST_POSTGRES = 15
OLDEST_PGVECTOR = (0, 8)

_LOOK = """
SELECT current_setting('server_version_num')::int,
       me.rolname, me.rolsuper, me.rolbypassrls,
       extension.extversion, extension.schema,
       type.oid::int8, type.typarray::int8,
       EXISTS (SELECT FROM pg_roles WHERE rolname = 'seemory' AND rolname <> me.rolname
                                      AND pg_has_role(me.rolname, oid, 'MEMBER')),
       EXISTS (SELECT FROM pg_roles WHERE rolname = 'seemory' AND (rolsuper OR rolbypassrls)),
       EXISTS (SELECT FROM pg_extension WHERE extname = 'citus'),
       to_regclass('seemory.schema_migration') IS NOT NULL
FROM pg_roles me
LEFT JOIN (SELECT e.extversion, quote_ident(n.nspname) AS schema, n.oid AS namespace
           FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
           WHERE e.extname = 'vector') extension ON true
LEFT JOIN pg_type type ON type.typname = 'halfvec' AND type.typnamespace = extension.namespace
WHERE me.rolname = current_user"""


@dataclass(frozen=True, slots=True)
class Server:
    """A database as the role of its URL sees it."""

    version: int
    user: str
    unbound: bool
    """Whether row-level security does not hold that role."""
    pgvector: str | None
    extension_schema: str
    halfvec: int
    halfvec_array: int
    role: str | None
    """The role to change into, if the URL's own is not the one to work as."""
    role_unbound: bool
    """Whether row-level security does not hold the role `seemory`, because somebody gave it more than it needs."""
    citus: bool
    """Whether the database is one of a Citus cluster."""
    applied: Sequence[tuple[int, str, str]] | None
    """The migrations the database has; None if it has never seen Seemory."""

    @property
    def works_as(self) -> str:
        """The role that connections work as."""
        return self.role or self.user


def inspect(connection: psycopg.Connection[Any]) -> Server:
    """The server and database behind a connection, in two queries at most."""
    row = connection.execute(_LOOK).fetchone()
    if row is None:
        raise StoreError("this Postgres does not show the role it was reached as")
    version, user, superuser, bypass, pgvector, schema, halfvec, array, may_change, role_unbound, citus, known = row
    return Server(
        version=version,
        user=user,
        unbound=superuser or bypass,
        pgvector=pgvector,
        extension_schema=schema or "public",
        halfvec=halfvec or 0,
        halfvec_array=array or 0,
        role=ROLE if may_change else None,
        role_unbound=role_unbound,
        citus=citus,
        applied=_applied(connection, ROLE if may_change else None) if known else None,
    )


def require(server: Server, connection: psycopg.Connection[Any]) -> Server:
    """The server once it has all that is needed; what is missing is made, if the URL's role may.

    Raises:
        StoreError: it is too old, or something is missing that this role may not make; the message has the statement.
    """
    require_versions(server.version, server.pgvector)
    if server.role_unbound and (server.unbound or server.role == ROLE):
        raise StoreError(
            f"row-level security does not hold the role {ROLE} of this server, and Seemory works as no such role; "
            f"as a superuser: ALTER ROLE {ROLE} NOSUPERUSER NOBYPASSRLS;"
        )
    # A role of that name may be there from another database of this server: this one has to let it in all the same.
    lacks_room = server.unbound and (server.role is None or server.applied is None)
    if server.pgvector is not None and not lacks_room:
        return server
    try:
        if lacks_room:
            make_room(connection)
        if server.pgvector is None:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedFile) as error:
        if server.pgvector is None:
            raise StoreError(
                f"this database has no pgvector ({str(error).splitlines()[0]}): install it on the server "
                f"(https://github.com/pgvector/pgvector), then as a superuser: CREATE EXTENSION vector;"
            ) from error
        raise StoreError(
            f"row-level security does not hold the role {server.user}, and it may not make another "
            f"({str(error).splitlines()[0]}): connect as a role without SUPERUSER and BYPASSRLS"
        ) from error
    except psycopg.errors.FeatureNotSupported as error:  # Postgres 15 and later, extension not available
        raise StoreError(
            f"this server has no pgvector ({str(error).splitlines()[0]}): install pgvector >= "
            f"{'.'.join(map(str, OLDEST_PGVECTOR))} on it (https://github.com/pgvector/pgvector)"
        ) from error
    made = inspect(connection)
    require_versions(made.version, made.pgvector)
    return made


def require_versions(postgres: int, pgvector: str | None) -> None:
    """Refuse what is too old; `postgres` is `server_version_num`, and no pgvector at all is not refused here.

    Raises:
        StoreError: with what there is, and what is needed.
    """
    if postgres < OLDEST_POSTGRES * 10_000:
        raise StoreError(
            f"this server is PostgreSQL {postgres // 10_000}; Seemory needs {OLDEST_POSTGRES} or newer, "
            f"with pgvector {'.'.join(map(str, OLDEST_PGVECTOR))} or newer"
        )
    if pgvector is not None and tuple(int(part) for part in pgvector.split(".")[:2]) < OLDEST_PGVECTOR:
        raise StoreError(
            f"this database has pgvector {pgvector}; Seemory needs {'.'.join(map(str, OLDEST_PGVECTOR))} or newer: "
            f"update it on the server, then: ALTER EXTENSION vector UPDATE;"
        )


def _applied(connection: psycopg.Connection[Any], role: str | None) -> list[tuple[int, str, str]]:
    with connection.transaction():
        if role:
            connection.execute("SET LOCAL ROLE seemory")
        return applied(connection)
