"""How a library stands: its encoder, the way to the next one, what failed, and another try at that."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final

from seemory.memory import Memory
from seemory.service.page.showing import name_of, without_places
from seemory.store.figures import Figures
from seemory.store.generations import Generations
from seemory.telemetry import Progress

log = logging.getLogger(__name__)

_LISTED: Final = 100
_TRIED: Final = 10_000


@dataclass
class Retry:
    """One owner's latest try at what failed."""

    running: bool = True
    done: int = 0
    total: int = 0
    mended: int = 0
    failed: int = 0
    problem: str | None = None


class Retries:
    """Tries again what failed, one owner after another, beside the requests."""

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self._lock = Lock()
        self._by_owner: dict[str, Retry] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="retry")

    def of(self, owner: str) -> dict[str, Any] | None:
        """How far that owner's latest try is; None if there was none."""
        with self._lock:
            found = self._by_owner.get(owner)
            return None if found is None else asdict(found)

    def start(self, memory: Memory) -> None:
        """Begin one, unless one is under way already."""
        with self._lock:
            present = self._by_owner.get(memory.owner)
            if present is not None and present.running:
                return
            begun = self._by_owner[memory.owner] = Retry()
        self._thread.submit(_retry, memory, begun)


def _retry(memory: Memory, state: Retry) -> None:
    def heard(progress: Progress) -> None:
        state.done, state.total = progress.done, progress.total or 0

    try:
        report = memory.backfill(retry=True, limit=0, listen=heard)
        paths = [uri for uri, _, _ in memory.errors(limit=_TRIED) if "://" not in uri and Path(uri).is_file()]
        state.mended, state.failed = report.embedded, report.without_vector
        if paths:
            read = memory.index(*paths, retry_failed=True, listen=heard)
            state.mended += read.counts["indexed"] + read.counts["copied"] + read.counts["partial"]
            state.failed += read.counts["failed"]
    except Exception:
        log.exception("trying again failed")
        state.problem = "Trying again failed; the service's log says why."
    finally:
        state.running = False


def standing(memory: Memory, retry: dict[str, Any] | None) -> dict[str, Any]:
    """The owner's share of it all; nothing in it counts other owners' rows."""
    figures = Figures(memory.database, memory.owner)
    total = figures.items(memory.collection)
    stats = memory.stats()
    generations = [
        {
            "name": known.table,
            "state": known.state,
            "model": name_of(known.model),
            "dim": known.dim,
            "done": figures.rows(known),
            "total": total,
            "failures": _told(figures.failures(known)),
            "rate": figures.rate(known) if known.state == "building" else None,
        }
        for known in Generations(memory.database).all(memory.collection, owner=memory.owner)
    ]
    waiting = memory.backfill(limit=_LISTED).items if generations else []
    return {
        "collection": memory.collection,
        "model": name_of(stats["model"]) if stats["model"] else None,
        **{name: stats[name] for name in ("items", "by_kind", "embedded", "failed_vectors", "failed", "missing")},
        "generations": generations,
        "files": [
            {"name": name_of(uri), "reason": without_places(reason), "attempts": attempts}
            for uri, reason, attempts in memory.errors(limit=_LISTED)
        ],
        "waiting": [
            {"id": str(item), "name": name_of(uri), "reason": without_places(reason)} for item, uri, reason in waiting
        ],
        "retry": retry,
    }


def _told(failures: dict[str, int]) -> dict[str, int]:
    told: dict[str, int] = {}
    for reason, count in failures.items():
        said = without_places(reason)
        told[said] = told.get(said, 0) + count
    return told
