"""Which words occur in an owner's share of a collection: noted when items are written, asked before a search."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import psycopg

from seemory.errors import UsageError

# In the order of the keys, so that two writers of the same new words wait for one another and never in a ring.
_NOTE = """
INSERT INTO seemory.vocabulary (owner_id, collection_id, word)
SELECT %(owner)s, %(collection)s, word
FROM (SELECT DISTINCT hashtextextended(lexeme, 0) AS word
      FROM seemory.item i, unnest(tsvector_to_array(i.document)) AS lexeme
      WHERE i.owner_id = %(owner)s AND i.id = ANY (%(items)s)) AS said
WHERE NOT EXISTS (SELECT FROM seemory.vocabulary known
                  WHERE known.owner_id = %(owner)s AND known.collection_id = %(collection)s AND known.word = said.word)
ORDER BY word
ON CONFLICT DO NOTHING"""

_LANGUAGE = """
UPDATE seemory.collection_owner
SET languages = ARRAY(SELECT DISTINCT name FROM unnest(languages || %(languages)s::text[]) AS name ORDER BY name)
WHERE owner_id = %(owner)s AND collection_id = %(collection)s AND NOT languages @> %(languages)s::text[]"""

_RENAME = """
UPDATE seemory.item i
SET document = seemory.joined(
    seemory.words_of(i.language, i.caption, i.tags, i.notes, i.transcript, i.spoken),
    seemory.words_of_file(%(language)s, a.uri, a.metadata))
FROM seemory.asset a
WHERE a.owner_id = %(owner)s AND a.id = %(asset)s AND i.owner_id = %(owner)s AND i.asset_id = a.id
RETURNING i.collection_id, i.id"""


def note_words(
    connection: psycopg.Connection[Any],
    owner: str,
    collection_id: int,
    items: Sequence[UUID],
    languages: Sequence[str],
) -> None:
    """Note the words of these items and the languages that they are in, at the end of a transaction.

    Other writers of the same new words wait from here on, so nothing that others may wait for should come after it.
    """
    names = {"owner": owner, "collection": collection_id, "items": list(items), "languages": list(languages)}
    connection.execute(_LANGUAGE, names)
    connection.execute(_NOTE, names)


def rename(connection: psycopg.Connection[Any], owner: str, asset_id: UUID, language: str) -> None:
    """Make the documents of a file's items anew, after its name changed."""
    rows = connection.execute(_RENAME, {"owner": owner, "asset": asset_id, "language": language}).fetchall()
    if rows:
        note_words(connection, owner, rows[0][0], [item_id for _, item_id in rows], [language])


def languages_of(connection: psycopg.Connection[Any]) -> list[str]:
    """The text search configurations that this Postgres has, in order."""
    return [name for (name,) in connection.execute("SELECT cfgname FROM pg_ts_config ORDER BY cfgname")]


def require_languages(connection: psycopg.Connection[Any], languages: Collection[str]) -> None:
    """Refuse text search configurations that this Postgres does not have.

    Raises:
        UsageError: one does not exist; those there are are named.
    """
    names = languages_of(connection)
    for language in sorted(set(languages) - set(names)):
        raise UsageError(f"{language[:100]!r} is no text search language here; there are {', '.join(names)}")
