"""Who uses the embedded server: counted by file locks, which the kernel itself releases when a process dies.

The wheel's own `get_server` keeps a list of process ids in a file. After a kill -9 such a list has a dead id in it,
and the server never stops again; after that id was given to another process, nobody can tell. A lock on an open file
has neither trouble: it is gone with its process, however that ended.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seemory.errors import DatabaseUnreachable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class Users:
    """The processes that use one data folder's server: a gate that one may pass at a time, and a shared lock."""

    def __init__(self, home: Path) -> None:
        if fcntl is None:
            raise DatabaseUnreachable(
                "the embedded Postgres runs on Linux and macOS: on this system, set SEEMORY_DATABASE_URL to a "
                "Postgres with pgvector (for example the container image pgvector/pgvector:pg18)"
            )
        self._home = home
        self._shared: int | None = None

    @contextmanager
    def gate(self) -> Iterator[None]:
        """Hold the door: nobody else starts, stops, enters or leaves meanwhile."""
        door = self._open("postgres.gate")
        try:
            fcntl.flock(door, fcntl.LOCK_EX)
            yield
        finally:
            os.close(door)

    def enter(self) -> None:
        """Count this user in; call it behind the gate."""
        self._shared = self._open("postgres.users")
        fcntl.flock(self._shared, fcntl.LOCK_SH)

    def leave(self) -> bool:
        """Count this user out, and say whether it was the last; call it behind the gate."""
        shared, self._shared = self._shared, None
        if shared is None:
            return False
        try:
            fcntl.flock(shared, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            return False
        finally:
            os.close(shared)

    def _open(self, name: str) -> int:
        try:
            return os.open(self._home / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DatabaseUnreachable(f"the data folder {self._home} cannot be used: {error}") from error
