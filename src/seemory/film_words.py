"""What is said in a film, from wherever it is written; and whether that has changed since it was stored.

Files beside the film are read whenever one of them is new, changed or gone: the film itself is not opened for that.
Streams inside it are read with it. A model listens only where nothing is written, and what it heard is kept as long as
the film's bytes are the same, since listening takes longer than all else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from seemory.cues import SpokenWords, Track
from seemory.errors import MediaError
from seemory.media.film_opening import FilmLimits
from seemory.media.subtitle_files import SubtitleFile, SubtitleFinder
from seemory.media.subtitles import read_file, read_streams
from seemory.telemetry import ProgressListener, ignore


class Listener(Protocol):
    """Writes down what is spoken."""

    @property
    def name(self) -> str:
        """Which model it is."""

    def hear(self, path: Path, listen: ProgressListener) -> Track:
        """The track of a film's sound, without cues where it has none; with the reason where it cannot be heard."""


class FilmWords:
    """Reads the words of films, one after the other."""

    def __init__(self, limits: FilmLimits, language: str, listener: Listener | None = None) -> None:
        """Nothing is read yet.

        Args:
            limits: what is accepted of a film.
            language: the text search configuration of what names no language.
            listener: who writes down what is spoken where nothing is written; None: nobody.
        """
        self._limits = limits
        self._language = language
        self._listener = listener
        self._finder = SubtitleFinder()

    def are_new(self, path: Path, before: Mapping[str, Any] | None) -> bool:
        """Whether there is something to read that was not there, or gone what was; `before` is the state stored."""
        if before is None or before.get("files") != _listed(self._finder.beside(path)):
            return True
        return self._listener is not None and before.get("silent") is True and before.get("by") != self._listener.name

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
        if self._listener is not None and silent and self._listener.name not in [track.source for track in heard]:
            heard = [self._listener.hear(path, listen)]
        state = {"files": _listed(files), "silent": silent, "by": heard[0].source if heard else None}
        return SpokenWords((*tracks, *heard), state)

    def _streams(self, path: Path) -> tuple[Track, ...]:
        try:
            return read_streams(path, self._limits, self._language)
        except MediaError as error:
            return (Track("the film", "stream", self._language, problem=str(error)),)


def _listed(files: Sequence[SubtitleFile]) -> list[list[Any]]:
    return [[file.path.name, file.size, file.mtime_ns] for file in files]
