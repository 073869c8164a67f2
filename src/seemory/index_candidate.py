"""A file on its way through an indexing run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seemory.types import Blob, FileOutcome, KnownFile


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may need work, with what the store knows of its name."""

    uri: str
    path: Path
    bytes: int
    mtime_ns: int
    known: KnownFile | None
    sha256: Blob | None = None
    error: str | None = None

    @property
    def key(self) -> Blob | None:
        """What has the same key has the same vector."""
        return self.sha256

    def outcome(self) -> FileOutcome:
        """What the store is told of it where nothing else is known."""
        return FileOutcome(self.uri, self.bytes, self.mtime_ns, self.sha256, error=self.error)
