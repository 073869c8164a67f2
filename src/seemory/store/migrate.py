"""Numbered SQL files → the schema `seemory`, each applied once, in order, in a transaction of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import psycopg

from seemory.errors import MigrationFailed

LOCK = 0x5EE_0001  # the advisory lock that lets one process migrate while the others wait

_BOOKS = """
CREATE SCHEMA IF NOT EXISTS seemory;
CREATE TABLE IF NOT EXISTS seemory.schema_migration (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One SQL file: `0001_foundations.sql` has version 1."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Hash of the file's text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@cache
def migrations() -> tuple[Migration, ...]:
    """The migrations that this version of Seemory has, oldest first."""
    files = (file for file in resources.files("seemory.store").joinpath("schema").iterdir() if file.name[:4].isdigit())
    return tuple(
        Migration(int(file.name[:4]), file.name.removesuffix(".sql"), file.read_text(encoding="utf-8"))
        for file in sorted(files, key=lambda file: file.name)
        if file.name.endswith(".sql")
    )


def pending(applied: Sequence[tuple[int, str, str]], known: Sequence[Migration] | None = None) -> list[Migration]:
    """The migrations still to be applied, given the (version, name, sha256) of those that were.

    Raises:
        MigrationFailed: the database is newer than this code, or an applied file was edited afterwards.
    """
    known = migrations() if known is None else known
    by_version = {migration.version: migration for migration in known}
    for version, name, sha256 in applied:
        migration = by_version.get(version)
        if migration is None:
            raise MigrationFailed(
                f"the database has migration {name}, which this version of Seemory does not know "
                f"(it knows up to {max(by_version, default=0)}): use the newer Seemory that made it"
            )
        if migration.sha256 != sha256:
            raise MigrationFailed(
                f"migration {name} was edited after it had been applied to this database: restore the file as it was, "
                f"and put the change into a new one"
            )
    done = {version for version, _, _ in applied}
    return [migration for migration in known if migration.version not in done]


def migrate(connection: psycopg.Connection[Any], known: Sequence[Migration] | None = None) -> list[str]:
    """Names of the migrations that were applied now; none if the schema was up to date.

    Raises:
        MigrationFailed: one was refused; it left nothing behind, those before it stay.
    """
    names: list[str] = []
    while True:
        # The lock ends with each transaction, so that a pooler between us and Postgres cannot keep it; whoever
        # comes next reads again what is left to do.
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            try:
                connection.execute(_BOOKS)
            except psycopg.errors.InsufficientPrivilege as error:
                raise MigrationFailed(
                    f"this role may not make the schema seemory ({error}): grant it, or connect once as the database's "
                    f"owner: GRANT CREATE ON DATABASE … TO …"
                ) from error
            todo = pending(applied(connection), known)
            if not todo:
                return names
            _apply(connection, todo[0])
            names.append(todo[0].name)


def applied(connection: psycopg.Connection[Any]) -> list[tuple[int, str, str]]:
    """(version, name, sha256) of every applied migration."""
    return connection.execute("SELECT version, name, sha256 FROM seemory.schema_migration ORDER BY version").fetchall()


def _apply(connection: psycopg.Connection[Any], migration: Migration) -> None:
    try:
        connection.execute(migration.sql.encode())
        connection.execute(
            "INSERT INTO seemory.schema_migration (version, name, sha256) VALUES (%s, %s, %s)",
            [migration.version, migration.name, migration.sha256],
        )
    except psycopg.Error as error:
        raise MigrationFailed(
            f"migration {migration.name} failed, the database is as it was before: {error}"
        ) from error
