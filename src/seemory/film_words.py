"""What is said in a film, from wherever it is written; and whether that has changed since it was stored.

Files beside the film are read whenever one of them is new, changed or gone: the film itself is not opened for that.
Streams inside it are read with it. A model listens only where nothing is written, and what it heard is kept as long as
the film's bytes are the same, since listening takes longer than all else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from seemory.cues import LONGEST_CUE, MOST_CUES, Cue, SpokenWords, Track, without_repeats
from seemory.errors import MediaError, ModelError
from seemory.media.film_opening import FilmLimits
from seemory.media.sound import sound_of
from seemory.media.subtitle_files import SubtitleFile, SubtitleFinder
from seemory.media.subtitle_languages import configuration
from seemory.media.subtitles import read_file, read_streams
from seemory.telemetry import Progress, ProgressListener, ignore


class Speech(Protocol):
    """Writes down what is spoken."""

    name: str
    """Which model it is."""

    def write_down(
        self, pieces: Iterable[tuple[float, NDArray[np.float32]]]
    ) -> Iterator[tuple[float, float, str, str]]:
        """(from, to, words, language tag) of what is said in (begin, samples) of sound. Raises ModelError."""


class FilmWords:
    """Reads the words of films, one after the other."""

    def __init__(self, limits: FilmLimits, language: str, speech: Speech | None = None) -> None:
        """Nothing is read yet.

        Args:
            limits: what is accepted of a film.
            language: the text search configuration of what names no language.
            speech: who writes down what is spoken where nothing is written; None: nobody.
        """
        self._limits = limits
        self._language = language
        self._speech = speech
        self._finder = SubtitleFinder()

    def are_new(self, path: Path, before: Mapping[str, Any] | None) -> bool:
        """Whether there is something to read that was not there, or gone what was; `before` is the state stored."""
        if before is None or before.get("files") != _listed(self._finder.beside(path)):
            return True
        return self._speech is not None and before.get("silent") is True and before.get("by") != self._speech.name

    def read(
        self, path: Path, kept: Sequence[Track] | None = None, *, same: bool = False, listen: ProgressListener = ignore
    ) -> SpokenWords:
        """The words of a film. Whatever cannot be read is its track's problem, and nothing is raised for it.

        Args:
            path: the film.
            kept: what is stored of a film with the same bytes; None if there is none, or nothing was ever read of it.
            same: whether streams inside the film need not be read again.
            listen: called with the progress, where somebody listens.
        """
        files = self._finder.beside(path)
        tracks = [read_file(file, self._language) for file in files]
        if same and kept is not None:
            tracks += [track for track in kept if track.origin == "stream"]
        else:
            tracks += self._streams(path)
        silent = not any(track.cues for track in tracks)
        heard = [track for track in kept or () if track.origin == "speech" and (same or not track.problem)]
        by = heard[0].source if heard else None
        if self._speech is not None and silent and self._speech.name != by:
            heard = [self._heard(self._speech, path, listen)]
            by = None if heard[0].problem else self._speech.name  # what failed is tried again
        return SpokenWords((*tracks, *heard), {"files": _listed(files), "silent": silent, "by": by})

    def _heard(self, speech: Speech, path: Path, listen: ProgressListener) -> Track:
        """The track of a film's sound, without cues where it has none; with the reason where it cannot be heard."""
        cues: list[Cue] = []
        heard_in: str | None = None
        problem: str | None = None

        def told() -> Iterator[tuple[float, NDArray[np.float32]]]:
            for piece in sound_of(path, self._limits):
                listen(Progress("speech", int(piece.start_s), None, "s of film", path.name))
                yield piece.start_s, piece.samples

        try:
            for start_s, end_s, text, language in speech.write_down(told()):
                heard_in = language
                if text and len(cues) < MOST_CUES:
                    cues.append(Cue(round(start_s, 3), round(end_s, 3), text[:LONGEST_CUE]))
        except (ModelError, MediaError, OSError) as error:
            problem = str(error)
        name, tag = configuration(heard_in or "") or (self._language, None)
        return Track(speech.name, "speech", name, tag, without_repeats(cues), problem)

    def _streams(self, path: Path) -> tuple[Track, ...]:
        try:
            return read_streams(path, self._limits, self._language)
        except MediaError as error:
            return (Track("the film", "stream", self._language, problem=str(error)),)


def _listed(files: Sequence[SubtitleFile]) -> list[list[Any]]:
    return [[file.path.name, file.size, file.mtime_ns] for file in files]
