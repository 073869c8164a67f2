"""Folders of pictures → libraries: what an encoder and the formulas make of each is computed once and kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from seemory.advisors.advice import Advice
from seemory.advisors.catalogue import Entry, read_catalogue
from seemory.advisors.critic.adapters import Adapter, AdapterFolders
from seemory.advisors.library_report import LibraryReport
from seemory.advisors.making import Making, Task
from seemory.advisors.page import page
from seemory.advisors.photograph import Photograph
from seemory.advisors.scoring import Scoring
from seemory.errors import AdvisorNotFound, UsageError
from seemory.media.files import find_files
from seemory.media.image import ReadPicture, read_here, supported_suffixes
from seemory.models.encoder import Encoder
from seemory.store.libraries import Advisor, Libraries, Reference
from seemory.telemetry import ProgressListener, ignore

SHOWN_SIDE: Final = 1400
"""Longest side of the photograph in a report."""

_LONGEST_NAME: Final = 100

FindEncoder = Callable[[str], tuple[str, Encoder]]
"""A model's name or folder → how to remember it, and the encoder."""


class Advisors:
    """The libraries of one owner: added to, listed, removed, and brought up to another encoder."""

    def __init__(
        self,
        libraries: Libraries,
        encoder: Callable[[], Encoder],
        find: FindEncoder,
        scoring: Scoring,
        adapters: AdapterFolders,
        *,
        max_pixels: int,
        workers: int,
        decoder: ReadPicture = read_here,
    ) -> None:
        """Nothing is read or loaded yet.

        Args:
            libraries: the owner's rows.
            encoder: the one that answers at this moment.
            find: finds and loads others.
            scoring: measures the eight dimensions.
            adapters: where what was trained for the advisors lies.
            max_pixels: larger pictures are refused.
            workers: pictures that are worked on at once.
            decoder: decodes the photograph of a page where that came as bytes.
        """
        self._libraries = libraries
        self._encoder = encoder
        self._find = find
        self._scoring = scoring
        self._adapters = adapters
        self._max_pixels = max_pixels
        self._making = Making(libraries, scoring, max_pixels=max_pixels, workers=workers)
        self._decoder = decoder

    def add(
        self,
        name: str,
        folder: Path | str,
        *,
        biography: Path | str | None = None,
        catalogue: Path | str | None = None,
        listen: ProgressListener = ignore,
    ) -> LibraryReport:
        """The report of bringing a folder's pictures into a library; a bad picture is counted, never raised.

        A picture is known by its bytes: run again, nothing changes and nothing is computed. What is no longer in the
        folder stays, until it is removed by name.

        Args:
            name: the advisor's, made if there is none.
            folder: looked into with its subfolders.
            biography: a text file about the advisor.
            catalogue: a .csv or .json with title, year, source and licence by file name.
            listen: called with the progress.

        Raises:
            UsageError: the folder is not there or has no picture that can be read, or a file beside it is wrong.
            ModelError: the encoder cannot be had.
        """
        began = time.monotonic()
        name = _named(name)
        entries = read_catalogue(Path(catalogue)) if catalogue is not None else {}
        words = _read_text(Path(biography)) if biography is not None else None
        files = [file.path for file in find_files([Path(folder)], suffixes=supported_suffixes())]
        if not files:
            raise UsageError(f"{folder}: there is no picture in it to make a library of")
        report = LibraryReport(name, found=len(files))
        there = {one.sha256: one for one in self._libraries.references(name)}
        encoder = self._encoder()
        exists = self._libraries.advisor(name) is not None
        if exists and words is not None:
            self._libraries.save(name, words)
        seen: set[bytes] = set()
        for looked in self._making.look([Task(path) for path in files], encoder, frozenset(there), listen):
            if looked.error is not None:
                report.note_failure(looked.path, looked.error)
                continue
            if not exists:
                self._libraries.save(name, words)
                exists = True
            first, known = looked.sha256 not in seen, there.get(looked.sha256)
            seen.add(looked.sha256)
            report.known += known is not None or not first
            if not first:
                continue
            report.computed += self._making.note(looked, encoder)
            if known is None:
                proof, width, height = looked.proof or (b"", 0, 0)
                fresh = Reference(looked.sha256, str(looked.path), width=width, height=height)
                self._libraries.keep(name, _entered(fresh, entries.get(looked.path.name)), proof)
                report.added += 1
                continue
            place = known.uri if known.is_here else str(looked.path)
            corrected = _entered(replace(known, uri=place), entries.get(looked.path.name))
            if corrected != known:
                self._libraries.correct(name, corrected)
                report.corrected += 1
        if not exists:
            raise UsageError(
                f"{folder}: none of its {len(files)} pictures could be read; {': '.join(report.errors[0])}"
            )
        report.unmatched = sorted(set(entries) - {path.name for path in files})
        report.seconds = round(time.monotonic() - began, 2)
        return report

    def refresh(
        self, name: str | None = None, *, encoder: str | None = None, listen: ProgressListener = ignore
    ) -> LibraryReport:
        """The report of making what an encoder has not made yet of the works that are known, out of their files.

        Args:
            name: whose library; by default all.
            encoder: a catalogue name or a folder, for example of the encoder that the collection is about to change to;
                by default the one that answers now.
            listen: called with the progress.

        Raises:
            AdvisorNotFound: there is no such advisor.
            ModelError: the encoder cannot be had.
        """
        began = time.monotonic()
        names = [self.find(name).name] if name is not None else [one.name for one in self._libraries.advisors()]
        works = {one.sha256: one for each in names for one in self._libraries.references(each)}
        report = LibraryReport(name or ", ".join(names), found=len(works))
        made_by = self._encoder() if encoder is None else self._find(encoder)[1]
        tasks = [Task(Path(one.uri), one.sha256) for one in works.values()]
        for looked in self._making.look(tasks, made_by, frozenset(works), listen):
            if looked.error is None:
                report.known += 1
                report.computed += self._making.note(looked, made_by)
            else:
                report.note_failure(looked.path, looked.error)
        report.seconds = round(time.monotonic() - began, 2)
        return report

    def all(self) -> list[Advisor]:
        """All advisors, by name."""
        return self._libraries.advisors()

    def find(self, name: str) -> Advisor:
        """The advisor of that name. Raises AdvisorNotFound, which names those there are."""
        known = self._libraries.advisors()
        found = next((one for one in known if one.name == name), None)
        if found is None:
            names = ", ".join(one.name for one in known)
            there = f"there are: {names}" if names else "there are none yet: `seemory advisor add NAME DIR` makes one"
            raise AdvisorNotFound(f"there is no advisor {name!r}; {there}")
        return found

    def references(self, name: str) -> list[Reference]:
        """An advisor's works, in the order of their files' paths. Raises AdvisorNotFound."""
        return self._libraries.references(self.find(name).name)

    def proof(self, name: str, reference: Reference) -> bytes | None:
        """The small copy of a work that is kept for reports, as JPEG bytes."""
        return self._libraries.proof(name, reference.sha256)

    def page(self, advice: Advice, photograph: Path | str | bytes) -> str:
        """An advice as one HTML page that needs nothing else; `photograph` is what the advice is about.

        Raises:
            UsageError: it is another photograph.
            MediaError: the picture cannot be read.
        """
        seen = Photograph.read(photograph, max_pixels=self._max_pixels, decoder=self._decoder)
        if seen.sha256.hex() != advice.sha256:
            raise UsageError(f"{seen.name} is not the photograph that this advice is about, or was changed since")
        overlays = self._scoring.overlays(seen) if advice.comparison is not None else {}
        shown, _, _ = seen.proof(SHOWN_SIDE)
        about = self._libraries.advisor(advice.advisor)
        words = about.biography if about is not None else None
        return page(advice, shown, overlays, lambda work: self.proof(advice.advisor, work), words)

    def remove(self, name: str, works: Sequence[str] = ()) -> int:
        """How many works were removed: these (by key, file name or title), or all of them, the advisor and its adapter.

        Files on disk are never touched.

        Raises:
            AdvisorNotFound: there is no such advisor, or one of the works is none of its.
        """
        found = self.find(name)
        advisor = found.name
        if not works:
            count = self._libraries.remove(advisor)
            if (adapter := Adapter.from_json(found.adapter)) is not None:
                self._adapters.remove(adapter)
            return count
        known = self._libraries.references(advisor)
        meant: dict[bytes, None] = {}
        for work in works:
            named = [one.sha256 for one in known if work in one.names]
            if not named:
                raise AdvisorNotFound(f"{advisor} has no work {work!r}: see `seemory advisor show {advisor}`")
            meant |= dict.fromkeys(named)
        return self._libraries.remove(advisor, list(meant))


def _named(name: str) -> str:
    """The name of an advisor. Raises UsageError for what is none."""
    name = name.strip()
    if not name or len(name) > _LONGEST_NAME or not name.isprintable() or set(name) & set("/\\"):
        raise UsageError(f"{name!r} is no name for an advisor: up to {_LONGEST_NAME} characters, without slashes")
    return name


def _entered(reference: Reference, entry: Entry | None) -> Reference:
    """The reference as the catalogue has it, where that has it."""
    if entry is None:
        return reference
    return replace(reference, title=entry.title, year=entry.year, source=entry.source, licence=entry.licence)


def _read_text(path: Path) -> str:
    try:
        return path.expanduser().read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: the biography cannot be read ({error})") from error
