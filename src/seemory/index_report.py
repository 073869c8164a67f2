"""What became of each file of an indexing run, and of all of them."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

from seemory.telemetry import Progress, ProgressListener, Stopped

Status = Literal["indexed", "partial", "copied", "moved", "reworded", "unchanged", "failed", "known_bad"]
"""indexed: embedded now; partial: a film of which a part, or of its subtitles, could not be read; copied: same bytes as
a known file; moved: a known file under a new name; reworded: a known film with other words than before; unchanged:
skipped; failed: unreadable or not embedded, stored with its reason; known_bad: failed before and unchanged since."""


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one file."""

    uri: str
    status: Status
    error: str | None = None
    told: bool = False
    """Whether words of a film came or went."""


@dataclass(slots=True)
class IndexReport:
    """What a run did."""

    counts: Counter[Status] = field(default_factory=Counter)
    missing: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    told: int = 0
    """Films whose words came or went."""
    waiting: str | None = None
    """Why sentence vectors of these words could not be made; the words are kept all the same."""
    errors: list[tuple[str, str]] = field(default_factory=list)
    """The first hundred failures, whole or in part: file and reason (all of them are in the store)."""

    def add(self, result: FileResult) -> None:
        """Count one file."""
        self.counts[result.status] += 1
        self.told += result.told
        if result.error is not None and result.status in ("failed", "partial") and len(self.errors) < 100:
            self.errors.append((result.uri, result.error))

    @property
    def indexed(self) -> int:
        """Files that are findable because of this run."""
        return self.counts["indexed"] + self.counts["partial"] + self.counts["copied"]

    @property
    def skipped(self) -> int:
        """Files that needed nothing."""
        return self.counts["unchanged"] + self.counts["moved"] + self.counts["known_bad"]

    @property
    def partial(self) -> int:
        """Films of which a part, or of whose subtitles, could not be read in this run; the rest is findable."""
        return self.counts["partial"]

    @property
    def failed(self) -> int:
        """Files that failed in this run."""
        return self.counts["failed"]

    @property
    def found(self) -> int:
        """All files that were looked at."""
        return self.counts.total()


class Settled:
    """Files that are done with: counted at once, by whichever thread, and handed out when the pipeline comes by."""

    def __init__(self, total: int, listen: ProgressListener, report: IndexReport) -> None:
        self._results: deque[FileResult] = deque()
        self._total, self._done, self._listen, self._report = total, 0, listen, report
        self._lock = Lock()
        self._stopped = False

    def add(self, result: FileResult) -> None:
        """Count one file, and keep it until it is handed out."""
        with self._lock:
            self._results.append(result)
            self._report.add(result)
            self._done += 1
            try:
                self._listen(Progress("index", self._done, self._total))
            except Stopped:  # of a batch that is committed, all files are counted before the end
                self._stopped = True

    def heed(self) -> None:
        """Nothing. Raises Stopped where the listener has asked for the end."""
        if self._stopped:
            raise Stopped

    def under_way(self, progress: Progress) -> None:
        """Tell how far one long piece of work is."""
        self._listen(progress)

    def drain(self) -> Iterator[FileResult]:
        """Hand out what has come since."""
        while self._results:
            yield self._results.popleft()
        self.heed()
