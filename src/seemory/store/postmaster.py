"""What `postmaster.pid` says of a server, and whether it is still true."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Postmaster:
    """A server as its own file describes it: a process id, and the folder with its socket."""

    pid: int
    socket_folder: Path | None

    def alive(self, data: Path) -> bool:
        """Whether that process still is a Postgres of this data folder, and not one that was given its number since."""
        import psutil  # type: ignore[import-untyped]

        try:
            process = psutil.Process(self.pid)
            if "postgres" not in process.name() or process.status() == psutil.STATUS_ZOMBIE:
                return False
            return Path(process.cwd()).resolve() == data.resolve()
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:  # it is some other account's Postgres, or one we cannot look into: believe the file
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
