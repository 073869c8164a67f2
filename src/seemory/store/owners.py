"""Whose rows a collection has: the list that work for all owners goes through, one owner at a time."""

from __future__ import annotations

from typing import Any

import psycopg

from seemory.store.connect import Database


def register_owner(connection: psycopg.Connection[Any], owner: str, collection_id: int) -> None:
    """Note that the owner has files in the collection; the transaction is the owner's."""
    connection.execute(
        "INSERT INTO seemory.collection_owner (owner_id, collection_id) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        [owner, collection_id],
    )


def owners_of(connection: psycopg.Connection[Any], collection: str) -> list[str]:
    """The names of all owners with files in the collection, in order; no row of theirs is opened by it."""
    connection.execute("SET LOCAL seemory.operator TO 'on'")
    rows = connection.execute(
        "SELECT o.owner_id FROM seemory.collection_owner o JOIN seemory.collection c ON c.id = o.collection_id "
        "WHERE c.name = %s ORDER BY o.owner_id",
        [collection],
    ).fetchall()
    connection.execute("SET LOCAL seemory.operator TO ''")
    return [owner for (owner,) in rows]


def list_owners(database: Database, collection: str) -> list[str]:
    """`owners_of` in a transaction of its own."""
    with database.transaction(None) as connection:
        return owners_of(connection, collection)
