"""What somebody asked to be remembered → a text item; where it was said before, one item that counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID, uuid4

from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from seemory.store.connect import Connection, Database
from seemory.store.halfvec import Halfvec
from seemory.store.owners import register_owner
from seemory.store.texts import clean
from seemory.store.vocabulary import note_words, require_languages
from seemory.store.writing import in_a_zone, stored
from seemory.types import EmbeddingRecord, Generation, Vector

SCHEME: Final = "memory:"
"""How the names of memories begin, where files have paths."""

_WORDINGS: Final = 20
"""Earlier wordings of one memory that are kept."""

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s || chr(31) || %s, 2))"

_FROM = """
FROM seemory.item i JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id
WHERE i.owner_id = %(owner)s AND i.collection_id = %(collection)s AND i.kind = 'text'
  AND starts_with(a.uri, 'memory:')"""

_SAME = "SELECT i.id, i.notes, 1.0" + _FROM + " AND a.sha256 = %(sha256)s LIMIT 1"

# All of the owner's are compared: an index names the nearest of all owners, and of an owner's there are some thousands.
_NEAR = """
SELECT i.id, i.notes, 1 - ((v.embedding <=> %(vector)s) + 0)
FROM {table} v JOIN seemory.item i ON i.owner_id = v.owner_id AND i.id = v.item_id
JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id
WHERE v.owner_id = %(owner)s AND v.embedding IS NOT NULL AND i.collection_id = %(collection)s AND i.kind = 'text'
  AND starts_with(a.uri, 'memory:') AND (v.embedding <=> %(vector)s) + 0 <= 1 - %(least)s
ORDER BY (v.embedding <=> %(vector)s) + 0, i.id LIMIT 20"""

_ADD_ASSET = """
INSERT INTO seemory.asset (owner_id, id, collection_id, kind, uri, sha256, bytes, mtime_ns, taken_at)
VALUES (%(owner)s, %(asset)s, %(collection)s, 'text', %(uri)s, %(sha256)s, %(bytes)s, 0, %(when)s)"""

_ADD_ITEM = """
INSERT INTO seemory.item (owner_id, id, asset_id, collection_id, kind, notes, tags, language, metadata, document)
VALUES (%(owner)s, %(item)s, %(asset)s, %(collection)s, 'text', %(text)s, %(tags)s, %(language)s, '{"times": 1}',
        seemory.words_of(%(language)s, NULL, %(tags)s, %(text)s, NULL))"""

_SAY_AGAIN = """
UPDATE seemory.item i
SET notes = %(text)s, tags = %(tags)s, language = %(language)s, metadata = %(metadata)s, updated_at = %(now)s,
    document = seemory.words_of(%(language)s, NULL, %(tags)s, %(text)s, NULL)
WHERE i.owner_id = %(owner)s AND i.id = %(item)s"""

_DATE_AGAIN = """
UPDATE seemory.asset a SET sha256 = %(sha256)s, bytes = %(bytes)s, taken_at = coalesce(%(when)s, a.taken_at),
    updated_at = %(now)s
WHERE a.owner_id = %(owner)s AND a.id = %(asset)s"""

_VECTOR = """
INSERT INTO {table} AS v (owner_id, item_id, embedding, metadata) VALUES (%s, %s, %s, %s)
ON CONFLICT (owner_id, item_id) DO UPDATE SET embedding = excluded.embedding, metadata = excluded.metadata"""

_LINK = """
INSERT INTO seemory.memory_link (owner_id, item_id, other_id, cosine) VALUES (%s, %s, %s, %s)
ON CONFLICT (owner_id, item_id, other_id) DO UPDATE SET cosine = excluded.cosine"""


@dataclass(frozen=True, slots=True)
class Saying:
    """What is to be remembered."""

    text: str
    tags: tuple[str, ...] = ()
    when: datetime | None = None


@dataclass(frozen=True, slots=True)
class Meaning:
    """The sentence vector of a text, and where such vectors are kept."""

    generation: Generation
    vector: Vector
    record: EmbeddingRecord


@dataclass(frozen=True, slots=True)
class Remembered:
    """What became of a text."""

    item_id: UUID
    new: bool
    """Whether nothing nearly the same was remembered before."""
    times: int
    """How often it was said, all wordings together."""
    alike: tuple[tuple[UUID, float], ...] = ()
    """Other memories that say something alike, with their cosines, nearest first."""
    waiting: str | None = None
    """Why it has no sentence vector yet; it is found by its words all the same."""


@dataclass(frozen=True, slots=True)
class MemoryFacts:
    """What is known of one memory beside its item."""

    alike: tuple[tuple[UUID, float], ...]


class Memories:
    """The texts that one owner has asked one collection to remember."""

    def __init__(self, database: Database, owner: str, collection: str, language: str) -> None:
        """`language` is the text search configuration that they are read in."""
        self._database = database
        self.owner = owner
        self.collection = collection
        self._language = language

    def remember(
        self,
        saying: Saying,
        meaning: Meaning | None,
        *,
        alike: float,
        is_same: Callable[[str, str, float], bool],
    ) -> Remembered:
        """What became of a text, in one transaction; two that say the same at once wait for one another.

        Args:
            saying: the text.
            meaning: its vector; None: only the very same text is known again.
            alike: the least cosine of memories that are linked.
            is_same: whether two texts of that cosine, at least `alike`, are one memory.
        """
        text = clean(saying.text).strip()
        tags = list(dict.fromkeys(tag for tag in (clean(tag).strip() for tag in saying.tags) if tag))
        with self._database.transaction(self.owner) as connection:
            connection.execute(_LOCK, [self.owner, self.collection])
            require_languages(connection, [self._language])
            (now,) = connection.execute("SELECT clock_timestamp()").fetchall()[0]
            names: dict[str, Any] = {
                "owner": self.owner,
                "collection": self._collection_id(connection),
                "text": text,
                "tags": tags,
                "language": self._language,
                "sha256": sha256(text.encode()).digest(),
                "bytes": len(text.encode()),
                "when": in_a_zone(saying.when),
                "now": now,
            }
            near = self._near(connection, names, meaning, alike)
            same = next((item_id for item_id, other, cosine in near if is_same(text, other or "", cosine)), None)
            new = same is None
            item_id, times = (self._add(connection, names), 1) if same is None else self._again(connection, names, same)
            if meaning is not None:
                vector, record = stored(meaning.vector, meaning.record, meaning.generation.dim, text[:50])
                table = Identifier("seemory", meaning.generation.table)
                connection.execute(SQL(_VECTOR).format(table=table), [self.owner, item_id, vector, record])
            links = tuple((other, float(cosine)) for other, _, cosine in near if other != item_id)
            for other, cosine in links:
                for one, two in sorted([(item_id, other), (other, item_id)]):
                    connection.execute(_LINK, [self.owner, one, two, cosine])
            note_words(connection, self.owner, names["collection"], [item_id], [self._language])
        return Remembered(item_id, new, times, links)

    def facts(self, items: Sequence[UUID]) -> Mapping[UUID, MemoryFacts]:
        """What is known of those of the items that are memories."""
        found = (
            "SELECT i.id, l.other_id, l.cosine FROM seemory.item i "
            "JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id "
            "LEFT JOIN seemory.memory_link l ON l.owner_id = i.owner_id AND l.item_id = i.id "
            "WHERE i.owner_id = %s AND i.id = ANY (%s) AND i.kind = 'text' AND starts_with(a.uri, 'memory:') "
            "ORDER BY i.id, l.cosine DESC, l.other_id"
        )
        beside: dict[UUID, list[tuple[UUID, float]]] = {}
        with self._database.reading(self.owner) as reading:
            for item_id, other, cosine in reading.rows(found, [self.owner, list(items)]):
                links = beside.setdefault(item_id, [])
                if other is not None:
                    links.append((other, round(cosine, 4)))
        return {item_id: MemoryFacts(tuple(links)) for item_id, links in beside.items()}

    def _collection_id(self, connection: Connection) -> int:
        connection.execute(
            "INSERT INTO seemory.collection (name) VALUES (%s) ON CONFLICT (name) DO NOTHING", [self.collection]
        )
        row = connection.execute("SELECT id FROM seemory.collection WHERE name = %s", [self.collection]).fetchone()
        assert row is not None
        register_owner(connection, self.owner, row[0])
        return int(row[0])

    def _near(
        self, connection: Connection, names: Mapping[str, Any], meaning: Meaning | None, alike: float
    ) -> list[tuple[UUID, str | None, float]]:
        """Memories of the very same text, or of a like meaning, nearest first."""
        found = connection.execute(_SAME, names).fetchall()
        if meaning is not None:
            statement = SQL(_NEAR).format(table=Identifier("seemory", meaning.generation.table))
            near = connection.execute(statement, {**names, "vector": Halfvec(meaning.vector), "least": alike})
            found += [row for row in near.fetchall() if row[0] not in {item_id for item_id, *_ in found}]
        return [(item_id, text, float(cosine)) for item_id, text, cosine in found]

    def _add(self, connection: Connection, names: Mapping[str, Any]) -> UUID:
        item = uuid4()
        asset = uuid4()
        ids = {"item": item, "asset": asset, "uri": f"{SCHEME}{item}/"}
        connection.execute(_ADD_ASSET, {**names, **ids})
        connection.execute(_ADD_ITEM, {**names, **ids})
        return item

    def _again(self, connection: Connection, names: Mapping[str, Any], item: UUID) -> tuple[UUID, int]:
        """The memory, said once more: the newest wording is its text, earlier ones are kept beside it."""
        row = connection.execute(
            "SELECT asset_id, notes, tags, metadata FROM seemory.item WHERE owner_id = %s AND id = %s",
            [self.owner, item],
        ).fetchone()
        assert row is not None
        asset, before, tags, metadata = row
        times = int(metadata.get("times", 1)) + 1
        wordings = [one for one in metadata.get("wordings", []) if one != names["text"]]
        if before and before != names["text"]:
            wordings = [before, *(one for one in wordings if one != before)][:_WORDINGS]
        told = {**metadata, "times": times} | ({"wordings": wordings} if wordings else {})
        ids = {
            "item": item,
            "asset": asset,
            "metadata": Jsonb(told),
            "tags": list(dict.fromkeys([*tags, *names["tags"]])),
        }
        connection.execute(_SAY_AGAIN, {**names, **ids})
        connection.execute(_DATE_AGAIN, {**names, **ids})
        return item, times
