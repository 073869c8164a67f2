"""Connections to the embedded server or any Postgres with pgvector, as a role that row-level security binds."""

from __future__ import annotations

import atexit
import os
import re
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg
from psycopg.adapt import AdaptersMap
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool, PoolTimeout

from seemory.errors import DatabaseUnreachable, GenerationsChanged, StoreError, UsageError
from seemory.store.address import explained, shown
from seemory.store.embedded import EmbeddedServer
from seemory.store.halfvec import halfvec_adapters
from seemory.store.migrate import migrate, pending
from seemory.store.programs import client_program
from seemory.store.server import Server, inspect, require
from seemory.store.texts import clean

Connection = psycopg.Connection[Any]


class Database:
    """A pool of connections to one database, opened by the first that is asked for."""

    def __init__(
        self,
        url: str,
        conninfo: str,
        adapters: AdaptersMap,
        *,
        role: str,
        encrypted: bool,
        on_close: Callable[[], None],
    ) -> None:
        self.url = url
        self.conninfo = conninfo
        """How its connections are made: the URL, and the role and settings they start with."""
        self.encrypted = encrypted
        """Whether they speak TLS."""
        self._role = role
        self._on_close = on_close
        self._process = os.getpid()
        self._closed = False
        self._pool = ConnectionPool(
            conninfo,
            kwargs={"context": _Adapting(adapters)},
            min_size=1,
            max_size=8,
            timeout=30.0,
            reconnect_timeout=20.0,
            open=False,
            check=_check,
        )
        atexit.register(self.close)

    @contextmanager
    def transaction(self, owner: str | None) -> Iterator[Connection]:
        """A connection in a transaction that sees the rows of `owner` and no others (None: no owner's rows at all).

        Raises:
            UsageError: the owner's name is empty or cannot be stored.
            DatabaseUnreachable: no connection could be had, or it broke.
            GenerationsChanged: a generation's table was dropped.
            StoreError: Postgres refused a statement, or the connection works as another role than it was made for.
        """
        if owner is not None and (not owner or clean(owner) != owner):
            raise UsageError(f"{owner!r} is no name for an owner: use any text, but not an empty one")
        if self._closed:
            raise DatabaseUnreachable("this database was closed")
        connection: Connection | None = None
        try:
            self._pool.open()
            with self._pool.connection() as connection:
                if owner is not None:
                    self._enter(connection, owner)
                yield connection
        except PoolTimeout as error:
            raise DatabaseUnreachable(f"no connection to {explained(self.url, error)}") from error
        except psycopg.OperationalError as error:
            if connection is None or connection.closed:
                raise DatabaseUnreachable(f"a connection broke: {explained(self.url, error)}") from error
            raise StoreError(f"Postgres failed: {error}") from error
        except psycopg.errors.UndefinedTable as error:  # only tables of generations ever go away
            raise GenerationsChanged(f"a table of vectors was dropped meanwhile: {error}") from error
        except psycopg.Error as error:
            raise StoreError(f"Postgres refused: {error}") from error

    def _enter(self, connection: Connection, owner: str) -> None:
        """Set the owner; the role is looked at in the same breath, for whatever row-level security is worth."""
        row = connection.execute("SELECT set_config('seemory.owner', %s, true), current_user", [owner]).fetchone()
        if row is None or row[1] != self._role:
            raise StoreError(
                f"a connection to {shown(self.url)} works as {row and row[1]}, and not as {self._role}: something "
                f"between here and the server drops the settings that connections start with (a pooler's "
                f"ignore_startup_parameters): connect to the server itself"
            )

    def close(self) -> None:
        """Let all connections go; the embedded server stops with its last user, unless it is to stay warm."""
        if self._closed or os.getpid() != self._process:
            return  # a forked child has copies of its parent's connections, not its own
        self._closed = True
        atexit.unregister(self.close)
        self._pool.close()
        self._on_close()

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Adapting:
    """psycopg's way of taking adapters for a new connection: an `AdaptContext`."""

    def __init__(self, adapters: AdaptersMap) -> None:
        self._adapters = adapters

    @property
    def adapters(self) -> AdaptersMap:
        """The adapters."""
        return self._adapters

    @property
    def connection(self) -> None:
        """None: they belong to no connection yet."""


def _check(connection: Connection) -> None:
    """Notice a dead pooled connection without a round trip: an idle socket has something to read only then."""
    if select.select([connection.fileno()], [], [], 0)[0]:
        ConnectionPool.check_connection(connection)


def open_database(url: str | None, *, home: Path, keep_warm: bool = False) -> Database:
    """The database at `url`, or the embedded one in `home` if that is None, with its schema up to date.

    Args:
        url: `postgresql://…`, any PostgreSQL >= 15 with pgvector >= 0.8; None: the embedded server, started if need be.
        home: the data folder.
        keep_warm: leave the embedded server running when its last user leaves.

    Raises:
        DatabaseUnreachable: there is no server, or it lets nobody in.
        StoreError: the server is too old, or has no pgvector, or the role may not do what is needed.
        MigrationFailed: the schema is newer than this code, or could not be brought up to date.
    """
    if url is not None:
        return _connect(url, on_close=lambda: None)
    server = EmbeddedServer(home)
    server.enter()
    try:
        return _connect(server.url(), on_close=lambda: server.leave(keep_warm=keep_warm))
    except BaseException:
        server.leave(keep_warm=keep_warm)
        raise


def _connect(url: str, *, on_close: Callable[[], None]) -> Database:
    try:
        given = conninfo_to_dict(url)
        with psycopg.connect(url, connect_timeout=10, autocommit=True) as connection:
            server = require(inspect(connection), connection)
            encrypted = connection.pgconn.ssl_in_use
            conninfo = make_conninfo("", **(given | {"options": _options(given.get("options"), server)}))
            if server.applied is None or pending(server.applied):
                with psycopg.connect(conninfo, connect_timeout=10) as worker:
                    migrate(worker)
    except psycopg.ProgrammingError as error:
        raise StoreError(explained(url, error)) from error
    except psycopg.OperationalError as error:
        raise DatabaseUnreachable(f"no connection to {explained(url, error)}") from error
    except psycopg.Error as error:
        raise StoreError(explained(url, error)) from error
    return Database(
        url,
        conninfo,
        halfvec_adapters(server.halfvec, server.halfvec_array),
        role=server.works_as,
        encrypted=encrypted,
        on_close=on_close,
    )


def _options(given: object, server: Server) -> str:
    """What each connection sets when it starts: nothing that costs a round trip later."""
    settings = {"role": server.works_as, "search_path": f"seemory,{server.extension_schema}", "timezone": "UTC"}
    options = [str(given)] if given else []
    options += ["-c " + re.sub(r"([\\\s])", r"\\\1", f"{name}={value}") for name, value in settings.items()]
    return " ".join(options)


def stop_embedded(home: Path) -> bool:
    """Whether the data folder's server was running; it is stopped, whoever was using it."""
    return EmbeddedServer(home).stop()


def embedded_url(home: Path) -> str:
    """The address of the data folder's database, for as long as its server runs."""
    return EmbeddedServer(home).url()


def unbound_url(home: Path) -> str:
    """The address of the data folder's database for a role that sees all owners' rows: for backups alone."""
    return EmbeddedServer(home).url(role="postgres")


def psql_command(database_url: str, *, encrypted: bool = False) -> list[str]:
    """The command line of a `psql` on that database, of one that can encrypt if it must (see `client_program`)."""
    return [client_program("psql", encrypted=encrypted), database_url]
