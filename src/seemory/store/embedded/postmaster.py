"""What `postmaster.pid` says of a server, and whether it is still true."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Postmaster:
    """A server as its own file describes it: a process id, and the folder with its socket."""

    pid: int
    socket_folder: Path | None

    def alive(self, data: Path) -> bool:
        """Whether that process still is a Postgres of this data folder, and not one that was given its number since."""
        import psutil

        try:
            return _is_postgres_in(data, psutil.Process(self.pid))
        except psutil.NoSuchProcess:
            return False

    def clear_away(self, data: Path) -> bool:
        """Make room for a new server after this one died; False while children of the dead one still run.

        Its files name its process id. Where that is free, Postgres clears them away by itself, and better. Where it is
        in use again, or its dead process was never buried (a container without init), Postgres would refuse to start
        for ever. Its own safeguard against a dead server's living children is in the same file, so they are looked for
        here first.
        """
        import psutil

        if not psutil.pid_exists(self.pid):
            return True
        if any(_is_postgres_in(data, process) for process in psutil.process_iter()):
            return False
        if self.socket_folder:
            (self.socket_folder / ".s.PGSQL.5432.lock").unlink(missing_ok=True)
        (data / "postmaster.pid").unlink(missing_ok=True)
        return True


def _is_postgres_in(data: Path, process: Any) -> bool:
    """Whether it is a living Postgres process of that data folder; one we cannot look into is believed to be."""
    import psutil

    try:
        if "postgres" not in process.name() or process.status() == psutil.STATUS_ZOMBIE:
            return False
        return Path(process.cwd()).resolve() == data.resolve()
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def read_postmaster(data: Path) -> Postmaster | None:
    """The server that `postmaster.pid` names, or None if there is no such file, or only the beginning of one."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        pid = abs(int(lines[0]))
    except (OSError, ValueError, IndexError):
        return None
    # Lines: pid, data folder, start time, port, socket folder, address, shared memory, status.
    return Postmaster(pid, Path(lines[4]) if len(lines) > 4 and lines[4] else None)
