"""Words that a collection's generations are compared by, kept with it so that they are the same ones each time."""

from __future__ import annotations

from collections.abc import Sequence

from seemory.errors import UsageError
from seemory.store.connect import Database
from seemory.store.texts import escape, unescape


def saved_queries(database: Database, collection: str) -> list[str]:
    """The saved queries, in their order. They are an operator's: no owner can read them."""
    with database.transaction(None) as connection:
        connection.execute("SET LOCAL seemory.operator TO 'on'")
        rows = connection.execute(
            "SELECT q.words FROM seemory.saved_query q JOIN seemory.collection c ON c.id = q.collection_id "
            "WHERE c.name = %s ORDER BY q.place",
            [collection],
        ).fetchall()
    return [unescape(words) for (words,) in rows]


def save_queries(database: Database, collection: str, words: Sequence[str]) -> None:
    """From now on these are the collection's queries, in place of those before; none is allowed.

    Raises:
        UsageError: there is no such collection.
    """
    with database.transaction(None) as connection:
        connection.execute("SET LOCAL seemory.operator TO 'on'")
        row = connection.execute(
            "SELECT id FROM seemory.collection WHERE name = %s FOR UPDATE", [collection]
        ).fetchone()
        if row is None:
            raise UsageError(f"collection {collection!r} is empty: run `seemory index PATH` first")
        connection.execute("DELETE FROM seemory.saved_query WHERE collection_id = %s", [row[0]])
        kept = [escape(line.strip()) for line in dict.fromkeys(words) if line.strip()]
        connection.execute(
            "INSERT INTO seemory.saved_query (collection_id, place, words) "
            "SELECT %s, place, words FROM unnest(%s::text[]) WITH ORDINALITY AS line (words, place)",
            [row[0], kept],
        )
