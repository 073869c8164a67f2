"""Jobs are begun, told of, ended: by a few threads of this process, or, should it die, by another one's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import Any, Final
from uuid import UUID, uuid4

from seemory.errors import DatabaseBusy, DatabaseUnreachable, SeemoryError
from seemory.memory import Memory
from seemory.service.jobs.orders import Order, Orders
from seemory.service.jobs.work import Report, Works
from seemory.service.memories import Memories
from seemory.service.refusals import Refused, said_of
from seemory.store.jobs import Job, JobKind, JobState, OwnersJobs
from seemory.telemetry import Progress, Stopped

log = logging.getLogger(__name__)

_TOLD_S: Final = 0.5  # between two lines of progress
_LOOKED_S: Final = 5.0  # between two looks for jobs that nobody works on
_UNWRITTEN_S: Final = 60.0  # after which an order without a row is one that a kill has left
_MOST: Final = 8
"""Jobs of one owner that have not ended."""


@dataclass
class _UnderWay:
    """How far a job is, which its thread says and another writes down."""

    stage: str | None = None
    done: int = 0
    total: int | None = None
    stop: bool = False

    def __call__(self, progress: Progress) -> None:
        """Hear of progress; raises `Stopped` where the job is to end."""
        self.stage, self.done, self.total = progress.stage, progress.done, progress.total
        if self.stop:
            raise Stopped


class Jobs:
    """The jobs of all owners whose orders lie in this data folder."""

    def __init__(
        self,
        memories: Memories,
        orders: Orders,
        works: Works,
        *,
        at_once: int,
        heard: Callable[[JobKind, JobState], None] = lambda _kind, _state: None,
    ) -> None:
        """Nothing is started yet.

        Args:
            memories: whose work it is.
            orders: what is to be done, on disk.
            works: does it.
            at_once: jobs that run at the same time; the others wait.
            heard: told what became of each.
        """
        self.orders = orders
        self._memories = memories
        self._works = works
        self._heard = heard
        self._worker = uuid4()
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="job")
        self._closing = Event()
        self._lock = Lock()
        self._mine: set[UUID] = set()  # that wait for a thread of this process, or have one
        self.running = 0
        """How many run in this process."""

    @property
    def waiting(self) -> int:
        """How many wait for a thread of this process."""
        return len(self._mine) - self.running

    def begin(self, memory: Memory, kind: JobKind, asked: dict[str, Any] | None = None) -> Job:
        """A job that waits for its turn. Raises Refused where this owner has too many, or as `submit`."""
        self.require_room(memory)
        return self.submit(memory, Order(uuid4(), memory.owner, memory.collection, kind, asked or {}))

    def require_room(self, memory: Memory) -> None:
        """Nothing. Raises Refused where this owner has as many jobs as may be."""
        if self._of(memory).unfinished() >= _MOST:
            raise Refused(429, "TooManyJobs", f"{_MOST} jobs have not ended yet: wait for one, or cancel one")

    def submit(self, memory: Memory, order: Order) -> Job:
        """The job of an order whose files lie there. Raises StoreError, and OSError where the disk is full."""
        self.orders.write(order)
        self._of(memory).begin(order.id, order.kind, order.collection, total=len(order.names) or None)
        self._take(order)
        return self.find(memory, order.id)

    def find(self, memory: Memory, job_id: UUID) -> Job:
        """The memory's owner's job. Raises Refused where there is none."""
        found = self._of(memory).find(job_id)
        if found is None:
            raise Refused(404, "JobNotFound", f"there is no job {job_id}")
        return found

    def all(self, memory: Memory, kind: JobKind | None = None, limit: int = 100) -> list[Job]:
        """The memory's owner's jobs, the youngest first."""
        return self._of(memory).all(memory.collection, kind=kind, limit=limit)

    def cancel(self, memory: Memory, job_id: UUID) -> Job:
        """The job, which ends soon. Raises Refused where there is none."""
        found = self._of(memory).cancel(job_id)
        if found is None:
            raise Refused(404, "JobNotFound", f"there is no job {job_id}")
        return found

    def look_after(self) -> None:
        """Go on, from now until `close`, with jobs that others have laid down or have died over."""
        Thread(target=self._look_after, name="jobs", daemon=True).start()

    def close(self) -> None:
        """Lay down what is under way: whoever looks into this folder next goes on with it."""
        self._closing.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _of(self, memory: Memory) -> OwnersJobs:
        return OwnersJobs(memory.database, memory.owner)

    def _look_after(self) -> None:
        while not self._closing.wait(_LOOKED_S):
            try:
                self._look()
            except SeemoryError as error:  # the database is away: later
                log.warning("jobs cannot be looked after: %s", error)
            except Exception:
                log.exception("jobs cannot be looked after")

    def _look(self) -> None:
        for order, age in self.orders.all():
            if order.collection != self._memories.first.collection:
                continue  # another service's
            job = self._of(self._memories.of(order.owner)).find(order.id)
            if job is None and age < _UNWRITTEN_S:
                continue
            if job is None or job.ended:
                self.orders.drop(order.id)
            else:
                self._take(order)

    def _take(self, order: Order) -> None:
        with self._lock:
            if order.id in self._mine or self._closing.is_set():
                return
            self._mine.add(order.id)
        with suppress(RuntimeError):  # it closes at this very moment
            self._pool.submit(self._run, order)

    def _run(self, order: Order) -> None:
        try:
            memory = self._memories.of(order.owner)
            jobs = self._of(memory)
            if self._closing.is_set():
                return
            if jobs.claim(order.id, self._worker) is not None:
                with self._counted():
                    self._work(memory, jobs, order)
            elif (job := jobs.find(order.id)) is not None and job.ended:
                self.orders.drop(order.id)
        except SeemoryError as error:  # the database went away: it is found again when it is back
            log.warning("job %s waits: %s", order.id, error)
        except Exception:
            log.exception("job %s failed", order.id)
        finally:
            with self._lock:
                self._mine.discard(order.id)

    def _work(self, memory: Memory, jobs: OwnersJobs, order: Order) -> None:
        heard, ended = _UnderWay(), Event()
        teller = Thread(target=self._tell, args=(jobs, order, heard, ended), name="job-told", daemon=True)
        teller.start()
        state: JobState = "done"
        report: Report | None = None
        problem = None
        try:
            report = self._works.do(memory, order, heard)
        except Stopped:
            pass
        except (DatabaseUnreachable, DatabaseBusy):
            raise
        except (SeemoryError, Refused) as error:
            state, problem = "failed", said_of(error)
            log.warning("job %s failed: %s", order.id, error)
        except Exception as error:
            state, problem = "failed", said_of(error)
            log.exception("job %s failed", order.id)
        finally:
            ended.set()
            teller.join()
        if heard.stop and state == "done":
            job = jobs.find(order.id)
            if job is None or not job.cancel:  # it is this process that ends, or another has taken the job
                jobs.lay_down(order.id, self._worker)
                return
            state = "cancelled"
        jobs.tell(order.id, self._worker, heard.stage, heard.done, heard.total)
        jobs.end(order.id, self._worker, state, report=report, problem=problem)
        self._heard(order.kind, state)
        self.orders.drop(order.id)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self.running += 1
        try:
            yield
        finally:
            with self._lock:
                self.running -= 1

    def _tell(self, jobs: OwnersJobs, order: Order, heard: _UnderWay, ended: Event) -> None:
        """Write down how far it is, again and again; and see whether it is to end."""
        while not ended.wait(_TOLD_S):
            try:
                go_on = jobs.tell(order.id, self._worker, heard.stage, heard.done, heard.total)
            except SeemoryError:
                continue
            heard.stop = heard.stop or not go_on or self._closing.is_set()
