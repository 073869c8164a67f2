"""One data folder of Postgres: made, started, stopped and asked, by the programs of its major version."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from seemory.errors import DatabaseUnreachable, DiskFull, StoreError
from seemory.store.address import explained, is_full
from seemory.store.embedded.account import Account, account_for
from seemory.store.embedded.postmaster import read_postmaster
from seemory.store.embedded.programs import WHEEL, Programs, wheel_release
from seemory.store.roles import ROLE

PATIENCE_S = 600.0  # recovery after a crash replays the log; that is worth waiting for
PORT = 5432
_LEAST_ROOM = 20_000_000  # Postgres makes its write-ahead log in pieces of 16 MB
_LONGEST_SOCKET_FOLDER = 85  # the socket's whole path has 103 bytes (macOS), its name takes 17

# For one person's machine. synchronous_commit and fsync stay on: what was reported as written is written.
_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
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
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_SINCE = {"io_method": (18, "sync")}


@dataclass(frozen=True, slots=True)
class Cluster:
    """The data folder `data` of the memory in `home`."""

    home: Path
    data: Path

    @property
    def account(self) -> Account:
        """Whose its files and processes are."""
        return account_for(self.home, self.home / "postgres")

    def initialise(self, programs: Programs, options: Sequence[str] = ()) -> None:
        """Make it, in an empty folder.

        Raises:
            DatabaseUnreachable: that was refused; the message says why.
        """
        self.data.mkdir(mode=0o700, parents=True)
        self.account.own(self.data)
        arguments = ["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        if programs.major >= 17:  # letters have their case in all languages; older ones cannot
            arguments += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        try:
            self.run(programs, "initdb", [*arguments, *options, "-D", str(self.data)], timeout=PATIENCE_S)
        except subprocess.SubprocessError as error:
            reason = (getattr(error, "stderr", None) or str(error)).strip()
            raise self.trouble(f"a new Postgres could not be made in {self.home}: {reason}") from error
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write("\n# Written anew at each start.\ninclude 'seemory.conf'\n")
        self.configure(programs)

    def configure(self, programs: Programs) -> None:
        """Write the settings that it starts with."""
        import psutil

        settings = _SETTINGS | {"unix_socket_directories": str(self.socket_folder())}
        settings |= {name: value for name, (since, value) in _SINCE.items() if programs.major >= since}
        # What is said of the machine's memory; a quarter of this is what the building of an index may take.
        settings["effective_cache_size"] = f"{max(512, psutil.virtual_memory().total // 2**21)}MB"
        text = "".join(f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n" for name, value in settings.items())
        if release := wheel_release():
            text = f"# {WHEEL} {release}\n{text}"  # what to install, should its programs be gone one day
        conf = self.data / "seemory.conf"
        conf.write_text(text)
        conf.chmod(0o600)
        self.account.own(conf)

    def start(self, programs: Programs, deadline: float) -> None:
        """Start it; if a killed server's last children are still ending, come back without, to be called again.

        Raises:
            DatabaseUnreachable: it did not start; the message has the end of its log.
        """
        sockets = self.socket_folder()
        if sockets != self.data:
            private_folder(sockets, self.account)
        self.configure(programs)
        log = self.data / "server.log"
        if log.exists() and log.stat().st_size > 10_000_000:
            log.replace(log.with_suffix(".old"))
        seconds = max(1, int(deadline - time.monotonic()))
        try:
            self.run(programs, "pg_ctl", ["-w", "-t", str(seconds), "-l", str(log), "-D", str(self.data), "start"])
        except subprocess.SubprocessError as error:
            if time.monotonic() > deadline or not self._leftovers():
                raise self.trouble(f"Postgres did not start in {self.data}:\n{self.log_end()}") from error
            time.sleep(0.1)

    def bring_up(self, programs: Programs) -> None:
        """Have it accept connections, whatever state its last run left it in.

        Raises:
            DatabaseUnreachable: it did not start, or does not answer.
        """
        deadline = time.monotonic() + PATIENCE_S
        while not self.accepts():
            postmaster = read_postmaster(self.data)
            if postmaster is None:
                (self.data / "postmaster.pid").unlink(missing_ok=True)  # damaged, or not there
                self.start(programs, deadline)
            elif not postmaster.alive(self.data) and postmaster.clear_away(self.data):
                self.start(programs, deadline)
            elif time.monotonic() > deadline:
                raise DatabaseUnreachable(f"Postgres in {self.data} does not answer:\n{self.log_end()}")
            else:
                time.sleep(0.05)  # starting, recovering or stopping on somebody else's behalf

    def stop(self, programs: Programs, *, at_once: bool = False) -> bool:
        """Whether it was running; it no longer is. `at_once` is for one that will be thrown away."""
        postmaster = read_postmaster(self.data)
        if postmaster is None or not postmaster.alive(self.data):
            return False
        try:
            mode = "immediate" if at_once else "fast"
            self.run(programs, "pg_ctl", ["-w", "-t", "120", "-m", mode, "-D", str(self.data), "stop"])
        except subprocess.SubprocessError:
            if postmaster.alive(self.data):
                self.run(programs, "pg_ctl", ["-w", "-t", "20", "-m", "immediate", "-D", str(self.data), "stop"])
        return True

    def url(self, *, role: str = ROLE, database: str = ROLE) -> str:
        """The address of a database on the running server's socket."""
        postmaster = read_postmaster(self.data)
        folder = str((postmaster.socket_folder if postmaster else None) or self.socket_folder())
        return f"postgresql://{role}@/{quote(database, safe='')}?host={quote(folder, safe='')}&port={PORT}"

    def answers(self) -> bool:
        """Whether our database accepts connections: the whole check of a warm start."""
        return read_postmaster(self.data) is not None and _connects(self.url())

    def accepts(self) -> bool:
        """Whether the server itself does."""
        return read_postmaster(self.data) is not None and _connects(self.url(role="postgres", database="postgres"))

    def socket_folder(self) -> Path:
        """Where its socket lies."""
        return socket_folder_for(self.data)

    def log_end(self) -> str:
        """The last lines of its log."""
        try:
            return (self.data / "server.log").read_text(errors="replace")[-1500:].strip()
        except OSError as error:
            return f"(no log: {error})"

    def trouble(self, said: str) -> StoreError:
        """The error to raise; a full disk comes first, as the log may have had no room to say so."""
        with suppress(OSError):
            if (free := shutil.disk_usage(self.home).free) < _LEAST_ROOM:
                return DiskFull(
                    f"the disk of {self.home} is full ({free / 1e6:.1f} MB left, Postgres needs "
                    f"{_LEAST_ROOM / 1e6:.0f}): make room and run again; what was committed is kept. {said}"
                )
        return DatabaseUnreachable(said)

    def run(
        self, programs: Programs, name: str, arguments: Sequence[str], timeout: float | None = None, cwd: str = "/"
    ) -> str:
        """What a program printed that was run as the server's account, without our PG… variables.

        Raises:
            subprocess.SubprocessError: it failed or took too long; `stderr` has all that it printed.
        """
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        # To a file and not to a pipe: the server that pg_ctl leaves behind would keep a pipe open.
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            done = subprocess.run(
                [str(programs.folder / name), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=timeout,
                env=environment | {"LC_ALL": "C"},
                cwd=cwd,
                check=False,
                umask=0o077,
                **self.account.subprocess_options(),
            )
            output.seek(0)
            said = output.read()
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, shlex.join([name, *arguments]), stderr=said)
        return said

    def _leftovers(self) -> bool:
        """Whether the log's end says that a killed server's last children still hold its memory: they end soon."""
        return "pre-existing shared memory block" in self.log_end()


def socket_folder_for(folder: Path) -> Path:
    """That folder, or, where its path is too long for a socket or has characters that would need quoting, a private
    folder with a short name."""
    path = str(folder)
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_FOLDER and not set(path) & set(" ,'\"\\@") and path.isascii():
        return folder
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path("/tmp" if sys.platform == "darwin" else tempfile.gettempdir()) / f"seemory-{name}"  # noqa: S108


def private_folder(folder: Path, account: Account) -> None:
    """Make a folder for sockets that is the account's alone, or find it made.

    Raises:
        DatabaseUnreachable: it is somebody else's.
    """
    try:
        folder.mkdir(mode=0o700)
        account.own(folder)
    except FileExistsError:  # ours from an earlier start, or a trap that somebody laid in a shared folder
        owner = account.uid if account.uid is not None else os.geteuid()
        if folder.is_symlink() or folder.stat().st_uid != owner:
            raise DatabaseUnreachable(f"{folder} belongs to somebody else: remove it") from None
    account.let_through(folder)


def _connects(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=10).close()
    except psycopg.OperationalError as error:
        if is_full(error):  # it runs, so there is nothing to start, and nothing to wait for
            raise DatabaseUnreachable(f"no connection to {explained(url, error)}") from error
        return False
    return True
