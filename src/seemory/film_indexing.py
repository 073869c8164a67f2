"""One film of an indexing run → its scenes in the store, whole or not at all.

A kill in the middle of a film leaves nothing of it, and the films before it are committed: the next run begins with the
film that was under way. What a run made of a film's frames before, the next one finds by the hash of their pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from seemory.embedding.films import FilmPlan, KnownFrames, read_film
from seemory.embedding.pictures import Targets
from seemory.errors import GenerationsChanged, MediaError
from seemory.film_words import FilmWords
from seemory.index_candidate import Candidate
from seemory.index_report import FileResult, Status
from seemory.store.films import Films
from seemory.store.items import Items
from seemory.telemetry import ProgressListener
from seemory.types import FilmOutcome, Generation, KnownFile

_TRIES = 5  # of one film, while operators change the generations


class FilmIndexer:
    """Brings films into one collection's live generation."""

    def __init__(
        self, items: Items, films: Films, targets: Callable[[], Targets], plan: FilmPlan, words: FilmWords
    ) -> None:
        """Nothing is read yet.

        Args:
            items: the owner's files and items.
            films: the owner's films.
            targets: where new scenes go at this moment; asked again for every film.
            plan: how films are read.
            words: who reads what is said in them.
        """
        self._items = items
        self._films = films
        self._targets = targets
        self._plan = plan
        self._words = words

    def index(self, candidate: Candidate, listen: ProgressListener) -> FileResult:
        """What became of a film; one that cannot be read is stored with its reason, and nothing is raised for it."""
        for tries_left in reversed(range(_TRIES)):
            targets = self._targets()
            try:
                return self._once(candidate, targets, listen)
            except GenerationsChanged:
                if not tries_left:
                    raise
        raise AssertionError("the last try returns or raises")

    def copy(self, candidate: Candidate, twin: KnownFile, listen: ProgressListener) -> FileResult:
        """What became of a film whose bytes the store knows under another name: its scenes are copied, not made."""
        targets = self._targets()
        live = targets.live.generation
        facts, detector, scenes = self._films.scenes(twin.asset_id, _generations(targets))
        if not scenes:
            return self.index(candidate, listen)
        size, mtime_ns, damage = candidate.bytes, candidate.mtime_ns, facts.metadata.get("damage")
        words = self._words.read(candidate.path, self._films.tracks(twin.asset_id), same=True, listen=listen)
        film = FilmOutcome(candidate.uri, size, mtime_ns, candidate.sha256, facts, detector, scenes, damage, words)
        try:
            self._films.write(live.collection, live, film, targets.covered)
            return FileResult(candidate.uri, "copied", told=bool(words.tracks))
        except GenerationsChanged:
            return self.index(candidate, listen)

    def is_retold(self, known: KnownFile, path: Path) -> bool:
        """Whether there are other words for a film than those that were read; the folder is looked at, no file."""
        return known.kind == "scene" and self._words.are_new(path, known.words_from)

    def retell(self, known: KnownFile, path: Path, listen: ProgressListener) -> FileResult:
        """What became of a known film whose words were read anew; no frame of it is looked at."""
        words = self._words.read(path, self._films.tracks(known.asset_id), same=True, listen=listen)
        told = self._films.tell(self._targets().live.generation.collection, known.asset_id, words) > 0
        status: Status = "partial" if words.problem else "reworded" if told else "unchanged"
        return FileResult(str(path), status, words.problem, told)

    def _once(self, candidate: Candidate, targets: Targets, listen: ProgressListener) -> FileResult:
        live = targets.live.generation
        try:
            content = read_film(candidate.path, targets, self._plan, self._known(candidate, targets), listen)
        except (MediaError, OSError) as error:
            failed = replace(candidate.outcome(), kind="scene", error=str(error))
            self._items.write(live.collection, live, [failed], targets.covered)
            return FileResult(candidate.uri, "failed", str(error))
        same = candidate.known is not None and candidate.known.sha256 == candidate.sha256
        kept = self._films.tracks(candidate.known.asset_id) if candidate.known and same else None
        words = self._words.read(candidate.path, kept, listen=listen)
        film = FilmOutcome(
            candidate.uri,
            candidate.bytes,
            candidate.mtime_ns,
            candidate.sha256,
            content.facts,
            content.detector,
            content.scenes,
            content.damage,
            words,
        )
        self._films.write(live.collection, live, film, targets.covered)
        without = [
            scene.vectors[live.id].record.error for scene in film.scenes if scene.vectors[live.id].vector is None
        ]
        if without:
            reason = f"{len(without)} of its scenes have no vector: {without[0]}"
            return FileResult(candidate.uri, "failed", reason, told=bool(words.tracks))
        wrong = "; ".join(filter(None, (film.damage, words.problem))) or None
        return FileResult(candidate.uri, "partial" if wrong else "indexed", wrong, told=bool(words.tracks))

    def _known(self, candidate: Candidate, targets: Targets) -> KnownFrames | None:
        """What the store has of the film's frames, where the film is known."""
        if candidate.known is None:
            return None
        return self._films.known_frames(candidate.known.asset_id, _generations(targets))


def _generations(targets: Targets) -> list[Generation]:
    return [target.generation for target in targets.all]
