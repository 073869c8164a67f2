"""The role Seemory works as: owner of its schema, and never one that row-level security does not bind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql

from seemory.store import word_index

ROLE = "seemory"

_MAKE_ROLE = """
DO $$ BEGIN
    CREATE ROLE seemory LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$"""


def make_database(connection: psycopg.Connection[Any], template_url: Callable[[], str]) -> None:
    """Make role and database on the embedded server, as its superuser (autocommit).

    The extension goes into template1 first, so that the database is there only when it is whole: a kill in between
    leaves nothing half made.
    """
    connection.execute(_MAKE_ROLE)
    with psycopg.connect(template_url(), autocommit=True) as template:
        template.execute("CREATE EXTENSION IF NOT EXISTS vector")
    connection.execute("CREATE DATABASE seemory OWNER seemory")


def make_room(connection: psycopg.Connection[Any]) -> None:
    """Make the role, the extension and the right to make the schema in the database of this URL, as its superuser."""
    connection.execute(_MAKE_ROLE)
    connection.execute("GRANT seemory TO CURRENT_USER")
    database = connection.info.dbname
    connection.execute(sql.SQL("GRANT CREATE, TEMPORARY ON DATABASE {} TO seemory").format(sql.Identifier(database)))
    word_index.declare(connection)
