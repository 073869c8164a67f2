"""Which words of an item matched a query, in their sentence, and in a film with their second."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from seemory.store.connect import Database
from seemory.types import Passage

MOST: Final = 3
"""Passages of one item."""

_SHORT: Final = 200  # characters: of longer texts a piece is shown
_OPEN, _CLOSE = "\ufdd1", "\ufdd2"  # noncharacters: no text of anybody's has them
_MARKED = re.compile(f"{_OPEN}([^{_CLOSE}]*){_CLOSE}")

# Cues have their times; what a person said has none. Only what is shown is marked: ts_headline is the slow part.
_PASSAGES = """
WITH said AS (
    SELECT i.id, 0 AS field, 'transcript' AS source, (cue.value ->> 0)::float8 AS start_s,
           (cue.value ->> 1)::float8 AS end_s, track.value ->> 'language' AS language, cue.value ->> 2 AS text
    FROM seemory.item i, jsonb_array_elements(i.spoken) AS track, jsonb_array_elements(track.value -> 'cues') AS cue
    WHERE i.owner_id = %(owner)s AND i.id = ANY (%(items)s) AND i.document @@ %(query)s::tsquery
      AND i.spoken IS NOT NULL
    UNION ALL
    SELECT i.id, own.field, own.source, NULL, NULL, i.language, left(own.text, 60000)
    FROM seemory.item i, LATERAL (VALUES
        (1, 'caption', i.caption), (2, 'tags', array_to_string(i.tags, ', ')), (3, 'notes', i.notes),
        (4, 'transcript', CASE WHEN i.spoken IS NULL THEN i.transcript END)) AS own (field, source, text)
    WHERE i.owner_id = %(owner)s AND i.id = ANY (%(items)s) AND i.document @@ %(query)s::tsquery
      AND i.language IS NOT NULL AND own.text <> ''),
matched AS (
    SELECT said.*, ts_rank(to_tsvector(language::regconfig, text), %(query)s::tsquery) AS rank
    FROM said WHERE to_tsvector(language::regconfig, text) @@ %(query)s::tsquery),
best AS (
    SELECT matched.*, row_number() OVER (PARTITION BY id ORDER BY rank DESC, field, start_s) AS place FROM matched)
SELECT id, source, start_s, end_s, ts_headline(language::regconfig, translate(text, %(marks)s, ''), %(query)s::tsquery,
    CASE WHEN length(text) <= %(short)s THEN %(whole)s ELSE %(some)s END)
FROM best WHERE place <= %(most)s ORDER BY id, place"""

_HOW = f"StartSel={_OPEN}, StopSel={_CLOSE}, "


def passages_of(database: Database, owner: str, items: Sequence[UUID], query: str) -> dict[UUID, list[Passage]]:
    """The passages in which each of the items has words of the query, at most three, those with most of it first.

    What only the item's file says of itself has no passage.

    Args:
        database: where the items are.
        owner: whose.
        items: that are shown.
        query: a tsquery in text, of lexemes; `''` finds nothing.
    """
    if not items or not query:
        return {}
    names = {
        "owner": owner,
        "items": list(items),
        "query": query,
        "most": MOST,
        "marks": _OPEN + _CLOSE,
        "short": _SHORT,
    }
    names |= {"whole": f"{_HOW}HighlightAll=true", "some": f"{_HOW}MaxFragments=1, MaxWords=24, MinWords=8"}
    found: dict[UUID, list[Passage]] = {}
    with database.reading(owner) as reading:
        rows = reading.rows(_PASSAGES, names)
    for item_id, source, start_s, end_s, marked in rows:
        text, marks = _unmarked(" ".join(marked.split()))
        found.setdefault(item_id, []).append(Passage(source, text, marks, start_s, end_s))
    return found


def _unmarked(marked: str) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The text without marks, and where they stood: (from, to) in characters."""
    marks: list[tuple[int, int]] = []

    def note(match: re.Match[str]) -> str:
        start = match.start() - 2 * len(marks)
        marks.append((start, start + len(match[1])))
        return match[1]

    text = _MARKED.sub(note, marked)
    return text, tuple(marks)
