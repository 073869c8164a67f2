"""A process of this very program, asked over pipes; it ends when whoever started it does, or when it is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

from seemory.framing import Frame, packed, read_frame

# Not `-m`, which would put the working folder before everything else on the module path.
_BOOT = (
    "import importlib, json, sys; sys.path[:] = json.loads(sys.argv[2]); importlib.import_module(sys.argv[1]).main()"
)


class ChildProcess:
    """One started process and the thread that reads its answers."""

    def __init__(
        self, module: str, name: str, *, environment: Mapping[str, str] | None = None, most: int | None = None
    ) -> None:
        """It is started.

        Args:
            module: its function `main` is what runs.
            name: of the thread that reads.
            environment: all that it is to know of it; by default what this process has.
            most: bytes of one answer; one that announces more ends the process.

        Raises:
            OSError, RuntimeError: there can be no more processes or threads.
        """
        if getattr(sys, "frozen", False):  # its executable is the program, which would start itself again and again
            raise OSError("a frozen program has no Python to run another process in")
        paths = [path for path in sys.path if path] + [str(Path(__file__).parents[1])]
        # Unbuffered: a fork while another thread reads would copy a buffer's lock as it is.
        self._popen = subprocess.Popen(
            [sys.executable, "-P", "-c", _BOOT, module, json.dumps(paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=None if environment is None else dict(environment),
        )
        self._pipe = Lock()
        self._most = most
        self.answers: SimpleQueue[Frame | None] = SimpleQueue()
        """What it says; None, once, when it has ended."""
        try:
            Thread(target=self._read, name=name, daemon=True).start()
        except RuntimeError:
            self.kill()
            raise

    @property
    def alive(self) -> bool:
        """Whether it runs, or hangs."""
        return self._popen.poll() is None

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._popen.pid

    @property
    def how_it_ended(self) -> str:
        """The name of the signal, or the exit code."""
        code = self._popen.returncode
        if code is None or code >= 0:
            return f"exit code {code}"
        with suppress(ValueError):
            return signal.Signals(-code).name
        return f"signal {-code}"

    def tell(self, document: dict[str, Any], payload: bytes = b"") -> None:
        """Send it a frame. Where it has ended, the reader says so."""
        assert self._popen.stdin is not None
        frame = memoryview(packed(document, payload))
        with self._pipe, suppress(OSError, ValueError):
            while frame:
                frame = frame[self._popen.stdin.write(frame) :]

    def kill(self) -> None:
        """End it at once; the thread that reads from it takes leave of it."""
        with suppress(OSError):
            self._popen.kill()

    def forget(self) -> None:
        """Close this process's ends of pipes that are another's. That one's child is not ours to wait for."""
        self._popen.returncode = 0
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _read(self) -> None:
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        try:
            while (frame := read_frame(self._popen.stdout, self._most)) is not None:
                self.answers.put(frame)
        finally:
            if self._most is not None:  # it may have said too much, and waits to be heard
                self.kill()
            self._popen.wait()
            self.answers.put(None)
            with self._pipe, suppress(OSError):
                self._popen.stdout.close()
                self._popen.stdin.close()


def own_streams() -> tuple[int, int]:
    """In the child: descriptors to read requests from and to write answers to.

    What a library prints goes to standard error from now on, and must not get among the answers.
    """
    answers = os.dup(1)
    os.dup2(2, 1)
    return 0, answers
