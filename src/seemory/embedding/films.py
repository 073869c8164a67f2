"""One film → its scenes, the frames that stand for them, and their vectors, in one decoding pass of bounded memory.

A film is one unit: it is read whole before anything of it is stored. What grows with its length is small: for each
scene up to three vectors an encoder, a thumbnail and some figures. Pixels are held of the scene under way alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from seemory.embedding.pictures import Embedded, Target, Targets, embed
from seemory.errors import UnreadableMedia
from seemory.media.frames import MEASURED, SAMPLED_S, Candidate, Picker, Stretch, measure
from seemory.media.image import thumbnail_of
from seemory.media.scenes import CutFinder, Detector
from seemory.media.upright import Views
from seemory.media.video import Film, FilmLimits, Frame, frames_at, open_film
from seemory.models.encoder import Encoder
from seemory.telemetry import Progress, ProgressListener, ignore
from seemory.types import EmbeddingRecord, FrameFacts, PictureFacts, Pixels, SceneOutcome, SceneVectors, Vector

KnownFrames = Mapping[str, Mapping[int, tuple[Vector, EmbeddingRecord]]]
"""For frames that have been embedded, by the hash of their pixels: vector and record for each generation, by its id."""

_LATEST: Final = 3  # frames kept as they are, for a scene that ends with the film before one of it was looked at


@dataclass(frozen=True, slots=True)
class FilmPlan:
    """How a film is read."""

    detector: Detector = "best"
    shortest_s: float = 1.0
    """Of scenes, in seconds."""
    limits: FilmLimits = field(default_factory=FilmLimits)
    thumbnail_size: int = 256
    batch_size: int = 32
    """Frames a forward pass."""


@dataclass(frozen=True, slots=True)
class FilmContent:
    """What reading a film gave."""

    facts: PictureFacts
    detector: str
    """Which one the scenes are of."""
    scenes: tuple[SceneOutcome, ...]
    damage: str | None
    """What of it could not be read."""


@dataclass(frozen=True, slots=True)
class _Closed:
    """A scene whose frames are chosen and under way to their vectors."""

    stretch: Stretch
    frames: tuple[FrameFacts, ...]
    thumbnail: bytes


class FrameEmbedder:
    """Embeds frames in batches as they come, each sight once."""

    def __init__(self, targets: Sequence[Target], batch_size: int, known: KnownFrames | None = None) -> None:
        self._targets = targets
        self._encoders = {target.encoder.fingerprint: target.encoder for target in targets}
        self._batch = batch_size
        self._waiting: dict[str, dict[str, Pixels]] = {}
        self._made: dict[str, dict[str, Embedded]] = {}
        for pixels, vectors in (known or {}).items():
            found: dict[str, Embedded] = {
                target.encoder.fingerprint: vectors[target.generation.id]
                for target in targets
                if target.generation.id in vectors
            }
            if found.keys() == self._encoders.keys():
                self._made[pixels] = found
        self.passes = 0
        """Frames that went through an encoder, each counted once whatever the number of encoders."""

    def take(self, name: str, pixels: Pixels) -> None:
        """See to it that the frame of that name (the hash of its pixels) has vectors at the end."""
        if name in self._made or name in self._waiting:
            return
        image = Image.fromarray(pixels)
        self._waiting[name] = {mark: encoder.preprocess(image) for mark, encoder in self._encoders.items()}
        if len(self._waiting) >= self._batch:
            self.flush()

    def flush(self) -> None:
        """Embed what waits."""
        names = list(self._waiting)
        self.passes += len(names)
        for mark, encoder in self._encoders.items():
            vectors = embed(encoder, [self._waiting[name][mark] for name in names])
            for name, made in zip(names, vectors, strict=True):
                self._made.setdefault(name, {})[mark] = made
        self._waiting.clear()

    def scene(self, target: Target, ordinal: int, frames: Sequence[FrameFacts]) -> SceneVectors:
        """The vectors of a scene for one generation, after `flush`."""
        made = [self._made[frame.pixels][target.encoder.fingerprint] for frame in frames]
        return scene_vectors(target.encoder, ordinal, frames, made)


def scene_vectors(
    encoder: Encoder, ordinal: int, frames: Sequence[FrameFacts], made: Sequence[Embedded]
) -> SceneVectors:
    """The frames' vectors and their mean, brought to norm 1; each with its record."""
    records = tuple(
        replace(
            record,
            frame_path=f"scene_{ordinal}_frame_{place}.jpg",
            frame_quality=None if vector is None else _quality(frame),
        )
        for place, (frame, (vector, record)) in enumerate(zip(frames, made, strict=True))
    )
    vectors = tuple(vector for vector, _ in made)
    kept = [vector for vector in vectors if vector is not None]
    if not kept:
        error = next((record.error for record in records if record.error), "no frame of the scene could be read")
        return SceneVectors(None, encoder.record(error=error), vectors, records)
    mean = np.mean(np.stack(kept), axis=0)  # (d,)
    norm = float(np.linalg.norm(mean))
    best = max(range(len(frames)), key=lambda place: (vectors[place] is not None, frames[place].quality_score))
    if norm < 1e-6:  # frames that point in opposite ways: the best one speaks for them
        mean, norm = np.asarray(vectors[best]), 1.0
    times = [record.inference_time_ms for record in records if record.inference_time_ms is not None]
    record = replace(records[best], inference_time_ms=round(sum(times), 2) if times else None)
    return SceneVectors((mean / norm).astype(np.float32), record, vectors, records)


def read_film(
    path: Path,
    targets: Targets,
    plan: FilmPlan,
    known: KnownFrames | None = None,
    listen: ProgressListener = ignore,
) -> FilmContent:
    """The scenes of a film with their vectors for every generation; `known` frames are not embedded again.

    Raises:
        MediaError: nothing of it can be read. What is damaged in part gives the rest, and says so.
    """
    embedder = FrameEmbedder(targets.all, plan.batch_size, known)
    with open_film(path, plan.limits) as film:
        name, closed = _watch(film, plan, _side(target.encoder for target in targets.all), embedder, path.name, listen)
        embedder.flush()
        scenes = tuple(
            SceneOutcome(
                one.stretch.start_s,
                one.stretch.end_s,
                one.stretch.first,
                one.stretch.end,
                one.frames,
                one.thumbnail,
                {target.generation.id: embedder.scene(target, n, one.frames) for target in targets.all},
            )
            for n, one in enumerate(closed)
        )
        return FilmContent(film.facts, name, scenes, str(film.damage) or None)


def frames_again(path: Path, times: Sequence[float], encoder: Encoder, limits: FilmLimits) -> list[Pixels]:
    """The squares, for one encoder, of the frames of a film shown at these rising times; by seeking.

    Raises:
        MediaError: the film or one of the frames cannot be read any more.
    """
    pictures = frames_at(path, times, side=_side([encoder]), limits=limits)
    return [encoder.preprocess(Image.fromarray(pixels)) for pixels in pictures]


def _side(encoders: Iterator[Encoder] | Sequence[Encoder]) -> int:
    """The short side of frames as they are held: what is measured, and twice what the widest encoder takes."""
    return max(MEASURED, *(2 * encoder.image_size for encoder in encoders))


def _watch(
    film: Film, plan: FilmPlan, side: int, embedder: FrameEmbedder, subject: str, listen: ProgressListener
) -> tuple[str, list[_Closed]]:
    """The detector that was chosen, and its scenes: the one pass over the film."""
    views, finder = film.views(side), CutFinder(plan.detector, film.rate, shortest_s=plan.shortest_s)
    watchers = {name: _Watcher(plan.thumbnail_size, embedder) for name in finder.cuts}
    latest: deque[Frame] = deque(maxlen=_LATEST)
    looked, told, last = float("-inf"), -1, 0
    total = None if film.announced_s is None else max(1, round(film.announced_s))
    for frame in film.frames():
        latest.append(frame)
        last = frame.index
        if frame.time_s - looked >= SAMPLED_S:
            looked = frame.time_s
            candidate = _candidate(frame, views)
            for watcher in watchers.values():
                watcher.picker.offer(candidate)
        for name, index in finder.see(frame.time_s, views.small(frame.image)):
            watchers[name].cut(index, finder.time_of(index))
        if int(frame.time_s) > told:
            told = int(frame.time_s)
            listen(Progress("film", told if total is None else min(told, total), total, "s of film", subject))
    for name, index in finder.end():
        watchers[name].cut(index, finder.time_of(index))
    name = finder.best()
    chosen = watchers[name]
    if not chosen.picker.has(chosen.first):
        for frame in latest:
            chosen.picker.offer(_candidate(frame, views))
    chosen.cut(last + 1, film.end_s)
    if not chosen.closed:
        raise UnreadableMedia("no frame of it could be looked at")
    return name, chosen.closed


class _Watcher:
    """The scenes as one detector cuts them."""

    def __init__(self, thumbnail_size: int, embedder: FrameEmbedder) -> None:
        self.picker = Picker()
        self.closed: list[_Closed] = []
        self.first, self._start_s = 0, 0.0
        self._thumbnail_size = thumbnail_size
        self._embedder = embedder

    def cut(self, index: int, time_s: float) -> None:
        """End the scene under way before the frame of that index; one without any candidate goes with the next."""
        stretch = Stretch(self.first, index, self._start_s, time_s)
        kept = self.picker.close(stretch)
        if not kept:
            return
        facts = []
        for candidate in kept:
            name = candidate.digest().hex()
            self._embedder.take(name, candidate.pixels)
            facts.append(_facts(candidate, name))
        best = max(kept, key=lambda one: one.quality.score)
        thumbnail = thumbnail_of(Image.fromarray(best.pixels), self._thumbnail_size)
        self.closed.append(_Closed(stretch, tuple(facts), thumbnail))
        self.first, self._start_s = index, time_s


def _candidate(frame: Frame, views: Views) -> Candidate:
    pixels = views.upright(frame.image)
    return Candidate(frame.index, frame.time_s, measure(pixels), pixels)


def _facts(candidate: Candidate, name: str) -> FrameFacts:
    quality = candidate.quality
    figures = (round(quality.brightness, 2), round(quality.sharpness, 2), round(quality.score, 4))
    return FrameFacts(candidate.index, round(candidate.time_s, 6), *figures, name, candidate.note)


def _quality(frame: FrameFacts) -> dict[str, object]:
    told: dict[str, object] = {
        "quality_score": frame.quality_score,
        "brightness": frame.brightness,
        "sharpness": frame.sharpness,
        "time_s": frame.time_s,
    }
    return told | ({"note": frame.note} if frame.note else {})
