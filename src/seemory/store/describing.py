"""A person's words for items → rows, with documents and vocabulary; and which items wait for their sentence vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from seemory.errors import UsageError
from seemory.store.connect import Database
from seemory.store.generations import generations_of
from seemory.store.texts import clean, escape
from seemory.store.vocabulary import languages_of, note_words, require_languages
from seemory.store.writing import stored
from seemory.types import Description, EmbeddingRecord, Generation, Vector

LONGEST = 1_000_000
"""Characters of one text of an item."""

# The rows are locked in the order in which indexing writes them, so that writers wait for one another, never in a ring.
_CURRENT = """
SELECT i.id, i.collection_id, i.caption, i.tags, i.notes, i.transcript, i.language
FROM seemory.item i
WHERE i.owner_id = %s AND i.id = ANY (%s)
  AND i.collection_id = (SELECT id FROM seemory.collection WHERE name = %s)
ORDER BY i.asset_id, i.ordinal FOR NO KEY UPDATE"""

_CHANGE = """
UPDATE seemory.item i
SET caption = said.caption, tags = said.tags, notes = said.notes, transcript = said.transcript,
    spoken = CASE WHEN said.retold THEN NULL ELSE i.spoken END,
    language = said.language, updated_at = %(now)s,
    document = seemory.joined(
        seemory.words_of(said.language, said.caption, said.tags, said.notes, said.transcript,
                         CASE WHEN said.retold THEN NULL ELSE i.spoken END),
        seemory.words_of_file(%(file_language)s, a.uri, a.metadata))
FROM jsonb_to_recordset(%(rows)s) AS said
         (id uuid, caption text, tags text[], notes text, transcript text, language text, retold boolean),
     seemory.asset a
WHERE i.owner_id = %(owner)s AND i.id = said.id AND a.owner_id = %(owner)s AND a.id = i.asset_id"""

_BY_PATH = """
SELECT wanted.n, min(i.id::text)
FROM unnest(%s::text[]) WITH ORDINALITY AS wanted (uri, n)
JOIN seemory.asset a ON a.owner_id = %s AND a.uri_key = md5(wanted.uri)::uuid
    AND a.collection_id = (SELECT id FROM seemory.collection WHERE name = %s)
JOIN seemory.item i ON i.owner_id = a.owner_id AND i.asset_id = a.id
GROUP BY wanted.n HAVING count(*) = 1"""

# An item that somebody described and that the generation has no row for.
_WAITING = """
FROM seemory.item i LEFT JOIN {table} v ON v.owner_id = i.owner_id AND v.item_id = i.id
WHERE i.owner_id = %(owner)s AND i.collection_id = (SELECT id FROM seemory.collection WHERE name = %(collection)s)
  AND i.language IS NOT NULL AND v.item_id IS NULL"""

# Only while the words are still those that were embedded.
_EMBEDDED = """
INSERT INTO {table} (owner_id, item_id, embedding, metadata)
SELECT %(owner)s, i.id, %(embedding)s, %(record)s
FROM seemory.item i WHERE i.owner_id = %(owner)s AND i.id = %(item)s AND i.updated_at = %(updated_at)s
ON CONFLICT (owner_id, item_id) DO NOTHING"""


@dataclass(frozen=True, slots=True)
class Unembedded:
    """An item that waits for its sentence vector, with the words as they were when it was read."""

    item_id: UUID
    updated_at: datetime
    text: str


class Descriptions:
    """The words of one owner's items in one collection."""

    def __init__(self, database: Database, owner: str, collection: str, language: str) -> None:
        """`language` is the text search configuration of items that never had one, and of what files say."""
        self._database = database
        self.owner = owner
        self.collection = collection
        self._language = language

    def languages(self) -> frozenset[str]:
        """The text search configurations that there are."""
        with self._database.transaction(self.owner) as connection:
            return frozenset(languages_of(connection))

    def by_path(self, paths: Sequence[str]) -> dict[str, UUID]:
        """The items of those paths that the collection knows and that have one item each, in one query."""
        unique = sorted(set(paths))
        values = [[escape(path) for path in unique], self.owner, self.collection]
        with self._database.transaction(self.owner) as connection:
            return {unique[n - 1]: UUID(item) for n, item in connection.execute(_BY_PATH, values).fetchall()}

    def write(self, said: Mapping[UUID, Description]) -> set[UUID]:
        """The items that were there and got their words, all in one transaction.

        Raises:
            UsageError: a text is too long, or a language does not exist.
        """
        for description in said.values():
            _require_lengths(description)
        asked = {d.language for d in said.values() if d.language is not None} | {self._language}
        with self._database.transaction(self.owner) as connection:
            require_languages(connection, asked)
            found = connection.execute(_CURRENT, [self.owner, list(said), self.collection]).fetchall()
            if not found:
                return set()
            rows = [{"id": str(item_id)} | self._values(said[item_id], *now) for item_id, _, *now in found]
            # The moment is asked for by itself: Citus changes no row by what differs from call to call.
            (moment,) = connection.execute("SELECT clock_timestamp()").fetchall()[0]
            values = {"owner": self.owner, "file_language": self._language, "rows": Jsonb(rows), "now": moment}
            connection.execute(_CHANGE, values)
            written = [item_id for item_id, *_ in found]
            for generation in generations_of(connection, self.collection, "text"):  # they say what no longer is said
                statement = SQL("DELETE FROM {} WHERE owner_id = %s AND item_id = ANY (%s)")
                table = Identifier("seemory", generation.table)
                connection.execute(statement.format(table), [self.owner, written])
            languages = {self._language} | {row["language"] for row in rows if row["language"]}
            note_words(connection, self.owner, found[0][1], written, sorted(languages))
        return set(written)

    def _values(
        self,
        said: Description,
        caption: str | None,
        tags: Sequence[str],
        notes: str | None,
        transcript: str | None,
        language: str | None,
    ) -> dict[str, Any]:
        """The item's words after the change; a language only where there are any."""
        new: dict[str, Any] = {
            "caption": caption if said.caption is None else clean(said.caption).strip() or None,
            "notes": notes if said.notes is None else clean(said.notes).strip() or None,
            "transcript": transcript if said.transcript is None else clean(said.transcript).strip() or None,
            "tags": list(tags) if said.tags is None else _tidy(said.tags),
        }
        any_words = any(new.values())
        known = (said.language or language or self._language) if any_words else None
        return new | {"language": known, "retold": said.transcript is not None}  # a person's takes the place of cues

    # -- sentence vectors ----------------------------------------------------------------------------------------

    def anything(self) -> bool:
        """Whether anybody described any item."""
        statement = (
            "SELECT EXISTS (SELECT FROM seemory.item WHERE owner_id = %s AND language IS NOT NULL "
            "AND collection_id = (SELECT id FROM seemory.collection WHERE name = %s))"
        )
        with self._database.transaction(self.owner) as connection:
            row = connection.execute(statement, [self.owner, self.collection]).fetchone()
        return bool(row and row[0])

    def count_waiting(self, generation: Generation) -> int:
        """How many items have words and no row in a generation of sentence vectors."""
        statement = SQL("SELECT count(*)" + _WAITING).format(table=Identifier("seemory", generation.table))
        with self._database.transaction(self.owner) as connection:
            row = connection.execute(statement, self._names).fetchone()
        return int(row[0]) if row else 0

    def waiting(self, generation: Generation, after: UUID, limit: int) -> list[Unembedded]:
        """The next items that wait, in the order of their ids."""
        columns = "SELECT i.id, i.updated_at, i.caption, i.tags, i.notes, i.transcript"
        statement = SQL(columns + _WAITING + " AND i.id > %(after)s ORDER BY i.id LIMIT %(limit)s").format(
            table=Identifier("seemory", generation.table)
        )
        with self._database.transaction(self.owner) as connection:
            rows = connection.execute(statement, self._names | {"after": after, "limit": limit}).fetchall()
        return [Unembedded(item_id, at, sentence(*texts)) for item_id, at, *texts in rows]

    def write_vectors(
        self, generation: Generation, done: Sequence[tuple[Unembedded, Vector | None, EmbeddingRecord]]
    ) -> int:
        """How many rows were written; items whose words changed since they were read are passed over."""
        statement = SQL(_EMBEDDED).format(table=Identifier("seemory", generation.table))
        written = 0
        with self._database.transaction(self.owner) as connection:
            for one, vector, record in done:
                embedding, document = stored(vector, record, generation.dim, str(one.item_id))
                names = {"owner": self.owner, "item": one.item_id, "updated_at": one.updated_at}
                written += connection.execute(statement, names | {"embedding": embedding, "record": document}).rowcount
        return written

    @property
    def _names(self) -> dict[str, Any]:
        return {"owner": self.owner, "collection": self.collection}


def sentence(caption: str | None, tags: Sequence[str], notes: str | None, transcript: str | None) -> str:
    """The text that stands for an item before a sentence encoder.

    An encoder reads as many tokens as it was made for, from the beginning; what comes later in a long transcript is
    found by its words alone.
    """
    parts = [caption, ", ".join(tags), notes, transcript]
    return ". ".join(part.strip().rstrip(".") for part in parts if part)[:20_000]


def _tidy(tags: Sequence[str]) -> list[str]:
    """Without empty and repeated ones, in the order given."""
    return list(dict.fromkeys(tag for tag in (clean(tag).strip() for tag in tags) if tag))


def _require_lengths(said: Description) -> None:
    texts = {"caption": said.caption, "notes": said.notes, "transcript": said.transcript}
    for name, text in (texts | {"tags": "".join(said.tags or ())}).items():
        if text is not None and len(text) > LONGEST:
            raise UsageError(f"{name} has {len(text):,} characters, and an item takes at most {LONGEST:,} of each")
