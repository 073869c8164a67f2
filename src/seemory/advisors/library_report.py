"""What became of a library that was added to or brought up to another encoder."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class LibraryReport:
    """What became of a library."""

    advisor: str
    found: int = 0
    """Picture files that were looked at."""
    added: int = 0
    """New works."""
    known: int = 0
    """Files whose work the library had, or has from another file with the same bytes."""
    corrected: int = 0
    """Of the known, those whose place or entry in the catalogue is another now."""
    computed: int = 0
    """Works for which something was made: 0 where all was there."""
    failed: int = 0
    errors: list[tuple[str, str]] = field(default_factory=list)
    """File and reason of each that failed."""
    unmatched: list[str] = field(default_factory=list)
    """Names in the catalogue that no picture has."""
    seconds: float = 0.0

    def note_failure(self, path: Path, reason: str) -> None:
        """Count a file that could not be used."""
        self.failed += 1
        self.errors.append((str(path), reason))

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return asdict(self)
