"""The model's process, seen from the worker: started at first use, asked one picture at a time, ended when it hangs.

A thread cannot be ended while it is in native code; a process can. So the model lives in one of its own, and a time
limit is a wait that may end: then the process is killed, and another takes its place while the worker goes on.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty
from threading import Condition, Lock, Thread
from typing import Any

import numpy as np

from seemory.child_process import ChildProcess
from seemory.framing import Frame
from seemory.types import Vector, error_text
from seemory.worker.environment import Asked

LOADING_S = 600.0
"""How long a model may load, fetching included."""
RETRY_S = 30.0
"""A model that could not be loaded is not tried again sooner; until then every picture has the same answer at once."""
UNDYING = 3
"""Killed processes that are still there (a dead disk, a driver) before no further one is started."""
_LONGEST_PATH = 32_768


class TimedOut(Exception):
    """The time limit is over, and the process that let it pass has been killed."""


class CannotLoad(Exception):
    """The model cannot be loaded; the message is `Type: message`, as a record has it."""


class ProcessDied(Exception):
    """The process ended in the middle of a picture."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the process made of one picture."""

    vector: Vector | None
    milliseconds: float | None
    error: str | None
    missing: bool = False
    """The file is not there."""


class ModelProcess:
    """One model, for any number of threads. They are served in the order in which they came."""

    def __init__(self, asked: Asked) -> None:
        """Nothing is started yet."""
        self._asked = asked
        self._changed = Condition()
        self._starting = Lock()
        self._over = False
        self._line: deque[object] = deque()
        self._loading_since: float | None = None
        self._loading_s = 0.0  # of all loads that are over
        self._child: _Child | None = None
        self._killed: list[_Child] = []
        self._failed: tuple[float, str] | None = None
        self._jobs = 0
        self.loads = 0
        """How many times a process was started."""
        self.identity: dict[str, Any] | None = None
        """What records say of the model, once it was loaded."""

    @property
    def pid(self) -> int | None:
        """The id of the process that serves now."""
        child = self._child
        return child.pid if child is not None and child.alive else None

    def load(self) -> None:
        """Have the model loaded. Raises CannotLoad."""
        with self._turn(None):
            self._loaded()

    def embed(self, path: str, limit_s: float) -> Answer:
        """What the model makes of the picture.

        `limit_s` counts from the call: waiting for one's turn is part of it, loading the model is not.

        Raises:
            TimedOut: the limit is over.
            ProcessDied: the model's process ended over this picture.
            CannotLoad: said at once for a while after it was tried.
        """
        payload = os.fsencode(path)
        if len(payload) > _LONGEST_PATH:
            raise OSError(f"a path of {len(payload)} bytes")
        clock = _Clock(self, limit_s)
        with self._turn(clock):
            child = self._loaded()
            self._jobs += 1
            job = self._jobs
            try:
                document, vector = child.ask({"job": job, "limit_s": limit_s}, payload, clock.left())
            except Empty:
                self._end(child)
                raise TimedOut from None
            except BaseException:  # also Ctrl-C: an answer must not be left in the pipe for the next picture
                self._end(child)
                raise
        found = np.frombuffer(vector, np.float32).copy() if vector else None
        return Answer(found, document.get("milliseconds"), document.get("error"), document.get("missing", False))

    def stop(self) -> None:
        """End the process for good; nothing is waited for."""
        with self._changed:
            self._over = True
            child, self._child = self._child, None
        if child is not None:
            child.kill()

    def forget(self) -> None:
        """Let go of a process that belongs to the parent of this one, which has been forked."""
        for child in (self._child, *self._killed):
            if child is not None:
                child.forget()

    def loading_s(self, now: float) -> float:
        """Seconds spent on loading so far."""
        with self._changed:
            since = self._loading_since
            return self._loading_s + (now - since if since is not None else 0.0)

    @contextmanager
    def _turn(self, clock: _Clock | None) -> Iterator[None]:
        """Wait in line, and be first. Raises TimedOut."""
        ticket = object()
        with self._changed:
            self._line.append(ticket)
        try:
            with self._changed:
                while self._line[0] is not ticket:
                    # While a model loads nobody's time runs, and loading has a limit of its own.
                    wait = None if clock is None or self._loading_since is not None else clock.left()
                    if wait is not None and wait <= 0:
                        raise TimedOut
                    self._changed.wait(wait)
            yield
        finally:
            with self._changed:
                self._line.remove(ticket)
                self._changed.notify_all()

    def _loaded(self) -> _Child:
        """The process, with its model loaded; only the first in line may ask."""
        child = self._child
        if child is not None and child.ready and child.alive:
            return child
        if self._failed is not None and time.monotonic() < self._failed[0]:
            raise CannotLoad(self._failed[1])
        with self._changed:
            self._loading_since = time.monotonic()
            self._changed.notify_all()  # those in line wait without a limit now
        child = None
        try:
            child = self._started()
            self.identity = child.wait_until_ready(LOADING_S)
            self._failed = None
            return child
        except BaseException as error:
            if child is not None:
                self._end(child, replace=False)
            if not isinstance(error, Exception):  # Ctrl-C says nothing about the model
                raise
            reason = str(error) if isinstance(error, CannotLoad) else error_text(error)
            self._failed = time.monotonic() + RETRY_S, reason
            raise CannotLoad(reason) from error
        finally:
            with self._changed:
                self._loading_s = self.loading_s(time.monotonic())
                self._loading_since = None
                self._changed.notify_all()

    def _started(self) -> _Child:
        """The process, started if there is none. It loads by itself."""
        with self._starting:  # not behind `_changed`, where somebody's time is running
            child = self._child
            if child is not None and child.alive:
                return child
            self._killed = [one for one in self._killed if one.alive]
            if len(self._killed) >= UNDYING:
                raise CannotLoad(f"ModelError: {UNDYING} hung processes cannot be ended: a disk or a driver")
            if self._over:
                raise CannotLoad("ModelError: the embedder was reset, or the program is ending")
            child = _Child(self._asked)
            self.loads += 1
            with self._changed:
                if not self._over:
                    self._child = child
                    return child
            child.kill()
            raise CannotLoad("ModelError: the embedder was reset, or the program is ending")

    def _end(self, child: _Child, replace: bool = True) -> None:
        """Kill a process; another is started aside, so that it is loaded before it is needed."""
        child.kill()
        with self._changed:
            if self._child is child:
                self._child = None
            self._killed = [*self._killed, child]
        if replace:
            with suppress(RuntimeError):  # no more threads, or the program is ending: the next picture starts it
                Thread(target=self._start_aside, name="seemory-replace", daemon=True).start()

    def _start_aside(self) -> None:
        with suppress(Exception):  # the next picture will meet it, and say it
            self._started()


class _Clock:
    """What is left of a time limit, of which loading is no part."""

    def __init__(self, process: ModelProcess, limit_s: float) -> None:
        self._process = process
        self._end = time.monotonic() + limit_s
        self._loading_s = process.loading_s(time.monotonic())

    def left(self) -> float:
        now = time.monotonic()
        return self._end - now + self._process.loading_s(now) - self._loading_s


class _Child:
    """One started process, which loads by itself."""

    def __init__(self, asked: Asked) -> None:
        self._process = ChildProcess("seemory.worker.child", "seemory-answers")
        self.ready = False
        self._process.tell(asked.as_json())

    @property
    def alive(self) -> bool:
        """Whether it runs, or hangs."""
        return self._process.alive

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def wait_until_ready(self, limit_s: float) -> dict[str, Any]:
        """What records say of the model, once it is loaded. Raises CannotLoad."""
        try:
            frame = self._process.answers.get(timeout=limit_s)
        except Empty:
            raise CannotLoad(f"ModelError: the model was not loaded within {limit_s:g} s") from None
        if frame is None:
            how = self._process.how_it_ended
            raise CannotLoad(f"ModelError: the model's process ended while it was loading ({how})")
        if "failed" in frame[0]:
            raise CannotLoad(frame[0]["failed"])
        self.ready = True
        ready: dict[str, Any] = frame[0]["ready"]
        return ready

    def ask(self, document: dict[str, Any], payload: bytes, limit_s: float) -> Frame:
        """The answer. Raises queue.Empty when the limit is over, ProcessDied."""
        self._process.tell(document, payload)
        frame = self._process.answers.get(timeout=max(0.0, limit_s))
        if frame is None:
            raise ProcessDied(f"the model's process ended over this picture ({self._process.how_it_ended})")
        return frame

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def forget(self) -> None:
        """Close this process's ends of pipes that are another's."""
        self._process.forget()
