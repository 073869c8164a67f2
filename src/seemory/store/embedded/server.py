"""The embedded server: the wheel's PostgreSQL in the data folder, on a Unix socket, shared by all its users.

Its `initdb` and `pg_ctl` are driven here, and not through the wheel's Python class, because that one gives up after
10 s (a crash recovery may take longer), makes a system account and opens up folders when it is root, keeps one lock for
all data folders of a machine, and counts its users by process ids (see users.py).
"""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg

from seemory.errors import DatabaseUnreachable
from seemory.store import word_index
from seemory.store.embedded.cluster import Cluster
from seemory.store.embedded.programs import Programs, installed, major_of, newest, programs_for
from seemory.store.embedded.swap import Swap
from seemory.store.embedded.users import Users
from seemory.store.roles import ROLE, make_database


class EmbeddedServer:
    """One user's hold on a data folder's server: `enter` starts it if need be, `leave` stops it after the last."""

    def __init__(self, home: Path) -> None:
        self.home = home.expanduser().resolve()
        self.data = self.home / "postgres"
        self._cluster = Cluster(self.home, self.data)
        self._users: Users | None = None
        self._started = False

    def enter(self) -> None:
        """Have a server that answers, with the database in it.

        Raises:
            DatabaseUnreachable: it cannot be made or started; the message has the end of its log.
            DiskFull: there is no room for it.
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
            except BaseException as error:
                if users.leave() and self._started:  # a warm server that is only busy is left to those who use it
                    self._stop()
                if isinstance(error, OSError):
                    raise self._cluster.trouble(f"Postgres cannot be started in {self.data}: {error}") from error
                raise
        self._users = users

    def revive(self) -> None:
        """Have a server that answers again, after it was killed; nothing if it lives. Raises as `enter` does."""
        if self._users is not None:
            with self._users.gate():
                try:
                    self._ensure_running()
                except OSError as error:
                    raise self._cluster.trouble(f"Postgres cannot be started in {self.data}: {error}") from error

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
        return self._cluster.url(role=role, database=database)

    def _ensure_running(self) -> None:
        Swap(self.home).settle()  # of an upgrade that was killed; before anything else is believed
        if self._cluster.answers():
            return
        self._started = True
        account = self._cluster.account
        account.let_through(self.data)
        if not (self.data / "PG_VERSION").exists():
            self._initialise(newest())
        programs = programs_for(self.data)
        account.let_through(programs.folder / "postgres")
        self._cluster.bring_up(programs)
        if not self._cluster.answers():
            with psycopg.connect(self.url(role="postgres", database="postgres"), autocommit=True) as connection:
                make_database(connection, lambda: self.url(role="postgres", database="template1"))
        with psycopg.connect(self.url(role="postgres"), autocommit=True) as connection:
            word_index.declare(connection)

    def _initialise(self, programs: Programs) -> None:
        """A new cluster, made beside its place and moved there when it is whole."""
        half = Cluster(self.home, self.home / "postgres.new")
        half.account.let_through(programs.folder / "postgres")
        shutil.rmtree(half.data, ignore_errors=True)
        half.initialise(programs)
        half.data.rename(self.data)

    def _stop(self) -> bool:
        major = major_of(self.data)
        own = [programs for programs in installed() if programs.major == major]
        return self._cluster.stop(own[0] if own else newest())  # any pg_ctl can end a server that still runs
