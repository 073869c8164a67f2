"""Words → the items whose documents have them, within one owner's rows; and the conditions that phrases make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.sql import SQL, Composed

from seemory.errors import UsageError
from seemory.store.connect import Database
from seemory.store.filters import Condition, conditions
from seemory.store.passages import passages_of
from seemory.store.preferences import WEIGHTS, weights_of
from seemory.store.texts import clean
from seemory.store.vocabulary import require_languages
from seemory.types import Filter, Kind, Passage

MOST_WORDS: Final = 32
"""Of a query that are looked for; the later ones are not."""

_MOST_TEXT = 8_000  # characters of a query that are read
_MOST_PHRASES = 32

# All that decides which channels are worth asking, in one look: the languages, whether there are sentence vectors, and
# which of the text's words (in each language's form, as they come) occur in the collection at all. The LIMIT keeps the
# planner from joining with the whole vocabulary, which it does where it thinks that is small.
_OUTLOOK = """
WITH place AS (
    SELECT id, coalesce(%(languages)s::text[], (SELECT languages FROM seemory.collection_owner o
                                                WHERE o.owner_id = %(owner)s AND o.collection_id = c.id)) AS languages
    FROM seemory.collection c WHERE c.name = %(collection)s)
SELECT coalesce(place.languages, '{}'),
       EXISTS (SELECT FROM seemory.generation g
               WHERE g.collection_id = place.id AND g.channel = 'text' AND g.state = 'live'),
       ARRAY(SELECT said.lexeme
             FROM (SELECT one.lexeme, min(one.positions[1]) AS at
                   FROM unnest(place.languages) AS language, unnest(to_tsvector(language::regconfig, %(text)s)) AS one
                   GROUP BY one.lexeme ORDER BY at, one.lexeme LIMIT %(most)s) AS said
             WHERE (SELECT true FROM seemory.vocabulary v
                    WHERE v.owner_id = %(owner)s AND v.collection_id = place.id
                      AND v.word = hashtextextended(said.lexeme, 0) LIMIT 1)
             ORDER BY said.at, said.lexeme)
FROM place"""

_PHRASES = """
SELECT phrase, language, (phraseto_tsquery(language::regconfig, phrase))::text
FROM unnest(%s::text[]) WITH ORDINALITY AS phrases (phrase, n), unnest(%s::text[]) AS language ORDER BY n, language"""

# A word counts the more the rarer it is among the items that have any: ln(1 + those / those with this one). How much
# an item says it is ts_rank, divided by 1 + log of the document's length. Of a single word ts_rank is bounded by the
# weight of the best place where it stands, ts_rank_cd by nothing: fifty times in a transcript outweigh no caption.
_MATCHING = """
WITH matched AS MATERIALIZED (
    SELECT i.id, i.asset_id, i.document FROM seemory.item i {assets}
    WHERE i.owner_id = %s AND i.collection_id = (SELECT id FROM seemory.collection WHERE name = %s)
      AND i.document @@ %s::tsquery AND {conditions}),
weighed AS MATERIALIZED (
    SELECT w.lexeme, w.query, ln(1 + (SELECT count(*) FROM matched)::float8
        / greatest(1, (SELECT count(*) FROM matched WHERE document @@ w.query))) AS weight
    FROM unnest(%s::text[], %s::tsquery[]) AS w (lexeme, query)),
ranked AS (
    SELECT m.*, (SELECT sum(w.weight * ts_rank(m.document, w.query, 1)) FROM weighed w) AS score
    FROM matched m ORDER BY score DESC, m.id)
SELECT id, score, ARRAY(SELECT w.lexeme FROM weighed w WHERE ranked.document @@ w.query ORDER BY w.lexeme)
FROM ranked WHERE {there} LIMIT %s"""

# Looked up for one item after the other, best first, until there are enough.
_THERE = """
(SELECT a.missing_at IS NULL FROM seemory.asset a WHERE a.owner_id = %s AND a.id = ranked.asset_id)"""

_ASSETS = "JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id"

_ALONE = """
SELECT i.id, coalesce(round(ts_rank_cd(i.document, %s::tsquery, 33)::numeric, 9), 0)::float8
FROM seemory.item i JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id
WHERE i.owner_id = %s AND i.collection_id = (SELECT id FROM seemory.collection WHERE name = %s) AND {conditions}
ORDER BY 2 DESC, i.created_at DESC, i.id LIMIT %s OFFSET %s"""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known before any channel is asked."""

    languages: Sequence[str]
    """That the query is read in."""
    has_sentences: bool
    """Whether the collection has a live generation of sentence vectors."""
    words: Sequence[str]
    """Those of the text's words, as stems, that occur in the collection (and at times one that no longer does)."""
    weights: Mapping[str, float]
    """The owner's saved weights, by channel."""


@dataclass(frozen=True, slots=True)
class Required:
    """What an item's document must have and must not, as tsqueries in text; None: nothing."""

    must: str | None = None
    must_not: str | None = None

    @property
    def condition(self) -> Condition | None:
        """The clause over `item i` that holds where both are met, with its parameters; None if all items meet it."""
        parts: list[SQL] = []
        values: list[Any] = []
        if self.must is not None:
            parts.append(SQL("coalesce(i.document @@ %s::tsquery, false)"))
            values.append(self.must)
        if self.must_not is not None:
            parts.append(SQL("NOT coalesce(i.document @@ %s::tsquery, false)"))
            values.append(self.must_not)
        return (SQL(" AND ").join(parts), values) if parts else None


@dataclass(frozen=True, slots=True)
class Matches:
    """What the documents answered."""

    found: Sequence[tuple[UUID, float]]
    """(item id, score), best first, ties by id."""
    words: Mapping[UUID, tuple[str, ...]]
    """Which words each of them has, as the language's stems."""


class Words:
    """Searches one owner's documents."""

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self.owner = owner

    def outlook(self, collection: str, text: str, languages: Sequence[str] | None = None) -> Outlook:
        """What there is to ask about a text in a collection, in one look at the database.

        Args:
            collection: its name.
            text: what is looked for.
            languages: to read it in; by default all that the owner's documents in the collection were made in.

        Raises:
            UsageError: there is no such language.
        """
        names = {
            "owner": self.owner,
            "collection": collection,
            "languages": None if languages is None else list(languages),
            "text": clean(text)[:_MOST_TEXT],
            "most": MOST_WORDS,
        }
        if languages is not None:
            with self._database.transaction(self.owner) as connection:
                require_languages(connection, languages)
        with self._database.reading(self.owner) as reading:
            looked, saved = reading.each((_OUTLOOK, names), (WEIGHTS, names))
        languages_in_use, has_sentences, words = looked[0] if looked else ([], False, [])
        return Outlook(languages_in_use, has_sentences, words, weights_of(saved))

    def required(self, languages: Sequence[str], must: Sequence[str], must_not: Sequence[str]) -> Required:
        """The conditions that the phrases make: each may be met in any of the languages.

        Raises:
            UsageError: too many, or one has no word that is searched for.
        """
        if len(must) + len(must_not) > _MOST_PHRASES:
            raise UsageError(
                f"at most {_MOST_PHRASES} quoted phrases and excluded words, not {len(must) + len(must_not)}"
            )
        with self._database.transaction(self.owner) as connection:
            return Required(
                _all([self._phrase(connection, languages, phrase) for phrase in must], " & "),
                _all([self._phrase(connection, languages, phrase) for phrase in must_not], " | "),
            )

    def _phrase(self, connection: psycopg.Connection[Any], languages: Sequence[str], phrase: str) -> str:
        rows = connection.execute(_PHRASES, [[clean(phrase)[:_MOST_TEXT]], list(languages)]).fetchall()
        queries = sorted({query for _, _, query in rows if query})
        if not queries:
            raise UsageError(
                f"{phrase[:100]!r} has no word that {', '.join(languages)} searches for, so that it can be neither "
                f"required nor excluded: leave it out, or describe items in the language `simple`"
            )
        return _all(queries, " | ") or ""

    def matching(
        self,
        collection: str,
        words: Sequence[str],
        *,
        limit: int,
        filters: Sequence[Filter] = (),
        kind: Kind | None = None,
        required: Required = Required(),
    ) -> Matches:
        """The items that have any of the words (stems, as `known` gives them) and meet the conditions, best first."""
        if not words:
            return Matches((), {})
        queries = [_quoted(word) for word in words]
        clause, values = _where(filters, kind, required)
        assets, there, owner = SQL(_ASSETS), SQL("true"), []
        if not filters:  # nearly all are there: files are asked for in the order of the ranking, and only until enough
            clause, values = _where((), kind, required, gone=True)
            assets, there, owner = SQL(""), SQL(_THERE), [self.owner]
        statement = SQL(_MATCHING).format(assets=assets, conditions=clause, there=there)
        asked = [self.owner, collection, " | ".join(queries), *values, list(words), queries, *owner, limit]
        with self._database.reading(self.owner) as reading:
            rows = reading.rows(statement, asked)
        found = [(item_id, score) for item_id, score, _ in rows]
        return Matches(found, {item_id: tuple(said) for item_id, _, said in rows})

    def meeting(
        self,
        collection: str,
        required: Required,
        *,
        limit: int,
        offset: int = 0,
        filters: Sequence[Filter] = (),
        kind: Kind | None = None,
    ) -> list[tuple[UUID, float]]:
        """The items that meet the conditions, those first that say most of what they must, then the newest."""
        clause, values = _where(filters, kind, required)
        parameters = [required.must, self.owner, collection, *values, limit, offset]
        with self._database.reading(self.owner) as reading:
            rows = reading.rows(SQL(_ALONE).format(conditions=clause), parameters)
        return [(item_id, score) for item_id, score in rows]

    def passages(self, words: Sequence[str], required: Required, items: Sequence[UUID]) -> dict[UUID, list[Passage]]:
        """Where those of the items that have any of the words (stems), or what is required, have them."""
        parts = [_quoted(word) for word in words] + ([f"({required.must})"] if required.must else [])
        return passages_of(self._database, self.owner, items, " | ".join(parts))


def _where(
    filters: Sequence[Filter], kind: Kind | None, required: Required, *, gone: bool = False
) -> tuple[Composed, list[Any]]:
    """The clause over `item i` and, unless `gone` files pass, over `asset a`."""
    clause, values = conditions(filters)
    parts = [clause] if gone else [clause, SQL("a.missing_at IS NULL")]
    if also := required.condition:
        parts.append(also[0])
        values += also[1]
    if kind is not None:
        parts.append(SQL("i.kind = %s"))
        values.append(kind)
    return SQL(" AND ").join(parts), values


def _quoted(lexeme: str) -> str:
    """The lexeme as a tsquery in text."""
    return "'" + lexeme.replace("\\", "\\\\").replace("'", "''") + "'"


def _all(queries: Sequence[str], operator: str) -> str | None:
    return operator.join(f"({query})" for query in queries) if queries else None
