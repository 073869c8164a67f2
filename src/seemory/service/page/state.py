"""How a library stands: its encoder, the way to the next one, what failed, and another try at that."""

from __future__ import annotations

from typing import Any, Final

from seemory.memory import Memory
from seemory.service.jobs.running import Jobs
from seemory.service.page.showing import name_of, without_places
from seemory.store.figures import Figures
from seemory.store.generations import Generations
from seemory.store.jobs import Job

_LISTED: Final = 100


def retry_once(memory: Memory, jobs: Jobs) -> None:
    """Begin another try at what failed, unless one has not ended yet. Raises Refused where there are too many jobs."""
    if all(job.ended for job in jobs.all(memory, "retry", 1)):
        jobs.begin(memory, "retry")


def standing(memory: Memory, jobs: Jobs) -> dict[str, Any]:
    """The owner's share of it all; nothing in it counts other owners' rows."""
    tried = next((_tried(job) for job in jobs.all(memory, "retry", 1)), None)  # what it has done counts below
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
        "to_embed": total,
        "generations": generations,
        "files": [
            {"name": name_of(uri), "reason": without_places(reason), "attempts": attempts}
            for uri, reason, attempts in memory.errors(limit=_LISTED)
        ],
        "waiting": [
            {"id": str(item), "name": name_of(uri), "reason": without_places(reason)} for item, uri, reason in waiting
        ],
        "retry": tried,
    }


def _told(failures: dict[str, int]) -> dict[str, int]:
    told: dict[str, int] = {}
    for reason, count in failures.items():
        said = without_places(reason)
        told[said] = told.get(said, 0) + count
    return told


def _tried(job: Job) -> dict[str, Any]:
    report = job.report or {}
    return {
        "running": not job.ended,
        "done": job.done,
        "total": job.total or 0,
        "mended": report.get("mended", 0),
        "failed": report.get("failed", 0),
        "problem": job.problem,
    }
