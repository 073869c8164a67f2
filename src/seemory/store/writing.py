# ruff: noqa: S608 - statements are put together from this package's own constants; values are always parameters
"""A batch of file outcomes → rows: one binary COPY into a staging table, then one statement a table.

Beside the live generation others may be kept up to date: one being built, one kept to roll back to. What an outcome
brings for them is written in the same transaction; a changed picture's older vectors are dropped where it brings none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import numpy as np
import psycopg
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from seemory.errors import GenerationsChanged, UsageError
from seemory.store.generations import ANSWERS, ROLLED_OUT
from seemory.store.halfvec import Halfvec
from seemory.store.locks import lock_for_writing
from seemory.store.owners import register_owner
from seemory.store.texts import clean, escape, json_text
from seemory.store.vocabulary import note_words
from seemory.types import EmbeddingRecord, FileOutcome, Generation, PictureFacts, Vector

# Made once for each connection, emptied by each commit. The ids that a file gets if it is new come with it; those that
# an insert found instead are noted here (asset_id, item_id: no row of new files is written a second time), so that
# no later statement joins it with the large tables: they have no statistics yet when a folder is first indexed, and the
# planner then chose to scan them once for each row (1.4 s a batch of 32 at a thousand pictures, where 0.03 s suffice).
_STAGING = """
CREATE TEMPORARY TABLE IF NOT EXISTS incoming (
    uri text, uri_key uuid GENERATED ALWAYS AS (md5(uri)::uuid) STORED,
    new_asset uuid, asset_id uuid, item_id uuid, source uuid,
    kind text, sha256 bytea, bytes bigint, mtime_ns bigint,
    width integer, height integer, format text, camera text, taken_at timestamptz, metadata jsonb,
    thumbnail bytea, error text, start_s float8, end_s float8, embedding halfvec, record jsonb, changed boolean
) ON COMMIT DELETE ROWS"""

_COLUMNS: dict[str, str] = {
    "uri": "text",
    "new_asset": "uuid",
    "asset_id": "uuid",
    "item_id": "uuid",
    "source": "uuid",
    "kind": "text",
    "sha256": "bytea",
    "bytes": "int8",
    "mtime_ns": "int8",
    "width": "int4",
    "height": "int4",
    "format": "text",
    "camera": "text",
    "taken_at": "timestamptz",
    "metadata": "jsonb",
    "thumbnail": "bytea",
    "error": "text",
    "start_s": "float8",
    "end_s": "float8",
    "embedding": "halfvec",
    "record": "jsonb",
}

_COPY = f"COPY pg_temp.incoming ({', '.join(_COLUMNS)}) FROM STDIN (FORMAT BINARY)"

# What the same bytes gave before. A picture without a vector there is no help and is left out. By way of a table of its
# own: one statement from the three tables into the staging table made Citus 14.0 crash.
_STAGING_SOURCE = """
CREATE TEMPORARY TABLE IF NOT EXISTS incoming_source (
    id uuid, kind text, width integer, height integer, format text, camera text, taken_at timestamptz, metadata jsonb,
    thumbnail bytea, embedding halfvec, record jsonb
) ON COMMIT DELETE ROWS"""
_FETCH = """
INSERT INTO pg_temp.incoming_source
SELECT a.id, i.kind, a.width, a.height, a.format, a.camera, a.taken_at, a.metadata, i.thumbnail, v.embedding, v.metadata
FROM seemory.asset a
JOIN seemory.item i ON i.owner_id = a.owner_id AND i.asset_id = a.id AND i.ordinal = 0
JOIN {table} v ON v.owner_id = i.owner_id AND v.item_id = i.id
WHERE a.owner_id = %(owner)s AND a.id = ANY (%(sources)s) AND v.embedding IS NOT NULL"""
_FILL = """
UPDATE pg_temp.incoming n
SET width = coalesce(n.width, s.width), height = coalesce(n.height, s.height), format = coalesce(n.format, s.format),
    camera = coalesce(n.camera, s.camera), taken_at = coalesce(n.taken_at, s.taken_at),
    metadata = s.metadata || n.metadata, thumbnail = coalesce(n.thumbnail, s.thumbnail), kind = s.kind,
    embedding = s.embedding,
    record = s.record || jsonb_build_object('frame_path', regexp_replace(n.uri, '^.*/', ''))
FROM pg_temp.incoming_source s WHERE s.id = n.source"""
_DROP_UNFILLED = "DELETE FROM pg_temp.incoming WHERE embedding IS NULL"

_MARK_CHANGED = """
UPDATE pg_temp.incoming n SET changed = true
FROM seemory.asset a
WHERE a.owner_id = %(owner)s AND a.collection_id = %(collection)s AND a.uri_key = n.uri_key
  AND a.sha256 IS DISTINCT FROM n.sha256"""

# In the order of the keys, so that two writers of the same files wait for one another and never in a ring.
_ASSETS = """
INSERT INTO seemory.asset AS a
    (owner_id, id, collection_id, kind, uri, sha256, bytes, mtime_ns, width, height, format, camera, taken_at,
     metadata, error, attempts)
SELECT %(owner)s, asset_id, %(collection)s, kind, uri, sha256, bytes, mtime_ns, width, height, format, camera,
       taken_at, metadata, error, CASE WHEN error IS NULL THEN 0 ELSE 1 END
FROM pg_temp.incoming ORDER BY uri_key
ON CONFLICT (owner_id, collection_id, uri_key) DO UPDATE SET
    kind = excluded.kind, sha256 = excluded.sha256, bytes = excluded.bytes, mtime_ns = excluded.mtime_ns,
    width = excluded.width, height = excluded.height, format = excluded.format, camera = excluded.camera,
    taken_at = excluded.taken_at, metadata = excluded.metadata, error = excluded.error,
    attempts = CASE WHEN excluded.error IS NULL THEN 0 ELSE a.attempts + 1 END,
    missing_at = NULL, updated_at = excluded.updated_at, tracks = NULL, words_from = NULL -- of the film it was
RETURNING a.uri_key, a.id"""
_NOTE_ASSETS = """
UPDATE pg_temp.incoming n SET asset_id = written.id
FROM written WHERE written.key = n.uri_key AND written.id <> n.asset_id"""

_DROP_ITEMS_OF_FAILED = """
DELETE FROM seemory.item WHERE owner_id = %(owner)s
  AND asset_id = ANY (ARRAY(SELECT asset_id FROM pg_temp.incoming WHERE error IS NOT NULL))"""

# A film that is a picture now: its scenes are no longer there.
_DROP_SCENES = """
DELETE FROM seemory.item WHERE owner_id = %(owner)s AND kind = 'scene'
  AND asset_id = ANY (ARRAY(SELECT asset_id FROM pg_temp.incoming WHERE kind <> 'scene'))"""

_ITEMS = """
INSERT INTO seemory.item AS i
    (owner_id, id, asset_id, collection_id, kind, ordinal, start_s, end_s, thumbnail, document)
SELECT %(owner)s, item_id, asset_id, %(collection)s, kind, 0, start_s, end_s, thumbnail,
       seemory.words_of_file(%(language)s, uri, metadata)
FROM pg_temp.incoming WHERE error IS NULL ORDER BY asset_id
ON CONFLICT (owner_id, asset_id, ordinal) DO UPDATE SET
    kind = excluded.kind, start_s = excluded.start_s, end_s = excluded.end_s, thumbnail = excluded.thumbnail,
    updated_at = excluded.updated_at,
    -- what a person said of the item stays
    document = seemory.joined(
        seemory.words_of(i.language, i.caption, i.tags, i.notes, i.transcript, i.spoken), excluded.document)
RETURNING i.asset_id, i.id"""
_NOTE_ITEMS = """
UPDATE pg_temp.incoming n SET item_id = written.id
FROM written WHERE written.key = n.asset_id AND written.id <> n.item_id"""

_WRITTEN = "SELECT item_id, asset_id = new_asset FROM pg_temp.incoming"

_VECTORS = """
INSERT INTO {table} (owner_id, item_id, embedding, metadata)
SELECT %(owner)s, item_id, embedding, record FROM pg_temp.incoming WHERE item_id IS NOT NULL ORDER BY item_id
ON CONFLICT (owner_id, item_id) DO UPDATE SET embedding = excluded.embedding, metadata = excluded.metadata"""

_DROP_STALE = """
DELETE FROM {table} WHERE owner_id = %(owner)s
  AND item_id = ANY (ARRAY(SELECT item_id FROM pg_temp.incoming WHERE item_id IS NOT NULL AND changed))"""


_STAGING_BESIDE = """
CREATE TEMPORARY TABLE IF NOT EXISTS incoming_beside (
    uri text, uri_key uuid GENERATED ALWAYS AS (md5(uri)::uuid) STORED, embedding halfvec, record jsonb
) ON COMMIT DELETE ROWS"""
_COPY_BESIDE = "COPY pg_temp.incoming_beside (uri, embedding, record) FROM STDIN (FORMAT BINARY)"

_BESIDE = """
INSERT INTO {table} (owner_id, item_id, embedding, metadata)
SELECT %(owner)s, n.item_id, b.embedding, b.record
FROM pg_temp.incoming n JOIN pg_temp.incoming_beside b ON b.uri_key = n.uri_key
WHERE n.item_id IS NOT NULL ORDER BY n.item_id
ON CONFLICT (owner_id, item_id) DO UPDATE SET embedding = excluded.embedding, metadata = excluded.metadata"""

# The same bytes have the same vector, or the same reason for none, in every generation that knows them.
_COPY_OVER = """
INSERT INTO {table} (owner_id, item_id, embedding, metadata)
SELECT %(owner)s, n.item_id, v.embedding,
       v.metadata || jsonb_build_object('frame_path', regexp_replace(n.uri, '^.*/', ''))
FROM pg_temp.incoming n
JOIN seemory.item twin ON twin.owner_id = %(owner)s AND twin.asset_id = n.source AND twin.ordinal = 0
JOIN {table} v ON v.owner_id = twin.owner_id AND v.item_id = twin.id
WHERE n.item_id IS NOT NULL ORDER BY n.item_id
ON CONFLICT (owner_id, item_id) DO UPDATE SET embedding = excluded.embedding, metadata = excluded.metadata"""


@dataclass(frozen=True, slots=True)
class Beside:
    """Another generation of the collection's channel: it gets what the live one gets."""

    id: int
    table: Identifier
    dim: int


class Written(NamedTuple):
    """What became of a batch."""

    files: int
    new: int
    """Those of them that the collection had not met before."""


def write(
    connection: psycopg.Connection[Any],
    owner: str,
    generation: Generation,
    outcomes: Sequence[tuple[FileOutcome, UUID | None]],
    covered: Collection[int] | None = None,
    language: str = "english",
    *,
    distributed: bool = False,
) -> Written:
    """How many files were written; each outcome may name an asset of the same bytes to take what it lacks from.

    Args:
        covered: ids of the generations that the outcomes were made for. If they are no longer the collection's, or
            `generation` no longer answers for the owner, nothing is written and GenerationsChanged raised; None: not
            asked.
        language: the text search configuration for the words of the files.
        distributed: whether the tables lie on a cluster.
    """
    rows = {outcome.uri: _row(outcome, source, generation) for outcome, source in outcomes}  # the last one wins
    if not rows:
        return Written(0, 0)
    lock_for_writing(connection, generation.collection)
    collection, others = other_generations(connection, owner, generation, covered)
    register_owner(connection, owner, collection)
    table = Identifier("seemory", generation.table)
    names = {"owner": owner, "collection": collection, "language": language}
    connection.execute(_STAGING)
    connection.execute("DELETE FROM pg_temp.incoming")  # several batches may share a transaction
    with connection.cursor().copy(_COPY) as copy:
        copy.set_types(list(_COLUMNS.values()))
        for row in rows.values():
            copy.write_row(row)
    sources = list({source for _, source in outcomes if source is not None})
    if sources:
        connection.execute(_STAGING_SOURCE)
        connection.execute("DELETE FROM pg_temp.incoming_source")
        connection.execute(SQL(_FETCH).format(table=table), names | {"sources": sources})
        connection.execute(_FILL)
        connection.execute(_DROP_UNFILLED)
    if others:
        connection.execute(_MARK_CHANGED, names)
    _insert(connection, _ASSETS, _NOTE_ASSETS, names, distributed)
    if any(outcome.error is not None for outcome, _ in outcomes):
        connection.execute(_DROP_ITEMS_OF_FAILED, names)
    connection.execute(_DROP_SCENES, names)
    _insert(connection, _ITEMS, _NOTE_ITEMS, names, distributed)
    connection.execute(SQL(_VECTORS).format(table=table), names)
    for other in others:  # a changed picture's vectors of other generations show what it no longer is
        connection.execute(SQL(_DROP_STALE).format(table=other.table), names)
        if sources:
            connection.execute(SQL(_COPY_OVER).format(table=other.table), names)
        _write_beside(connection, other, [outcome for outcome, _ in outcomes], names)
    rows_now = connection.execute(_WRITTEN).fetchall()
    items = [item_id for item_id, _ in rows_now if item_id is not None]
    note_words(connection, owner, collection, items, [language])
    return Written(len(rows_now), sum(new for _, new in rows_now))


def _insert(
    connection: psycopg.Connection[Any], insert: str, note: str, names: dict[str, Any], distributed: bool
) -> None:
    """Write rows; what the insert returned, a key and an id, is noted in the staging table where it is another id."""
    if not distributed:
        connection.execute(f"WITH written (key, id) AS ({insert}) {note}", names)
        return
    rows = connection.execute(insert, names).fetchall()  # Citus changes no local table by what a distributed one gives
    given = {"keys": [key for key, _ in rows], "ids": [number for _, number in rows]}
    unnested = "SELECT * FROM unnest(%(keys)s::uuid[], %(ids)s::uuid[])"
    connection.execute(f"WITH written (key, id) AS ({unnested}) {note}", given)


def _write_beside(
    connection: psycopg.Connection[Any], other: Beside, outcomes: Sequence[FileOutcome], names: dict[str, Any]
) -> None:
    rows = {outcome.uri: outcome.beside[other.id] for outcome in outcomes if other.id in outcome.beside}
    if not rows:
        return
    connection.execute(_STAGING_BESIDE)
    connection.execute("DELETE FROM pg_temp.incoming_beside")
    with connection.cursor().copy(_COPY_BESIDE) as copy:
        copy.set_types(["text", "halfvec", "jsonb"])
        for uri, (vector, record) in rows.items():
            copy.write_row((escape(uri), *stored(vector, record, other.dim, uri)))
    connection.execute(SQL(_BESIDE).format(table=other.table), names)


def other_generations(
    connection: psycopg.Connection[Any], owner: str, generation: Generation, covered: Collection[int] | None
) -> tuple[int, list[Beside]]:
    """The collection's number, and the channel's other generations."""
    rows = connection.execute(
        f"""
        SELECT g.collection_id, g.id, g.table_name, g.dim, g.channel, {ANSWERS}
        FROM seemory.generation this JOIN seemory.generation g ON g.collection_id = this.collection_id {ROLLED_OUT}
        WHERE this.id = %(id)s ORDER BY g.id""",
        {"id": generation.id, "owner": owner},
    ).fetchall()
    if covered is not None:
        known = {number for _, number, _, _, channel, _ in rows if channel == generation.channel}
        answering = {number for _, number, _, _, _, answers in rows if answers}
        if generation.id not in answering or not known <= set(covered):
            raise GenerationsChanged(f"the generations of collection {generation.collection!r} changed meanwhile")
    if not rows:
        raise UsageError(f"generation {generation.table} of collection {generation.collection!r} no longer exists")
    return rows[0][0], [
        Beside(number, Identifier("seemory", table), dim)
        for _, number, table, dim, channel, _ in rows
        if number != generation.id and channel == generation.channel
    ]


def _as_jsonb(value: Any) -> Jsonb:
    return Jsonb(json_text(value), dumps=str)  # it is text already


def stored(
    vector: Vector | None, record: EmbeddingRecord | None, dim: int, uri: str, more: Mapping[str, Any] | None = None
) -> tuple[Halfvec | None, Jsonb]:
    """The two columns of a vector's row: its halves (None where it has no direction), and its record with the reason.

    `more` is what else the record holds.

    Raises:
        UsageError: the vector has another width than `dim`.
    """
    document = {**(record.as_json() if record else {}), **(more or {})}
    if vector is None:
        return None, _as_jsonb(document)
    if vector.shape != (dim,):
        raise UsageError(
            f"this generation takes vectors of {dim} dimensions, and {uri!r} came with shape {vector.shape}: "
            f"it was made by another encoder"
        )
    with np.errstate(over="ignore"):
        half = vector.astype(np.float16)
    if not np.isfinite(half).all() or not half.any():  # neither has a direction; an index would lose it unseen
        document |= {"error": "ValueError: the vector has no direction (it is zero or not finite)"}
        return None, _as_jsonb(document)
    return Halfvec(half), _as_jsonb(document)


def _row(outcome: FileOutcome, source: UUID | None, generation: Generation) -> tuple[Any, ...]:
    embedding, record = stored(outcome.vector, outcome.record, generation.dim, outcome.uri)
    asset_id = uuid4()
    return (
        escape(outcome.uri),
        asset_id,
        asset_id,
        None if outcome.error is not None else uuid4(),
        source,
        outcome.kind,
        outcome.sha256,
        outcome.bytes,
        outcome.mtime_ns,
        *facts_columns(outcome.facts, outcome.metadata),
        outcome.thumbnail,
        None if outcome.error is None else clean(outcome.error),
        outcome.start_s,
        outcome.end_s,
        embedding,
        record,
    )


def facts_columns(facts: PictureFacts | None, metadata: Mapping[str, Any]) -> tuple[Any, ...]:
    """width, height, format, camera, taken_at and metadata as the asset's columns take them."""
    if facts is None:
        return None, None, None, None, None, _as_jsonb(metadata)
    camera = None if facts.camera is None else clean(facts.camera)
    return (
        facts.width,
        facts.height,
        clean(facts.format),
        camera,
        in_a_zone(facts.taken_at),
        _as_jsonb(facts.metadata),
    )


def in_a_zone(when: datetime | None) -> datetime | None:
    """The moment. A clock without a time zone, such as a camera's, is read as UTC: its hours come back as they were."""
    return when.replace(tzinfo=UTC) if when is not None and when.tzinfo is None else when
