"""Which files beside a film are its subtitles, and in what language, by their names alone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seemory.media.subtitle_languages import configuration

SUBTITLE_SUFFIXES: Final = frozenset({".srt", ".vtt", ".ass", ".ssa"})

_REMARKS: Final = frozenset({"forced", "sdh", "cc", "default", "full", "sub", "subs", "subtitles"})
"""Parts of a name that say something else than the language."""


@dataclass(frozen=True, slots=True)
class SubtitleFile:
    """A file of subtitles as the folder lists it; the same size and `mtime_ns` mean the same words."""

    path: Path
    size: int
    mtime_ns: int
    language: tuple[str, str] | None
    """(text search configuration, tag), where the name says."""
    is_partial: bool
    """Whether it has, by its name, only what is foreign in the film (`forced`)."""


class SubtitleFinder:
    """Finds films' subtitles; a folder is listed once for all films that are asked for one after the other."""

    def __init__(self) -> None:
        """Nothing is listed yet."""
        self._folder: Path | None = None
        self._listing: list[tuple[str, int, int]] = []

    def beside(self, film: Path) -> list[SubtitleFile]:
        """The subtitles of a film, those for the whole of it first: `NAME.srt`, `NAME.en.srt`, `NAME.mp4.de.vtt`.

        Between the film's name and the ending only languages and usual remarks may stand, so that those of `film.2.mp4`
        are not taken for the ones of `film.mp4`. A folder that cannot be listed has none.
        """
        found = []
        for name, size, mtime_ns in self._listed(film.parent):
            parts = _parts(name, film)
            if parts is None:
                continue
            languages = [language for part in parts if (language := configuration(part)) and part not in _REMARKS]
            if len(languages) + sum(part in _REMARKS for part in parts) != len(parts) or len(languages) > 1:
                continue
            language = languages[0] if languages else None
            found.append(SubtitleFile(film.parent / name, size, mtime_ns, language, "forced" in parts))
        return sorted(found, key=lambda one: (one.is_partial, len(one.path.name), one.path.name))

    def _listed(self, folder: Path) -> list[tuple[str, int, int]]:
        if folder != self._folder:
            self._folder, self._listing = folder, _listing(folder)
        return self._listing


def _listing(folder: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of change of the subtitle files in a folder."""
    listed = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if os.path.splitext(entry.name)[1].lower() in SUBTITLE_SUFFIXES:  # noqa: PTH122 (a bare name)
                    try:
                        state = entry.stat()
                    except OSError:
                        continue
                    listed.append((entry.name, state.st_size, state.st_mtime_ns))
    except OSError:
        return []
    return listed


def _parts(name: str, film: Path) -> list[str] | None:
    """What stands between the film's name and the ending of a subtitle file's; None where it is not the film's."""
    for own in (film.name, film.stem):
        if name.startswith(own + "."):
            return [part.lower() for part in name[len(own) + 1 :].split(".")[:-1]]
    return None
