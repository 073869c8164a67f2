"""Which files there are, and what they hash to."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seemory.errors import UsageError
from seemory.media.film_opening import FILM_SUFFIXES
from seemory.media.image import supported_suffixes
from seemory.media.opening import open_regular, unreadable

_SYSTEM_FOLDERS: Final = frozenset({"@eadir", "#recycle", "__macosx", "$recycle.bin", "system volume information"})
_SYSTEM_FILES: Final = frozenset({"thumbs.db", "desktop.ini"})

FolderError = Callable[[Path, OSError], None]
"""Told of a folder or a file that could not be looked at; the walk goes on."""


@dataclass(frozen=True, slots=True)
class FileState:
    """A file as the walk met it; the same size and `mtime_ns` mean the same content."""

    path: Path
    size: int
    mtime_ns: int


def find_files(
    roots: Sequence[Path],
    *,
    recursive: bool = True,
    suffixes: frozenset[str] | None = None,
    on_error: FolderError | None = None,
) -> Iterator[FileState]:
    """Every picture and film in the folders and files named, each once, in a stable order.

    In folders, files of the `suffixes` (those `supported_suffixes()` gives, and films', unless told otherwise) are
    found, hidden ones (a leading dot) and those of systems (`@eaDir`, `__MACOSX`, `Thumbs.db`) are not. A file named as
    a root comes whatever it is called. Links to files are followed, links to folders as well, each folder once, so a
    loop ends. A folder that cannot be read is told to `on_error` and left out.

    Raises UsageError, before the first file, when a root does not exist.
    """
    places = [Path(os.path.abspath(Path(root).expanduser())) for root in roots]  # noqa: PTH100 (resolve() would follow links)
    for place in places:
        if not os.path.lexists(place):
            raise UsageError(f"{place}: no such file or folder; check the name")
    # Films also where they cannot be read: each then says what to install, and is not passed over without a word.
    wanted = supported_suffixes() | FILM_SUFFIXES if suffixes is None else suffixes
    return _walk(places, recursive, wanted, on_error or _unheard)


def lies_in(path: Path, folders: Sequence[Path]) -> bool:
    """Whether a file or folder, links followed, is one of these folders or in one; also of what does not exist."""
    try:
        real = path.resolve()
        return any(real.is_relative_to(folder.resolve()) for folder in folders)
    except (OSError, ValueError, RuntimeError):
        return False


def hash_file(path: Path) -> bytes:
    """The SHA-256 of a file's content, 32 bytes. Raises UnreadableMedia or UnsupportedMedia, as `load_picture` does."""
    with open_regular(path) as stream:
        try:
            return hashlib.file_digest(stream, "sha256").digest()
        except OSError as error:
            raise unreadable(error) from error


def _unheard(_path: Path, _error: OSError) -> None:
    """Told of an error that nobody asked to hear of."""


def _walk(places: list[Path], recursive: bool, suffixes: frozenset[str], on_error: FolderError) -> Iterator[FileState]:
    folders_seen: set[tuple[int, int]] = set()
    files_seen: set[str] = set()
    for place in places:
        try:
            state = place.stat()
        except OSError as error:
            on_error(place, error)
            continue
        found = (
            _folder(place, recursive, suffixes, on_error, folders_seen)
            if place.is_dir()
            else iter((FileState(place, state.st_size, state.st_mtime_ns),))
        )
        for file in found:
            if str(file.path) not in files_seen:
                files_seen.add(str(file.path))
                yield file


def _folder(
    top: Path, recursive: bool, suffixes: frozenset[str], on_error: FolderError, seen: set[tuple[int, int]]
) -> Iterator[FileState]:
    """The files under `top`, a folder's own before its subfolders'. A stack, not recursion: trees may be deep."""
    stack = [top]
    while stack:
        folder = stack.pop()
        try:
            state = folder.stat()
            if (state.st_dev, state.st_ino) in seen:
                continue
            seen.add((state.st_dev, state.st_ino))
            with os.scandir(folder) as entries:
                listing = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            on_error(folder, error)
            continue
        deeper: list[Path] = []
        for entry in listing:
            try:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    if recursive and entry.name.lower() not in _SYSTEM_FOLDERS:
                        deeper.append(Path(entry.path))
                elif _is_wanted(entry.name, suffixes) and entry.is_file():
                    told = entry.stat()
                    yield FileState(Path(entry.path), told.st_size, told.st_mtime_ns)
            except OSError as error:
                on_error(Path(entry.path), error)
        stack.extend(reversed(deeper))


def _is_wanted(name: str, suffixes: frozenset[str]) -> bool:
    lower = name.lower()
    return lower not in _SYSTEM_FILES and os.path.splitext(lower)[1] in suffixes  # noqa: PTH122 (a bare name)
