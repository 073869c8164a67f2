"""Scenes that a generation lacks → their frames, fetched from the film by seeking to their times, and embedded anew.

The frames themselves are not kept: the film has them, a seek finds them, and the pixels are the very ones that were
chosen, where stored pictures would be a second, worse copy. As with pictures, a film that is gone or has changed gives
no vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from seemory.embedding.films import frames_again, scene_vectors
from seemory.embedding.pictures import embed
from seemory.errors import MediaError, UnreadableMedia, UnsupportedMedia
from seemory.lookahead import batches
from seemory.media.video import FilmLimits
from seemory.models.encoder import Encoder
from seemory.store.backlog import Made, Waiting
from seemory.types import EmbeddingRecord, SceneVectors

_ACCEPTED = FilmLimits(max_pixels=150_000_000, max_hours=1000)
"""Wide, because the film was held against the settings when it was indexed."""

AT_ONCE = 16  # scenes of one film, of which all frames are held and embedded together

Anew = tuple[Waiting, Made, EmbeddingRecord]
"""An item, what was made of it, and the record of that."""


def scenes_anew(page: Sequence[Waiting], encoder: Encoder) -> Iterator[list[Anew]]:
    """The scenes of a page in batches, film by film, in the order in which they are shown."""
    films: dict[str, list[Waiting]] = {}
    for waiting in page:
        films.setdefault(waiting.uri, []).append(waiting)
    for uri, scenes in films.items():
        for batch in batches(sorted(scenes, key=lambda one: one.ordinal), AT_ONCE):
            try:
                yield _made(Path(uri), batch, encoder)
            except MediaError:  # one of them: each for itself
                yield [_alone(Path(uri), scene, encoder) for scene in batch]


def _alone(path: Path, scene: Waiting, encoder: Encoder) -> Anew:
    try:
        return _made(path, [scene], encoder)[0]
    except MediaError as error:
        return scene, None, encoder.record(error=f"{type(error).__name__}: {error}"[:200])


def _made(path: Path, scenes: Sequence[Waiting], encoder: Encoder) -> list[Anew]:
    _require_the_same(path, scenes)
    times = sorted({frame.time_s for scene in scenes for frame in scene.frames})
    squares = frames_again(path, times, encoder, _ACCEPTED)
    made = dict(zip(times, embed(encoder, squares), strict=True))
    done: list[Anew] = []
    for scene in scenes:
        vectors: SceneVectors = scene_vectors(
            encoder, scene.ordinal, scene.frames, [made[frame.time_s] for frame in scene.frames]
        )
        done.append((scene, vectors, vectors.record))
    return done


def _require_the_same(path: Path, scenes: Sequence[Waiting]) -> None:
    for scene in scenes:
        if not scene.frames:
            raise UnsupportedMedia("a scene whose frames are not known cannot be embedded anew; index its film")
        try:
            state = path.stat()
        except (OSError, ValueError) as error:
            raise UnreadableMedia("the film is not there; it may have been moved or removed") from error
        if (state.st_size, state.st_mtime_ns) != (scene.bytes, scene.mtime_ns):
            raise UnreadableMedia("the film has changed since its scenes were found; index it again")
