"""How embedding goes: counts and times of forward passes, as shares, and as text for Prometheus."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from seemory.metrics import Metrics
from seemory.types import EmbeddingRecord

_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class EmbeddingFigures:
    """How embedding went: counts, and milliseconds of a forward pass."""

    done: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    """By reason, the most frequent first."""
    mean_ms: float | None = None
    p95_ms: float | None = None
    """Of the latest 10,000 where there were more."""

    @property
    def timeouts(self) -> int:
        """How many failed for their time limit."""
        return self.failed.get("Timeout", 0)

    def as_json(self) -> dict[str, Any]:
        """The figures as a document."""
        return {
            "done": self.done,
            "failed": sum(self.failed.values()),
            "timeouts": self.timeouts,
            "reasons": dict(self.failed),
            "mean_ms": self.mean_ms,
            "p95_ms": self.p95_ms,
        }


class EmbeddingTally:
    """Counts records as they are made; any number of threads may add."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._done = 0
        self._failed: Counter[str] = Counter()
        self._timed = 0
        self._sum_ms = 0.0
        self._latest_ms: deque[float] = deque(maxlen=_KEPT)

    def add(self, record: EmbeddingRecord) -> None:
        """Count one."""
        with self._lock:
            if record.error is not None:
                self._failed[reason_of(record.error)] += 1
                return
            self._done += 1
            if record.inference_time_ms is not None:
                self._timed += 1
                self._sum_ms += record.inference_time_ms
                self._latest_ms.append(record.inference_time_ms)

    def figures(self) -> EmbeddingFigures:
        """The figures of this moment."""
        with self._lock:
            done, failed, latest = self._done, self._failed.most_common(), sorted(self._latest_ms)
            mean = self._sum_ms / self._timed if self._timed else None
        if mean is None:
            return EmbeddingFigures(done, dict(failed))
        # Nearest rank: a value that was measured, also where there are few.
        p95 = latest[math.ceil(0.95 * len(latest)) - 1]
        return EmbeddingFigures(done, dict(failed), round(mean, 2), p95)


def health(figures: EmbeddingFigures, items: int) -> dict[str, Any]:
    """The figures as shares, rounded to four digits: of `items`, and of all pictures that were tried.

    Keys: `with_vector`, `failed`, `timeout` (None where there is nothing to have a share of), `mean_ms`, `p95_ms`, and
    `failed_by_reason`.
    """
    tried = figures.done + sum(figures.failed.values())

    def share(count: int, of: int) -> float | None:
        return round(count / of, 4) if of else None

    return {
        "with_vector": share(figures.done, items),
        "failed": share(tried - figures.done, tried),
        "timeout": share(figures.timeouts, tried),
        "mean_ms": figures.mean_ms,
        "p95_ms": figures.p95_ms,
        "failed_by_reason": {reason: share(count, tried) for reason, count in figures.failed.items()},
    }


def reason_of(error: str) -> str:
    """The kind of an error, without what differs from picture to picture: `Timeout after 2.0s` is `Timeout`."""
    return "Timeout" if error.startswith("Timeout") else error.partition(":")[0][:60]


def prometheus(*each: Mapping[str, Any]) -> str:
    """Memories' statistics in Prometheus' text format (exposition format 0.0.4); what is unknown is left out."""
    told: dict[str, tuple[str, list[tuple[dict[str, str], float]]]] = {}
    for stats in each:
        for name, says, samples in _families(stats):
            told.setdefault(name, (says, []))[1].extend(samples)
    metrics = Metrics()
    for name, (says, known) in told.items():
        metrics.known(name, says, known)
    return metrics.text()


def _families(stats: Mapping[str, Any]) -> Iterator[tuple[str, str, list[tuple[dict[str, str], float]]]]:
    whose = {"collection": stats["collection"], "owner": stats["owner"]}
    found = stats["health"]

    def seconds(milliseconds: float | None) -> float | None:
        return None if milliseconds is None else milliseconds / 1000

    kinds = [({"kind": kind}, count) for kind, count in stats["by_kind"].items()]
    reasons = [({"reason": reason}, part) for reason, part in found["failed_by_reason"].items()]
    families: list[tuple[str, str, list[tuple[dict[str, str], float | None]]]] = [
        ("items", "Items, by kind.", kinds),
        ("files", "Files that are known.", [({}, stats["assets"])]),
        ("files_failed", "Files that could not be read.", [({}, stats["failed"])]),
        ("files_missing", "Files that are gone from disk.", [({}, stats["missing"])]),
        ("vectors", "Items that have a vector.", [({}, stats["embedded"])]),
        ("vectors_failed", "Items whose vector could not be made.", [({}, stats["failed_vectors"])]),
        ("items_with_vector_ratio", "Share of pictures and scenes that have a vector.", [({}, found["with_vector"])]),
        ("embedding_failed_ratio", "Share of tried pictures that failed.", [({}, found["failed"])]),
        ("embedding_timeout_ratio", "Share of tried pictures whose time ran out.", [({}, found["timeout"])]),
        ("embedding_failed_by_reason_ratio", "Share of tried pictures that failed, by reason.", reasons),
        ("embedding_mean_seconds", "Mean time of a forward pass.", [({}, seconds(found["mean_ms"]))]),
        ("embedding_p95_seconds", "95th percentile of the time of a forward pass.", [({}, seconds(found["p95_ms"]))]),
        ("table_bytes", "Bytes of the collection's tables, of all owners.", [({}, stats["table_bytes"])]),
        ("index_bytes", "Bytes of their indexes.", [({}, stats["index_bytes"])]),
    ]
    for name, says, samples in families:
        if known := [(whose | labels, value) for labels, value in samples if value is not None]:
            yield f"seemory_{name}", says, known
