"""The whole schema `seemory` to one file and back: every owner, every collection, all or nothing.

A backup is a pg_dump archive in custom format with one line of JSON appended: what it should hold, and the hash of all
that comes before. pg_restore takes the file as it is, and a file that was cut short has lost that line.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier

from seemory.errors import DatabaseUnreachable, StoreError, UsageError
from seemory.store.address import checked, explained, shown
from seemory.store.durable import sync_folder
from seemory.store.embedded.programs import client_program
from seemory.store.migrate import applied
from seemory.telemetry import Progress, ProgressListener, ignore

_FORMAT = "seemory-backup-1"
_LONGEST_TRAILER = 16_000_000
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds."""

    made_at: str
    seemory: str
    postgres: str
    migrations: list[tuple[int, str, str]]
    rows: Mapping[str, int]
    """Rows of every table of the schema; counted in the very snapshot that was dumped."""
    size: int = 0
    sha256: str = ""

    @property
    def assets(self) -> int:
        """Files of all owners."""
        return self.rows.get("asset", 0)

    @property
    def items(self) -> int:
        """Things that can be found, of all owners."""
        return self.rows.get("item", 0)

    @property
    def vectors(self) -> int:
        """Vectors in all generations, of all owners."""
        return sum(count for name, count in self.rows.items() if "_memory_v" in name)


def back_up(url: str, file: Path, *, listen: ProgressListener = ignore) -> Manifest:
    """What was written to `file`, which is there whole or, if anything fails, as it was before.

    Args:
        url: of a role that sees all owners' rows: one with SUPERUSER or BYPASSRLS.
        file: replaced if it exists, after the new one was read again and found right.
        listen: called with the bytes written.

    Raises:
        UsageError: the file cannot be written there.
        StoreError: the role does not see all rows, or the dump failed.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".partial", dir=file.parent)
        os.close(handle)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error}") from error
    partial = Path(name)
    try:
        with _connected(url) as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            _require_unbound(connection)
            snapshot = str(_value(connection, "SELECT pg_export_snapshot()"))
            manifest = _count(connection)
            _dump(url, snapshot, partial, listen, encrypted=connection.pgconn.ssl_in_use)
        manifest = _sealed(manifest, partial)
        tables = {name for name, _ in _archived(partial)}
        if missing := set(manifest.rows) - tables:
            raise StoreError(f"the dump lacks the tables {', '.join(sorted(missing))}")
        if read_manifest(partial) != manifest:
            raise StoreError("the file reads back differently than it was written")
        partial.replace(file)
        sync_folder(file.parent)
        return manifest
    finally:
        partial.unlink(missing_ok=True)


def read_manifest(file: Path) -> Manifest:
    """What a backup says of itself, after every byte of it was found to be as it was written.

    Raises:
        UsageError: it is no backup, or it was cut short or changed.
    """
    try:
        with file.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - _LONGEST_TRAILER))
            line = stream.read().rpartition(b"\n")[2]
            document = json.loads(line)
            if document.pop("format") != _FORMAT:
                raise ValueError("another format")
            document["migrations"] = [tuple(migration) for migration in document["migrations"]]
            manifest = Manifest(**document)
            if size != manifest.size + len(line) + 1 or _hash(stream, manifest.size) != manifest.sha256:
                raise ValueError("its bytes are not those that were written")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{file} is no whole backup of Seemory ({error}): it was cut short or changed; nothing was touched"
        ) from error
    return manifest


def command_environment(url: str) -> tuple[str, dict[str, str]]:
    """A connection string that may stand in a command line, and the environment with the password it lacks."""
    words = conninfo_to_dict(checked(url))
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PG") or name.startswith("PGSSL")
    }
    if password := words.pop("password", None):
        environment["PGPASSWORD"] = str(password)
    return make_conninfo("", **words), environment


def table_counts(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Rows of every table of the schema, as far as this role sees them."""
    names = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'seemory'::regnamespace AND relkind IN ('r', 'p') "
        "AND NOT relispartition ORDER BY relname"
    ).fetchall()
    return {
        name: int(_value(connection, SQL("SELECT count(*) FROM {}").format(Identifier("seemory", name))))
        for (name,) in names
    }


def _count(connection: psycopg.Connection[Any]) -> Manifest:
    if _value(connection, "SELECT to_regclass('seemory.schema_migration') IS NULL"):
        raise UsageError("this database has no memory to back up")
    return Manifest(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seemory=version("seemory"),
        postgres=str(_value(connection, "SHOW server_version")),
        migrations=applied(connection),
        rows=table_counts(connection),
    )


def _require_unbound(connection: psycopg.Connection[Any]) -> None:
    if not _value(connection, "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"):
        raise StoreError(
            f"the role {connection.info.user} sees one owner's rows only, and a backup takes all of them: connect as a "
            f"superuser, or as a role with BYPASSRLS that may read the schema seemory"
        )


def _dump(url: str, snapshot: str, partial: Path, listen: ProgressListener, *, encrypted: bool) -> None:
    address, environment = command_environment(url)
    command = [client_program("pg_dump", encrypted=encrypted), "--dbname", address, "--format=custom"]
    command += [
        "--schema=seemory",
        "--no-owner",
        "--no-privileges",
        "--no-password",
        f"--snapshot={snapshot}",
        "--lock-wait-timeout=60s",
    ]
    with partial.open("wb") as out, tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=said, env=environment)
        try:
            while process.poll() is None:
                try:
                    process.wait(0.2)
                except subprocess.TimeoutExpired:
                    listen(Progress("backup", partial.stat().st_size // 1_000_000, unit="MB"))
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode:
            said.seek(0)
            raise StoreError(f"pg_dump failed on {shown(url)}: {said.read()[-1000:].strip()}")


def _sealed(manifest: Manifest, partial: Path) -> Manifest:
    """The manifest with the size and hash of what was dumped; it is appended to that, and all of it put on disk."""
    with partial.open("r+b") as stream:
        size = stream.seek(0, os.SEEK_END)
        document = {"format": _FORMAT} | asdict(manifest) | {"size": size, "sha256": _hash(stream, size)}
        stream.seek(size)
        stream.write(b"\n" + json.dumps(document).encode())
        stream.flush()
        os.fsync(stream.fileno())
    del document["format"]
    return Manifest(**document)


def _archived(file: Path) -> Iterator[tuple[str, str]]:
    """(table, its line) of each table's data in the archive, as pg_restore lists it."""
    listed = subprocess.run(
        [client_program("pg_restore"), "--list", str(file)], capture_output=True, text=True, check=False
    )
    if listed.returncode:
        raise StoreError(f"pg_restore cannot read the dump: {listed.stderr[-500:].strip()}")
    for line in listed.stdout.splitlines():
        if " TABLE DATA seemory " in line:
            yield line.split(" TABLE DATA seemory ")[1].split()[0], line


def _hash(stream: IO[bytes], size: int) -> str:
    digest = hashlib.sha256()
    stream.seek(0)
    while size > 0 and (block := stream.read(min(size, _BLOCK))):
        digest.update(block)
        size -= len(block)
    return digest.hexdigest()


@contextmanager
def _connected(url: str) -> Iterator[psycopg.Connection[Any]]:
    try:
        with psycopg.connect(checked(url), connect_timeout=10) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise DatabaseUnreachable(f"no connection to {explained(url, error)}") from error
    except psycopg.Error as error:
        raise StoreError(explained(url, error)) from error


def _value(connection: psycopg.Connection[Any], statement: Any) -> Any:
    row = connection.execute(statement).fetchone()
    return row[0] if row else None
