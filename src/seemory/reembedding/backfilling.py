"""Items without a vector (failed, timed out, made while the encoder was off): which, why, and another try."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from seemory.embedding.pictures import EmbedFiles, Targets
from seemory.reembedding.catching_up import work_off
from seemory.store.backlog import Backlog
from seemory.store.connect import Database
from seemory.telemetry import Progress, ProgressListener, ignore


@dataclass(frozen=True, slots=True)
class BackfillReport:
    """The items without a vector in the live generation, after a retry if there was one."""

    without_vector: int
    reasons: dict[str, int]
    items: list[tuple[UUID, str, str]]
    """(item id, path, reason) of the first of them, by path."""
    retried: int = 0
    embedded: int = 0
    """Items of those retried that have a vector now."""

    def as_json(self) -> dict[str, Any]:
        """The report as `--json` prints it."""
        listed = [{"item_id": str(item), "uri": uri, "reason": reason} for item, uri, reason in self.items]
        return asdict(self) | {"items": listed}


def backfill(
    database: Database,
    owner: str,
    targets: Targets,
    embedding: EmbedFiles,
    *,
    retry: bool = False,
    limit: int = 100,
    listen: ProgressListener = ignore,
) -> BackfillReport:
    """One owner's items without a vector; with `retry`, they are first embedded again for every generation."""
    live = Backlog(database, owner, targets.live.generation)
    waiting = live.count(retry=True) if retry else 0
    if retry:
        backlogs = [(Backlog(database, owner, target.generation), target) for target in targets.all]
        total, at = sum(backlog.count(retry=True) for backlog, _ in backlogs), 0
        for backlog, target in backlogs:
            for done in work_off(backlog, target, embedding, retry=True):
                at += done.items
                listen(Progress("backfill", at, max(at, total), "items"))
    reasons = live.reasons()
    left = sum(reasons.values())
    return BackfillReport(left, reasons, live.without_vector(limit), waiting, max(0, waiting - left))
