"""What is said in a film → its scenes: their cues, transcripts and documents, in the transaction of whoever writes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from seemory.cues import SIMPLE, Cue, SpokenWords, Track, cut_to_scenes, in_use, summary
from seemory.store.generations import generations_of
from seemory.store.texts import clean_json
from seemory.store.vocabulary import languages_of

# The rows are locked in the order in which all others lock them.
_SCENES = """
SELECT id, start_s, end_s, transcript, spoken, language, caption IS NOT NULL OR tags <> '{}' OR notes IS NOT NULL
FROM seemory.item WHERE owner_id = %(owner)s AND asset_id = %(asset)s AND kind = 'scene' AND start_s IS NOT NULL
ORDER BY ordinal FOR NO KEY UPDATE"""

_FILM = """
UPDATE seemory.asset SET tracks = %(tracks)s, words_from = %(state)s, metadata = CASE
    WHEN jsonb_array_length(%(summary)s::jsonb) > 0 THEN metadata || jsonb_build_object('subtitles', %(summary)s::jsonb)
    ELSE metadata - 'subtitles' END
WHERE owner_id = %(owner)s AND id = %(asset)s"""

# The moment is a parameter: Citus changes no row by what differs from call to call.
_TELL = """
UPDATE seemory.item i
SET spoken = now_is.spoken, transcript = now_is.transcript, language = now_is.language, updated_at = %(now)s,
    document = seemory.joined(
        seemory.words_of(now_is.language, i.caption, i.tags, i.notes, now_is.transcript, now_is.spoken),
        seemory.words_of_file(%(file_language)s, a.uri, a.metadata))
FROM jsonb_to_recordset(%(rows)s) AS now_is (id uuid, spoken jsonb, transcript text, language text), seemory.asset a
WHERE i.owner_id = %(owner)s AND i.id = now_is.id AND a.owner_id = %(owner)s AND a.id = i.asset_id"""


@dataclass(frozen=True, slots=True)
class Told:
    """What was written of a film's words."""

    scenes: Sequence[UUID]
    """That have other words now."""
    languages: Collection[str]
    """Which those are in."""


def tell_scenes(
    connection: psycopg.Connection[Any],
    owner: str,
    collection: str,
    asset_id: UUID,
    words: SpokenWords,
    language: str,
) -> Told:
    """The scenes of a film that have other words now; a transcript that a person gave stays.

    The words are still to be noted (see `note_words`).

    Args:
        connection: in the owner's transaction.
        owner: whose film.
        collection: where it is.
        asset_id: the film.
        words: what is said in it; those there were before go.
        language: the text search configuration of what the file says, and of scenes that nobody described.
    """
    there = set(languages_of(connection))
    used = in_use(words.tracks, language)
    film: dict[str, Any] = {"owner": owner, "asset": asset_id}
    film["tracks"] = Jsonb(clean_json([track.as_json() for track in words.tracks]))
    film["state"] = None if words.state is None else Jsonb(clean_json(words.state))
    connection.execute(_FILM, film | {"summary": Jsonb(clean_json(summary(words.tracks, language)))})
    scenes = connection.execute(_SCENES, film).fetchall()
    borders = [(start, end) for _, start, end, *_ in scenes]
    cut = [(track, cut_to_scenes(track.cues, borders)) for track in used]
    rows = []
    for place, (item_id, _, _, transcript, before, own, described) in enumerate(scenes):
        if transcript is not None and before is None:
            continue  # a person's
        spoken = [_told(track, cues[place], there) for track, cues in cut if cues[place]] or None
        if spoken == before:
            continue
        text = "\n".join(cue.text for cue in next(cues[place] for _, cues in cut if cues[place])) if spoken else None
        known = (own or language) if spoken or described else None
        rows.append(clean_json({"id": str(item_id), "spoken": spoken, "transcript": text, "language": known}))
    written = [UUID(row["id"]) for row in rows]
    if rows:
        (moment,) = connection.execute("SELECT clock_timestamp()").fetchall()[0]
        connection.execute(_TELL, {"owner": owner, "rows": Jsonb(rows), "now": moment, "file_language": language})
        for generation in generations_of(connection, collection, "text"):  # they say what no longer is said
            statement = SQL("DELETE FROM {} WHERE owner_id = %s AND item_id = ANY (%s)")
            connection.execute(statement.format(Identifier("seemory", generation.table)), [owner, written])
    return Told(written, {track["language"] for row in rows for track in row["spoken"] or ()})


def _told(track: Track, cues: Sequence[Cue], there: set[str]) -> dict[str, Any]:
    """A track as a scene has it; in a language that this Postgres can read."""
    language = track.language if track.language in there else SIMPLE
    return {
        "source": track.source,
        "language": language,
        "cues": [[cue.start_s, cue.end_s, cue.text] for cue in cues],
    }
