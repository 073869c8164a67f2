"""Several processes that answer at one port, and the one that starts them, replaces those that die, and ends them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from socket import socket
from typing import Any, Final

from seemory.errors import SeemoryError, UsageError
from seemory.settings import Settings

_AGAIN_S: Final = 1.0  # before a worker that died is replaced

ServeOne = Callable[[Settings, str | None, socket, Callable[[str], None], Path], None]
"""Answers at a socket until a signal to stop comes; told whom to tell that it does, and where metrics are shared."""


def serve_by_several(
    settings: Settings, model: str | None, listener: socket, say: Callable[[str], None], serve_one: ServeOne
) -> None:
    """Have `service.workers` processes answer at this socket until a signal to stop comes.

    Raises:
        UsageError: this system cannot, or a worker could not begin; it has said why.
    """
    if os.name == "nt":
        raise UsageError("several workers need a POSIX system: serve with --workers 1")
    count = settings.service.workers
    context = multiprocessing.get_context("spawn")
    stopping = threading.Event()
    before = [(one, signal.signal(one, lambda *_: stopping.set())) for one in (signal.SIGTERM, signal.SIGINT)]
    with tempfile.TemporaryDirectory(prefix="seemory-workers-") as shared:

        def start() -> tuple[BaseProcess, Connection]:
            ours, theirs = context.Pipe(duplex=False)
            given = (serve_one, settings, model, listener, theirs, Path(shared))
            process = context.Process(target=_work, args=given, name="seemory-worker")
            process.start()
            theirs.close()
            return process, ours

        workers = [start() for _ in range(count)]
        ready: set[int] = set()
        failed: str | None = None
        try:
            while not stopping.is_set() and failed is None:
                for told in wait([pipe for _, pipe in workers if not pipe.closed], timeout=0.5):
                    failed = _hear(workers, told, ready, say, count) or failed
                for n, (process, pipe) in enumerate(workers):
                    if process.is_alive() or stopping.is_set() or failed is not None:
                        continue
                    if process.pid not in ready:
                        failed = "a worker ended before it could answer; what it has said is above"
                        continue
                    say(f"Worker {process.pid} has ended ({process.exitcode}); another takes its place")
                    ready.discard(process.pid)
                    pipe.close()
                    stopping.wait(_AGAIN_S)
                    workers[n] = start()
        finally:
            for process, _ in workers:
                if process.is_alive():
                    process.terminate()
            end = time.monotonic() + settings.service.stop_s + 30
            for process, _ in workers:
                process.join(max(0.0, end - time.monotonic()))
                if process.is_alive():
                    process.kill()
            for one, handler in before:
                signal.signal(one, handler)
    if failed is not None:
        raise UsageError(failed)


def _hear(
    workers: list[tuple[BaseProcess, Connection]], told: Any, ready: set[int], say: Callable[[str], None], count: int
) -> str | None:
    """What a worker has said of its beginning; the first of them is heard, and then the last."""
    process, pipe = next((process, pipe) for process, pipe in workers if pipe is told)
    try:
        kind, line = pipe.recv()
    except (EOFError, OSError):
        pipe.close()
        return None
    if kind == "failed":
        return str(line)
    if kind == "waits":
        if not ready:
            say(line)
        return None
    ready.add(process.pid or 0)
    if len(ready) == count:
        say(line.replace("; Ctrl-C", f", by {count} workers; Ctrl-C"))
    return None


def _work(
    serve_one: ServeOne, settings: Settings, model: str | None, listener: socket, told: Connection, shared: Path
) -> None:
    """One worker, in a process of its own; it ends with the one that has started it."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, name="follow", daemon=True).start()

    def say(line: str) -> None:
        told.send(("serves" if line.startswith("Serving") else "waits", line))

    try:
        serve_one(settings, model, listener, say, shared)
    except SeemoryError as error:
        told.send(("failed", str(error)))
        sys.exit(2)
