"""The workers of one run on a Ray cluster: each has one batch in hand at most, and one that is lost is replaced.

So a lost worker means exactly one lost batch. Ray's own restarts and retries are off: it would do a batch again that
kills its worker, and not say so.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition
from typing import Any

from seemory.embedding.pictures import Made
from seemory.embedding.ray_worker import EncoderName, Order, seemory_version
from seemory.errors import ClusterUnreachable, SeemoryError

PATIENCE_S = 120.0  # for the first worker to say hello: a busy cluster has to find it a place


class BatchLost(Exception):
    """A batch came to nothing: its worker is gone, or met something that nobody thought of."""


class _WorkerGone(BatchLost):
    """The worker went with it."""


@dataclass(eq=False, slots=True)
class Hand:
    """One worker as the indexer holds it."""

    actor: Any
    blind: bool = False
    """Whether it was seen not to see the files, so that their bytes are sent at once."""

    def make(self, orders: Sequence[Order], names: Sequence[EncoderName]) -> list[Made | None]:
        """What the worker made of the files (see `Worker.make`, also for what is raised), or BatchLost."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            made: list[Made | None] = ray.get(self.actor.make.remote(orders, names))
            return made
        except RayTaskError as error:
            cause = getattr(error, "cause", error)
            if isinstance(cause, SeemoryError):
                raise cause from None
            raise BatchLost(f"{type(cause).__name__}: {cause}".splitlines()[0]) from error
        except RayError as error:
            raise _WorkerGone(_short(error)) from error


class Crew:
    """Workers that are starting, idle, or have a batch in hand."""

    def __init__(self, start: Callable[[], Any], size: int, *, patience_s: float = PATIENCE_S) -> None:
        """The workers begin to start.

        Args:
            start: makes one Ray actor of a `Worker`.
            size: how many there shall be.
            patience_s: how long one may take to start where no other works.
        """
        self.size = size
        self._start = start
        self._patience_s = patience_s
        self._changed = Condition()
        self._starting: dict[Any, tuple[Hand, float]] = {}  # what it will say, since when
        self._idle: list[Hand] = []
        self._busy: set[Hand] = set()
        self._lost: str | None = None  # the last reason
        self._dismissed = False
        for _ in range(size):
            self._add()

    @contextmanager
    def hand(self) -> Iterator[Hand]:
        """A worker of one's own while the block lasts; waits for one.

        Raises:
            ClusterUnreachable: there is none and none will come.
        """
        hand = self._take()
        try:
            yield hand
        except _WorkerGone as error:
            with self._changed:
                self._lost = str(error)
                self._end(hand)
                if not self._dismissed:
                    self._add()
            raise
        finally:
            with self._changed:
                if hand in self._busy:
                    self._busy.remove(hand)
                    self._idle.append(hand)
                self._changed.notify()

    def dismiss(self) -> None:
        """End all workers."""
        with self._changed:
            self._dismissed = True
            for hand in (*self._idle, *self._busy, *(hand for hand, _ in self._starting.values())):
                self._end(hand)
            self._idle, self._starting = [], {}
            self._changed.notify_all()

    def _add(self) -> None:
        actor = self._start()
        self._starting[actor.hello.remote()] = Hand(actor), time.monotonic()

    def _end(self, hand: Hand) -> None:
        import ray

        self._busy.discard(hand)
        ray.kill(hand.actor)

    def _take(self) -> Hand:
        with self._changed:
            while True:
                self._welcome()
                if self._idle:
                    hand = self._idle.pop()
                    self._busy.add(hand)
                    return hand
                if not self._busy and not self._starting:
                    why = f": {self._lost}" if self._lost else ""
                    raise ClusterUnreachable(f"no worker on the Ray cluster is left{why}")
                self._changed.wait(0.05 if self._starting else 0.5)

    def _welcome(self) -> None:
        """Those that said hello are idle now; those that cannot start are given up.

        Raises:
            ClusterUnreachable: one runs another version, or nothing works and the patience is at its end.
        """
        import ray

        if not self._starting:
            return
        ready, _ = ray.wait(list(self._starting), num_returns=len(self._starting), timeout=0)
        for ref in ready:
            hand, _ = self._starting.pop(ref)
            try:
                version, node = ray.get(ref)
            except ray.exceptions.RayError as error:
                self._lost = _short(error)
                continue
            if version != (own := seemory_version()):
                raise ClusterUnreachable(
                    f"the Ray node {node} has Seemory {version}, and this is {own}: install the same"
                )
            self._idle.append(hand)
        now = time.monotonic()
        waited = min((now - since for _, since in self._starting.values()), default=0.0)
        if not self._idle and not self._busy and waited > self._patience_s:
            raise ClusterUnreachable(
                f"no worker started on the Ray cluster within {self._patience_s:g} s: its cores are taken, or "
                f"its nodes lack Seemory (`ray status` on a node says which)"
            )


def _short(error: BaseException) -> str:
    """The kind of error with the first and the last line of what Ray says: the event, and the reason if it knows it."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no reason was given"]
    return f"{type(error).__name__}: {' … '.join(dict.fromkeys((lines[0], lines[-1])))}"
