"""Picture files → what an encoder and the formulas make of each, for what is not there yet; several at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seemory.advisors.photograph import Photograph
from seemory.advisors.scoring import Scoring
from seemory.errors import MediaError, ModelError, UsageError
from seemory.lookahead import ahead
from seemory.models.encoder import Encoder
from seemory.store.libraries import Known, Libraries, Made
from seemory.telemetry import Progress, ProgressListener

PROOF_SIDE: Final = 800
"""Longest side, in pixels, of the copy of a work that is kept for reports."""


@dataclass(frozen=True, slots=True)
class Task:
    """A picture file to be looked at."""

    path: Path
    expected: bytes | None = None
    """The content that should be there."""


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """What was made of one."""

    path: Path
    sha256: bytes = b""
    made: Made | None = None
    """What was not there yet."""
    proof: tuple[bytes, int, int] | None = None
    """Only of what the library has not yet."""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _There:
    """What need not be made."""

    made: Known
    proofs: frozenset[bytes]
    """Contents whose small copy the library has."""
    measures: bool
    """Whether scores can be made here at all."""


class Making:
    """Makes vectors, scores and small copies of works."""

    def __init__(self, libraries: Libraries, scoring: Scoring, *, max_pixels: int, workers: int) -> None:
        """Nothing is read yet; the arguments are those of `Advisors`."""
        self._libraries = libraries
        self._scoring = scoring
        self._max_pixels = max_pixels
        self._workers = workers

    def look(
        self, tasks: Sequence[Task], encoder: Encoder, proofs: frozenset[bytes], listen: ProgressListener
    ) -> Iterator[Looked]:
        """What was made of each file, in order; for what is there already nothing is made."""
        known = self._libraries.known(encoder.fingerprint, self._scoring.formulas(encoder))
        there = _There(known, proofs, self._scoring.lacks() is None)

        def made(task: Task) -> Looked:
            return self._made(task, encoder, there)

        listen(Progress("advisor", 0, len(tasks), "pictures"))
        with (
            ThreadPoolExecutor(self._workers, "seemory-advisor") as threads,
            closing(ahead(threads, made, tasks, 2 * self._workers)) as looks,
        ):
            for number, looked in enumerate(looks, start=1):
                yield looked
                listen(Progress("advisor", number, len(tasks), "pictures"))

    def _made(self, task: Task, encoder: Encoder, there: _There) -> Looked:
        try:
            photograph = Photograph.read(task.path, max_pixels=self._max_pixels)
            sha256 = photograph.sha256
            if task.expected not in (None, sha256):
                return Looked(task.path, error="the file was changed since it was added: add its folder again")
            needs_scores = there.measures and sha256 not in there.made.profiles
            made = None
            if needs_scores or sha256 not in there.made.vectors:
                vector = photograph.vector(encoder)
                scores = self._scoring.profile(photograph, vector, encoder).to_json() if needs_scores else None
                made = Made(vector, scores)
            proof = None if sha256 in there.proofs else photograph.proof(PROOF_SIDE)
            return Looked(task.path, sha256, made, proof)
        except (MediaError, ModelError, UsageError) as error:  # the last of pictures too narrow to be measured
            return Looked(task.path, error=str(error).removeprefix(f"{task.path}: "))

    def note(self, looked: Looked, encoder: Encoder) -> bool:
        """Whether anything was made of it; it is kept."""
        if looked.made is None:
            return False
        self._libraries.note(looked.sha256, looked.made, encoder.fingerprint, self._scoring.formulas(encoder))
        return True
