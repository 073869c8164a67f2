"""Work of many callers done together: what comes while one batch is at work makes up the next.

A caller hands in one thing and waits for its own answer. An idle worker starts at once, so that nobody waits for
company; a busy one finds all that has come meanwhile. Knows nothing of encoders or of HTTP.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Condition, Lock, Thread
from typing import Final, Generic, TypeVar

from seemory.errors import Busy, TookTooLong

A = TypeVar("A")
B = TypeVar("B")

_IDLE_S: Final = 30.0
"""After so long without work a worker's thread ends; the next thing starts another."""
_ALIKE: Final = 1.25
"""Things that share a batch differ in size from the oldest of them by no more than this factor."""


class Ticket:
    """How long one request may wait, and whether anybody still waits for its answer."""

    def __init__(self, seconds: float | None = None) -> None:
        """The clock runs from now."""
        self._until = None if seconds is None else time.monotonic() + seconds
        self._lock = Lock()
        self._waits_for: Future[object] | None = None
        self._cancelled = False

    @property
    def left_s(self) -> float | None:
        """Seconds that are left; None without a limit."""
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    def cancel(self) -> None:
        """Nobody waits any more: what has not begun is dropped, now and later. May be called from any thread."""
        with self._lock:
            self._cancelled = True
            if self._waits_for is not None:
                self._waits_for.cancel()

    def wait(self, future: Future[B]) -> B:
        """The future's answer.

        Raises:
            TookTooLong: there was none in time.
            CancelledError: nobody waits any more (of `concurrent.futures`).
        """
        with self._lock:
            if self._cancelled or self.left_s == 0.0:
                future.cancel()
            self._waits_for = future  # type: ignore[assignment]
        try:
            return future.result(self.left_s)
        except TimeoutError:
            if future.done() and not future.cancelled():  # the work's own error
                raise
            future.cancel()
            raise TookTooLong("there was no answer in time: try again when less is asked at once") from None


_ticket: ContextVar[Ticket | None] = ContextVar("ticket", default=None)


@contextmanager
def waiting_with(ticket: Ticket) -> Iterator[None]:
    """What this thread waits for inside the block, it waits for with that ticket."""
    before = _ticket.set(ticket)
    try:
        yield
    finally:
        _ticket.reset(before)


def time_left() -> float | None:
    """Seconds that the request has for which this thread works; None without a limit."""
    ticket = _ticket.get()
    return None if ticket is None else ticket.left_s


@dataclass(frozen=True, slots=True)
class Passed:
    """What a worker did at once."""

    name: str
    size: int
    """How many things."""
    seconds: float


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[A, B]):
    thing: A
    size: float
    future: Future[B] = field(default_factory=Future)


class Batcher(Generic[A, B]):
    """Called with one thing, from any number of threads: its answer, from a batch that others may have a part in."""

    def __init__(
        self,
        work: Callable[[Sequence[A]], Sequence[B]],
        *,
        name: str,
        most: int,
        queue: int,
        size: Callable[[A], float] = lambda _: 1.0,
        everyones: tuple[type[Exception], ...] = (),
        listen: Callable[[Passed], None] = lambda _: None,
    ) -> None:
        """Nothing is started yet.

        Args:
            work: the answers for a batch, in its order. Where it raises, each thing of the batch is tried alone.
            name: of the worker's thread, and what the listener is told.
            most: things of one batch.
            queue: things that may wait; one more is refused.
            size: only things of like size share a batch (a quarter more or less than the oldest), where work on the
                small ones takes as long as on the largest.
            everyones: errors that are no single thing's fault: all of the batch get them, and nothing is tried again.
            listen: told of each batch, by the worker.
        """
        self._work = work
        self._name = name
        self._most = most
        self._queue = queue
        self._size = size
        self._everyones = everyones
        self._listen = listen
        self._changed = Condition()
        self._waiting: deque[_Waiting[A, B]] = deque()
        self._worker: Thread | None = None

    @property
    def waiting(self) -> int:
        """How many things wait for a batch."""
        return len(self._waiting)

    def __call__(self, thing: A) -> B:
        """The thing's answer.

        Raises:
            Busy: as many things wait as may.
            TookTooLong, CancelledError: as `Ticket.wait`.
            Exception: what the work raised for this thing.
        """
        mine: _Waiting[A, B] = _Waiting(thing, max(self._size(thing), 1e-9))
        with self._changed:
            if len(self._waiting) >= self._queue:
                self._waiting = deque(one for one in self._waiting if not one.future.cancelled())
            if len(self._waiting) >= self._queue:
                raise Busy(f"{self._queue} wait for the {self._name} already: try again in a moment")
            self._waiting.append(mine)
            if self._worker is None:
                self._worker = Thread(target=self._go, name=self._name, daemon=True)
                self._worker.start()
            self._changed.notify()
        return (_ticket.get() or Ticket()).wait(mine.future)

    def _go(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    if not self._changed.wait(_IDLE_S) and not self._waiting:
                        self._worker = None
                        return
                batch = self._take()
            self._answer(batch)

    def _take(self) -> list[_Waiting[A, B]]:
        """The oldest, and those of like size behind it; whoever was given up meanwhile is dropped."""
        taken: list[_Waiting[A, B]] = []
        left: deque[_Waiting[A, B]] = deque()
        for one in self._waiting:
            if one.future.cancelled():
                continue
            fits = not taken or taken[0].size / _ALIKE <= one.size <= taken[0].size * _ALIKE
            if len(taken) == self._most or not fits:
                left.append(one)
            elif one.future.set_running_or_notify_cancel():
                taken.append(one)
        self._waiting = left
        return taken

    def _answer(self, batch: Sequence[_Waiting[A, B]]) -> None:
        if not batch:
            return
        start = time.perf_counter()
        try:
            answers = self._work([one.thing for one in batch])
            self._listen(Passed(self._name, len(batch), time.perf_counter() - start))
            for one, answer in zip(batch, answers, strict=True):
                one.future.set_result(answer)
        except Exception as error:
            if len(batch) == 1 or isinstance(error, self._everyones):
                for one in batch:
                    one.future.set_exception(error)
            else:
                for one in batch:
                    self._answer([one])
