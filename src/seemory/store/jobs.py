# ruff: noqa: S608 - statements are put together from this package's own constants; values are always parameters
"""What an owner's long work is at: begun, claimed by one process at a time, told of, ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Literal, get_args
from uuid import UUID

from psycopg.types.json import Jsonb

from seemory.store.connect import Database
from seemory.store.texts import clean

JobKind = Literal["index", "upload", "retry", "reembed"]
"""index: files of the operator's folders; upload: pictures that were sent; retry: what failed; reembed: an encoder's
generation is built."""

JobState = Literal["waiting", "running", "done", "failed", "cancelled"]

ENDED: Final[frozenset[JobState]] = frozenset({"done", "failed", "cancelled"})
KINDS: Final[tuple[JobKind, ...]] = get_args(JobKind)

SILENT_S: Final = 30
"""A process that has said nothing of a job for so long is taken for dead, and another may go on with it."""
TRIES: Final = 3
_KEPT: Final = "7 days"

_COLUMNS = "id, collection, kind, state, stage, done, total, report, problem, cancel, created_at, seen_at, ended_at"
_CLAIM = f"""
UPDATE seemory.job SET state = 'running', worker = %(worker)s, seen_at = now(), tries = tries + 1
WHERE owner_id = %(owner)s AND id = %(id)s AND NOT cancel AND tries < {TRIES}
  AND (state = 'waiting' OR (state = 'running' AND seen_at < now() - interval '{SILENT_S} seconds'))
RETURNING {_COLUMNS}"""
_GIVE_UP = f"""
UPDATE seemory.job SET state = CASE WHEN cancel THEN 'cancelled' ELSE 'failed' END, ended_at = now(), worker = NULL,
  problem = CASE WHEN cancel THEN NULL ELSE 'it was begun {TRIES} times and never came to its end' END
WHERE owner_id = %(owner)s AND id = %(id)s AND (cancel OR tries >= {TRIES})
  AND (state = 'waiting' OR (state = 'running' AND seen_at < now() - interval '{SILENT_S} seconds'))"""
_TELL = """
UPDATE seemory.job SET stage = %(stage)s, done = %(done)s, total = %(total)s, seen_at = now()
WHERE owner_id = %(owner)s AND id = %(id)s AND worker = %(worker)s RETURNING cancel"""
_END = """
UPDATE seemory.job SET state = %(state)s, report = %(report)s, problem = %(problem)s, worker = NULL, seen_at = now(),
  ended_at = now()
WHERE owner_id = %(owner)s AND id = %(id)s AND worker = %(worker)s"""
_LAY_DOWN = """
UPDATE seemory.job SET state = 'waiting', worker = NULL, tries = tries - 1, seen_at = now()
WHERE owner_id = %(owner)s AND id = %(id)s AND worker = %(worker)s"""


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of long work, as its owner sees it."""

    id: UUID
    collection: str
    kind: JobKind
    state: JobState
    stage: str | None
    done: int
    total: int | None
    report: dict[str, Any] | None
    problem: str | None
    cancel: bool
    """It was asked to end."""
    created_at: datetime
    seen_at: datetime
    ended_at: datetime | None

    @property
    def ended(self) -> bool:
        """Whether nothing more will become of it."""
        return self.state in ENDED

    def as_json(self) -> dict[str, Any]:
        """As the service answers it."""
        ended = None if self.ended_at is None else self.ended_at.isoformat()
        began = {"created_at": self.created_at.isoformat(), "seen_at": self.seen_at.isoformat()}
        return asdict(self) | began | {"ended_at": ended}


class OwnersJobs:
    """One owner's jobs."""

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self.owner = owner

    def begin(self, job_id: UUID, kind: JobKind, collection: str, *, total: int | None = None) -> None:
        """Write down a job that waits; ended ones that are older than a week are forgotten."""
        with self._database.transaction(self.owner) as connection:
            connection.execute(
                f"DELETE FROM seemory.job WHERE owner_id = %s AND ended_at < now() - interval '{_KEPT}'", [self.owner]
            )
            connection.execute(
                "INSERT INTO seemory.job (owner_id, id, kind, collection, total) VALUES (%s, %s, %s, %s, %s)",
                [self.owner, job_id, kind, collection, total],
            )

    def find(self, job_id: UUID) -> Job | None:
        """The job, if there is one of that id."""
        with self._database.transaction(self.owner) as connection:
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM seemory.job WHERE owner_id = %s AND id = %s", [self.owner, job_id]
            ).fetchone()
        return None if row is None else Job(*row)

    def all(self, collection: str, *, kind: JobKind | None = None, limit: int = 100) -> list[Job]:
        """The jobs of a collection, of one kind if it is said, the youngest first."""
        with self._database.transaction(self.owner) as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM seemory.job WHERE owner_id = %s AND collection = %s "
                "AND (%s::text IS NULL OR kind = %s) ORDER BY created_at DESC, id LIMIT %s",
                [self.owner, collection, kind, kind, limit],
            ).fetchall()
        return [Job(*row) for row in rows]

    def unfinished(self) -> int:
        """How many have not ended."""
        with self._database.transaction(self.owner) as connection:
            row = connection.execute(
                "SELECT count(*) FROM seemory.job WHERE owner_id = %s AND ended_at IS NULL", [self.owner]
            ).fetchone()
        return 0 if row is None else int(row[0])

    def cancel(self, job_id: UUID) -> Job | None:
        """The job, asked to end: one that waits has ended, one that runs will. None where there is none."""
        with self._database.transaction(self.owner) as connection:
            connection.execute(
                "UPDATE seemory.job SET cancel = true, "
                "state = CASE WHEN state = 'waiting' THEN 'cancelled' ELSE state END, "
                "ended_at = CASE WHEN state = 'waiting' THEN now() ELSE ended_at END "
                "WHERE owner_id = %s AND id = %s AND ended_at IS NULL",
                [self.owner, job_id],
            )
        return self.find(job_id)

    def claim(self, job_id: UUID, worker: UUID) -> Job | None:
        """The job, this worker's from now on; None where another has it, or nobody is to.

        One that was begun too often, or cancelled while nobody worked on it, ends here.
        """
        values = {"owner": self.owner, "id": job_id, "worker": worker}
        with self._database.transaction(self.owner) as connection:
            connection.execute(_GIVE_UP, values)
            row = connection.execute(_CLAIM, values).fetchone()
        return None if row is None else Job(*row)

    def tell(self, job_id: UUID, worker: UUID, stage: str | None, done: int, total: int | None) -> bool:
        """Whether it is to go on: how far it is was written down, nobody asked for its end, and it is still its
        worker's."""
        values = {"owner": self.owner, "id": job_id, "worker": worker, "stage": stage, "done": done, "total": total}
        with self._database.transaction(self.owner) as connection:
            row = connection.execute(_TELL, values).fetchone()
        return row is not None and not row[0]

    def end(
        self,
        job_id: UUID,
        worker: UUID,
        state: JobState,
        *,
        report: Mapping[str, Any] | None = None,
        problem: str | None = None,
    ) -> None:
        """Write down what became of it."""
        values = {"owner": self.owner, "id": job_id, "worker": worker, "state": state, "problem": _plain(problem)}
        with self._database.transaction(self.owner) as connection:
            connection.execute(_END, values | {"report": None if report is None else Jsonb(_plain(report))})

    def lay_down(self, job_id: UUID, worker: UUID) -> None:
        """Leave it to whoever comes next, as if it had not been begun."""
        with self._database.transaction(self.owner) as connection:
            connection.execute(_LAY_DOWN, {"owner": self.owner, "id": job_id, "worker": worker})


def _plain(value: Any) -> Any:
    """What JSON and Postgres can hold of it: names of files may have bytes that are no text."""
    if isinstance(value, Mapping):
        return {clean(str(name)): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, str):
        return clean(value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)
