"""Films in the store: one asset with a scene an item, written whole or not at all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from seemory.cues import SpokenWords, Track, track_of
from seemory.store import naming
from seemory.store.connect import Database
from seemory.store.halfvec import Halfvec, as_texts
from seemory.store.locks import lock_for_writing
from seemory.store.owners import register_owner
from seemory.store.rows import frame_facts
from seemory.store.spoken import tell_scenes
from seemory.store.texts import clean_json, escape
from seemory.store.vocabulary import note_words
from seemory.store.writing import facts_columns, other_generations, stored
from seemory.types import (
    EmbeddingRecord,
    FilmOutcome,
    Generation,
    PictureFacts,
    SceneOutcome,
    SceneVectors,
    Vector,
)

_BEFORE = """
SELECT sha256 FROM seemory.asset
WHERE owner_id = %(owner)s AND collection_id = %(collection)s AND uri_key = md5(%(uri)s)::uuid FOR UPDATE"""

_ASSET = """
INSERT INTO seemory.asset AS a
    (owner_id, id, collection_id, kind, uri, sha256, bytes, mtime_ns, width, height, format, camera, taken_at, metadata)
VALUES (%(owner)s, %(asset)s, %(collection)s, 'scene', %(uri)s, %(sha256)s, %(bytes)s, %(mtime_ns)s, %(width)s,
        %(height)s, %(format)s, %(camera)s, %(taken_at)s, %(metadata)s)
ON CONFLICT (owner_id, collection_id, uri_key) DO UPDATE SET
    kind = excluded.kind, sha256 = excluded.sha256, bytes = excluded.bytes, mtime_ns = excluded.mtime_ns,
    width = excluded.width, height = excluded.height, format = excluded.format, camera = excluded.camera,
    taken_at = excluded.taken_at, metadata = excluded.metadata, error = NULL, attempts = 0,
    missing_at = NULL, updated_at = excluded.updated_at
RETURNING a.id"""

_THERE = """
SELECT id, ordinal, start_s, end_s FROM seemory.item
WHERE owner_id = %(owner)s AND asset_id = %(asset)s AND kind = 'scene'"""
_DROP = "DELETE FROM seemory.item WHERE owner_id = %(owner)s AND asset_id = %(asset)s AND NOT id = ANY (%(kept)s)"

_ITEM = """
INSERT INTO seemory.item AS i
    (owner_id, id, asset_id, collection_id, kind, ordinal, start_s, end_s, thumbnail, metadata, document,
     created_at)
VALUES (%(owner)s, %(id)s, %(asset)s, %(collection)s, 'scene', %(ordinal)s, %(start_s)s, %(end_s)s, %(thumbnail)s,
        %(metadata)s, seemory.words_of_file(%(language)s, %(uri)s, %(film)s),
        now() + %(ordinal)s * interval '1 microsecond') -- listed in the film's order
ON CONFLICT (owner_id, asset_id, ordinal) DO UPDATE SET
    thumbnail = excluded.thumbnail, metadata = excluded.metadata, updated_at = excluded.updated_at,
    -- what a person said of the scene stays
    document = seemory.joined(
        seemory.words_of(i.language, i.caption, i.tags, i.notes, i.transcript, i.spoken), excluded.document)"""

_VECTORS = """
INSERT INTO {table} (owner_id, item_id, embedding, frames, metadata)
VALUES (%(owner)s, %(id)s, %(embedding)s, %(frames)s::text[]::halfvec[], %(record)s)
ON CONFLICT (owner_id, item_id) DO UPDATE SET
    embedding = excluded.embedding, frames = excluded.frames, metadata = excluded.metadata"""

_SCENES = """
SELECT i.id, i.start_s, i.end_s, i.metadata, i.thumbnail
FROM seemory.item i WHERE i.owner_id = %(owner)s AND i.asset_id = %(asset)s AND i.kind = 'scene' ORDER BY i.ordinal"""
_ROWS = """
SELECT v.item_id, v.embedding, v.metadata FROM seemory.item i
JOIN {table} v ON v.owner_id = i.owner_id AND v.item_id = i.id
WHERE i.owner_id = %(owner)s AND i.asset_id = %(asset)s AND i.kind = 'scene'"""
_FRAMES = """
SELECT v.item_id, frame.place, frame.vector FROM seemory.item i
JOIN {table} v ON v.owner_id = i.owner_id AND v.item_id = i.id
CROSS JOIN LATERAL unnest(v.frames) WITH ORDINALITY AS frame (vector, place)
WHERE i.owner_id = %(owner)s AND i.asset_id = %(asset)s AND i.kind = 'scene' ORDER BY v.item_id, frame.place"""
_COLLECTION = "SELECT collection_id FROM seemory.asset WHERE owner_id = %(owner)s AND id = %(asset)s FOR UPDATE"
_TRACKS = "SELECT tracks FROM seemory.asset WHERE owner_id = %(owner)s AND id = %(asset)s"
_NO_FILM: tuple[Any, ...] = (0, 0, "", None, None, {})
_FILM = """
SELECT width, height, format, camera, taken_at, metadata FROM seemory.asset
WHERE owner_id = %(owner)s AND id = %(asset)s"""


class Films:
    """The films of one owner."""

    def __init__(self, database: Database, owner: str, language: str = "english") -> None:
        """`language` is the text search configuration for what films say of themselves."""
        self._database = database
        self.owner = owner
        self._language = language

    def write(
        self, collection: str, generation: Generation, film: FilmOutcome, covered: Collection[int] | None = None
    ) -> int:
        """How many scenes were written, all or none; writing the same again changes nothing but the times.

        A scene that was there with the same borders, of the same bytes, keeps its id and what was said of it; all other
        items of the file go.

        Args:
            collection, generation: the live generation of that collection.
            film: what was learned of it, for the live generation and others.
            covered: ids of the generations that it was made for; None: not asked.

        Raises:
            UsageError: a vector has another width than its generation.
            GenerationsChanged: the collection has other generations by now than `covered`, or another live one.
        """
        naming.require_same_collection(collection, generation)
        with self._database.transaction(self.owner) as connection:
            lock_for_writing(connection, collection)
            number, others = other_generations(connection, self.owner, generation, covered)
            register_owner(connection, self.owner, number)
            uri = escape(film.uri)
            names = {"owner": self.owner, "collection": number, "uri": uri, "language": self._language}
            before = connection.execute(_BEFORE, names).fetchone()
            asset, told = self._asset(connection, film, names)
            names |= {"asset": asset, "film": told}
            same = before is None or before[0] == film.sha256
            ids = _ids(connection, film.scenes, names, same)
            connection.execute(_DROP, names | {"kept": list(ids)})
            with connection.cursor() as cursor:
                cursor.executemany(_ITEM, [names | _item(n, ids[n], one) for n, one in enumerate(film.scenes)])
                tables = {generation.id: (Identifier("seemory", generation.table), generation.dim)}
                tables |= {other.id: (other.table, other.dim) for other in others}
                for made_for, (table, dim) in tables.items():
                    rows = [
                        {"owner": self.owner, "id": ids[n], **_row(one.vectors[made_for], dim, film.uri)}
                        for n, one in enumerate(film.scenes)
                        if made_for in one.vectors
                    ]
                    if rows:
                        cursor.executemany(SQL(_VECTORS).format(table=table), rows)
            told_in = tell_scenes(connection, self.owner, collection, asset, film.words, self._language)
            note_words(connection, self.owner, number, ids, sorted({self._language, *told_in.languages}))
        return len(ids)

    def tell(self, collection: str, asset_id: UUID, words: SpokenWords) -> int:
        """How many scenes of a stored film have other words now; nothing else of it changes."""
        with self._database.transaction(self.owner) as connection:
            row = connection.execute(_COLLECTION, {"owner": self.owner, "asset": asset_id}).fetchone()
            if row is None:  # it was forgotten meanwhile
                return 0
            told = tell_scenes(connection, self.owner, collection, asset_id, words, self._language)
            note_words(connection, self.owner, row[0], told.scenes, sorted(told.languages))
        return len(told.scenes)

    def tracks(self, asset_id: UUID) -> tuple[Track, ...] | None:
        """All that was read and heard of a film's words; None where nothing was ever tried."""
        with self._database.transaction(self.owner) as connection:
            row = connection.execute(_TRACKS, {"owner": self.owner, "asset": asset_id}).fetchone()
        return None if row is None or row[0] is None else tuple(map(track_of, row[0]))

    def _asset(
        self, connection: psycopg.Connection[Any], film: FilmOutcome, names: Mapping[str, Any]
    ) -> tuple[UUID, Jsonb]:
        """The film's asset, and what is told of it."""
        metadata = {**film.facts.metadata, "detector": film.detector, "scenes": len(film.scenes)}
        if film.damage:
            metadata["damage"] = film.damage
        width, height, kind, camera, taken_at, _ = facts_columns(film.facts, {})
        told = Jsonb(clean_json(metadata))
        values = {"asset": uuid4(), "sha256": film.sha256, "bytes": film.bytes, "mtime_ns": film.mtime_ns}
        values |= {"width": width, "height": height, "format": kind, "camera": camera, "taken_at": taken_at}
        row = connection.execute(_ASSET, dict(names) | values | {"metadata": told}).fetchone()
        assert row is not None
        return row[0], told

    def scenes(
        self, asset_id: UUID, generations: Sequence[Generation]
    ) -> tuple[PictureFacts, str, tuple[SceneOutcome, ...]]:
        """What is stored of a film: its facts, the detector, and its scenes with their vectors in those generations."""
        names = {"owner": self.owner, "asset": asset_id}
        vectors: dict[UUID, dict[int, SceneVectors]] = {}
        with self._database.transaction(self.owner) as connection, connection.cursor(binary=True) as cursor:
            film = cursor.execute(_FILM, names).fetchone()
            rows = cursor.execute(_SCENES, names).fetchall()
            for generation in generations:
                table = Identifier("seemory", generation.table)
                frames: dict[UUID, list[Vector | None]] = {}
                for item, _, vector in cursor.execute(SQL(_FRAMES).format(table=table), names):
                    frames.setdefault(item, []).append(vector)
                for item, vector, record in cursor.execute(SQL(_ROWS).format(table=table), names):
                    own = tuple(_record(one) for one in record.get("frames", ()))
                    vectors.setdefault(item, {})[generation.id] = SceneVectors(
                        vector, _record(record), tuple(frames.get(item, ())), own
                    )
        width, height, kind, camera, taken_at, metadata = film or _NO_FILM
        facts = PictureFacts(width or 0, height or 0, kind or "", taken_at, camera, metadata)
        found = tuple(
            SceneOutcome(
                start, end, told["first_frame"], told["end_frame"], frame_facts(told), small, vectors.get(item, {})
            )
            for item, start, end, told, small in rows
            if "first_frame" in told
        )
        return facts, str(metadata.get("detector", "")), found

    def known_frames(
        self, asset_id: UUID, generations: Sequence[Generation]
    ) -> dict[str, dict[int, tuple[Vector, EmbeddingRecord]]]:
        """Vector and record of each frame of a stored film, by the hash of its pixels and the generation's id."""
        known: dict[str, dict[int, tuple[Vector, EmbeddingRecord]]] = {}
        for scene in self.scenes(asset_id, generations)[2]:
            for number, made in scene.vectors.items():
                for frame, vector, record in zip(scene.frames, made.frames, made.frame_records, strict=False):
                    if vector is not None:
                        known.setdefault(frame.pixels, {})[number] = (vector, record)
        return known


def _ids(
    connection: psycopg.Connection[Any], scenes: Sequence[SceneOutcome], names: Mapping[str, Any], same: bool
) -> list[UUID]:
    """An id for each scene: the one it has, where its place and borders are the same, or a new one."""
    there = {
        (ordinal, round(start, 3), round(end, 3)): item
        for item, ordinal, start, end in connection.execute(_THERE, names)
        if same and start is not None and end is not None
    }
    return [there.get((n, round(one.start_s, 3), round(one.end_s, 3))) or uuid4() for n, one in enumerate(scenes)]


def _item(ordinal: int, item: UUID, scene: SceneOutcome) -> dict[str, Any]:
    metadata = {
        "first_frame": scene.first_frame,
        "end_frame": scene.end_frame,
        "frames": [frame.as_json() for frame in scene.frames],
    }
    return {
        "id": item,
        "ordinal": ordinal,
        "start_s": round(scene.start_s, 6),
        "end_s": round(scene.end_s, 6),
        "thumbnail": scene.thumbnail,
        "metadata": Jsonb(clean_json(metadata)),
    }


def _row(made: SceneVectors, dim: int, uri: str) -> dict[str, Any]:
    return dict(zip(("embedding", "frames", "record"), scene_columns(made, dim, uri), strict=True))


def scene_columns(made: SceneVectors, dim: int, uri: str) -> tuple[Halfvec | None, list[str | None] | None, Jsonb]:
    """A scene's row in a generation: its halves, its frames' as texts, and its record with one a frame in it.

    Raises:
        UsageError: a vector has another width than `dim`.
    """
    if not made.frame_records:
        embedding, record = stored(made.vector, made.record, dim, uri)
        return embedding, None, record
    for vector in made.frames:
        stored(vector, None, dim, uri)
    frames = {"frames": [one.as_json() for one in made.frame_records]}
    embedding, record = stored(made.vector, made.record, dim, uri, frames)
    return embedding, as_texts(made.frames), record


def _record(document: Mapping[str, Any]) -> EmbeddingRecord:
    known = set(EmbeddingRecord.__slots__)
    return EmbeddingRecord(**{name: value for name, value in document.items() if name in known})
