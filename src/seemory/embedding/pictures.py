"""One picture file → its squares for several encoders → its vectors; one decode serves all of them.

Who does it for a stream of files is a collaborator (`EmbedFiles`): threads of this process, or a Ray cluster.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np

from seemory.errors import MediaError, ModelError
from seemory.media.image import Picture, ReadPicture, load_picture, read_here
from seemory.models.encoder import Encoder
from seemory.types import Blob, EmbeddingRecord, FileOutcome, Generation, PictureFacts, Pixels, Vector, error_text

Embedded = tuple[Vector | None, EmbeddingRecord]
"""A picture's vector and its record; without a vector the record has the reason."""


@dataclass(frozen=True, slots=True)
class Target:
    """A generation and the encoder that makes its vectors."""

    generation: Generation
    encoder: Encoder


@dataclass(frozen=True, slots=True)
class Targets:
    """Where new pictures go: to the live generation, and to those that are kept up to date beside it."""

    live: Target
    beside: tuple[Target, ...] = ()
    skipped: frozenset[int] = frozenset()
    """Generations whose encoder cannot be had here: their rows are left to the backlog."""

    @property
    def all(self) -> tuple[Target, ...]:
        """The live one first."""
        return (self.live, *self.beside)

    @property
    def covered(self) -> frozenset[int]:
        """The ids of all generations that were thought of."""
        return self.skipped | {target.generation.id for target in self.all}


@dataclass(frozen=True, slots=True)
class Squares:
    """What decoding a file gave; the full picture is let go, so that memory stays bounded."""

    pixels: Mapping[str, Pixels] = field(default_factory=dict)
    """For each encoder, by its fingerprint."""
    facts: PictureFacts | None = None
    thumbnail: Blob | None = None
    error: str | None = None
    """Why there is nothing of the above."""


class Source(Protocol):
    """What a stream of work is made of."""

    @property
    def path(self) -> Path | None:
        """The picture file; None where there is nothing to be made, and the thing only keeps its place in the line."""

    @property
    def key(self) -> Hashable:
        """What has the same key has the same vector."""


S = TypeVar("S", bound=Source)


@dataclass(frozen=True, slots=True)
class Made:
    """All that decoding and embedding gave of one file."""

    embedded: Mapping[str, Embedded] = field(default_factory=dict)
    """For each encoder, by its fingerprint; empty where the file could not be read."""
    facts: PictureFacts | None = None
    thumbnail: Blob | None = None
    error: str | None = None
    """Why there is nothing of the above."""


@dataclass(frozen=True, slots=True)
class MadeBatch(Generic[S]):
    """Files with what was made of them, and the generations it was made for."""

    files: Sequence[S]
    targets: Targets
    made: Sequence[Made]


class EmbedFiles(Protocol):
    """Decodes and embeds a stream of files, with a bounded number of them under way."""

    def stream(self, files: Iterable[S], targets: Callable[[], Targets]) -> Iterator[MadeBatch[S]]:
        """The files in their order, in batches; `targets` is asked for each batch. A bad file is an error in words."""


def decode(
    path: Path,
    encoders: Sequence[Encoder],
    *,
    max_pixels: int,
    thumbnail_size: int = 256,
    content: bytes | None = None,
) -> Squares:
    """The squares of a picture file for each encoder; a file that cannot be read is an error in words, not raised.

    Where `content` is given, it is the file's bytes, and nothing is read from disk.
    """
    try:
        if content is not None:
            return unpack(content, encoders, suffix=path.suffix, max_pixels=max_pixels, thumbnail_size=thumbnail_size)
        target = max(encoder.image_size for encoder in encoders)
        picture = load_picture(path, target=target, max_pixels=max_pixels, thumbnail_size=thumbnail_size)
        return _squares(picture, encoders)
    except (OSError, MediaError) as error:
        return Squares(error=str(error))


def unpack(
    content: bytes,
    encoders: Sequence[Encoder],
    *,
    suffix: str = "",
    max_pixels: int,
    thumbnail_size: int,
    decoder: ReadPicture = read_here,
) -> Squares:
    """The squares of a picture file's bytes for each encoder. Raises MediaError."""
    target = max(encoder.image_size for encoder in encoders)
    picture = decoder(content, suffix=suffix, target=target, max_pixels=max_pixels, thumbnail_size=thumbnail_size)
    return _squares(picture, encoders)


def _squares(picture: Picture, encoders: Sequence[Encoder]) -> Squares:
    pixels = {encoder.fingerprint: encoder.preprocess(picture.image) for encoder in encoders}
    return Squares(pixels, picture.facts, picture.thumbnail)


def embed(encoder: Encoder, pixels: Sequence[Pixels]) -> list[Embedded]:
    """Each picture's vector and record; where a batch fails, its pictures are tried one by one."""
    if not pixels:
        return []
    start = time.perf_counter()
    try:
        vectors = encoder.embed_pixels(np.stack(pixels))
    except ModelError as error:
        if len(pixels) > 1:
            return [result for one in pixels for result in embed(encoder, [one])]
        return [(None, encoder.record(error=error_text(error)))]
    record = encoder.record(inference_time_ms=round((time.perf_counter() - start) * 1000 / len(pixels), 2))
    return [(vector, record) for vector in vectors]


def embed_all(squares: Sequence[Squares], keys: Sequence[Hashable], encoders: Sequence[Encoder]) -> list[Made]:
    """What was made of each decoded file; files of the same key are embedded once."""
    by_key: list[tuple[str, dict[Hashable, Embedded]]] = []
    for encoder in encoders:
        name = encoder.fingerprint
        unique = {key: one.pixels[name] for key, one in zip(keys, squares, strict=True) if one.pixels}
        by_key.append((name, dict(zip(unique, embed(encoder, list(unique.values())), strict=True))))
    return [
        Made({name: embedded[key] for name, embedded in by_key}, one.facts, one.thumbnail)
        if one.pixels
        else Made(error=one.error)
        for key, one in zip(keys, squares, strict=True)
    ]


def completed(outcome: FileOutcome, targets: Targets, made: Made) -> FileOutcome:
    """What is known of a file from outside, with what was made of it for each generation, as the store takes it."""
    if not made.embedded:
        return replace(outcome, error=made.error)
    name = Path(outcome.uri).name
    by_generation = {
        target.generation.id: (vector, replace(record, frame_path=name))
        for target in targets.all
        for vector, record in [made.embedded[target.encoder.fingerprint]]
    }
    vector, record = by_generation.pop(targets.live.generation.id)
    return replace(
        outcome, facts=made.facts, thumbnail=made.thumbnail, vector=vector, record=record, beside=by_generation
    )
