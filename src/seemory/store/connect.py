"""Connections to the embedded server or any Postgres with pgvector, as a role that row-level security binds."""

from __future__ import annotations

import atexit
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg
from psycopg.adapt import AdaptersMap
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Literal
from psycopg_pool import ConnectionPool, PoolTimeout

from seemory.errors import DatabaseBusy, DatabaseUnreachable, DiskFull, GenerationsChanged, StoreError, UsageError
from seemory.store.address import checked, explained, shown
from seemory.store.distribution import distribute, is_distributed
from seemory.store.embedded.programs import client_program
from seemory.store.embedded.server import EmbeddedServer
from seemory.store.halfvec import halfvec_adapters
from seemory.store.migrate import migrate, pending
from seemory.store.reading import InTransaction, Reading, pipelined, readable
from seemory.store.server import Server, inspect, require
from seemory.store.texts import clean

Connection = psycopg.Connection[Any]

# Said anew at the start of each transaction, in one round trip, and forgotten at its end. Nothing is left to what a
# connection was used for before (somebody's SET on a pooled one would otherwise be the next one's owner), nor to what a
# pooler on the way has made of the settings that it started with.
_BEGIN = """
SELECT set_config('seemory.owner', %s, true), set_config('seemory.operator', '', true),
       set_config('role', %s, true), set_config('row_security', 'on', true)"""

# Citus tells its workers of SET LOCAL, and of nothing that a function sets.
_BEGIN_ON_WORKERS = "SET LOCAL seemory.operator TO ''; SET LOCAL seemory.owner TO {}"


_IDLE_S = 30.0
"""A connection that was not needed for so long is given up. The pool hands them out in turn, and two that are in turn
the only one in use find the processor's caches cold: a search takes a sixth longer."""


@dataclass(frozen=True, slots=True)
class PoolSize:
    """How many connections are held at most, and how long one waits for one of them."""

    most: int = 8
    wait_s: float = 30.0


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
        distributed: bool,
        on_close: Callable[[], None],
        revive: Callable[[], None],
        pool: PoolSize = PoolSize(),
    ) -> None:
        self.url = url
        self.conninfo = conninfo
        """How its connections are made: the URL, and the role and settings they start with."""
        self.encrypted = encrypted
        """Whether they speak TLS."""
        self.role = role
        """The role that all statements run as, which row-level security binds."""
        self.distributed = distributed
        """Whether the tables lie on a cluster."""
        self._on_close = on_close
        self._revive = revive
        self._process = os.getpid()
        self._size = pool
        self._closed = False
        self._pool = ConnectionPool(
            conninfo,
            kwargs={"context": _Adapting(adapters)},
            min_size=1,
            max_size=pool.most,
            timeout=pool.wait_s,
            max_idle=_IDLE_S,
            reconnect_timeout=20.0,
            open=False,
            check=self._check,
        )
        atexit.register(self.close)

    @contextmanager
    def transaction(self, owner: str | None) -> Iterator[Connection]:
        """A connection in a transaction that sees the rows of `owner` and no others (None: no owner's rows at all).

        Raises:
            UsageError: the owner's name is empty or cannot be stored.
            DatabaseUnreachable: no connection could be had, or it broke.
            DatabaseBusy: all connections were in use for too long.
            DiskFull: the server has no room left.
            GenerationsChanged: a generation's table was dropped.
            StoreError: Postgres refused a statement, or the role.
        """
        with self._connection(owner) as connection:
            connection.execute(_BEGIN, [owner or "", self.role])
            if self.distributed:
                connection.execute(SQL(_BEGIN_ON_WORKERS).format(Literal(owner or "")))
            yield connection

    @contextmanager
    def reading(self, owner: str | None) -> Iterator[Reading]:
        """The same for statements that read alone, each in a transaction of its own and in one way there and back.

        On a cluster, whose workers hear of BEGIN, they are one transaction, and each is a way of its own.

        Raises as `transaction` does.
        """
        if self.distributed:
            with self.transaction(owner) as connection:
                yield InTransaction(connection)
        else:
            with (
                self._connection(owner) as connection,
                pipelined(connection, _BEGIN, [owner or "", self.role]) as reading,
            ):
                yield reading

    @contextmanager
    def _connection(self, owner: str | None) -> Iterator[Connection]:
        """One of the pool's, and errors in our words."""
        if owner is not None and (not owner or clean(owner) != owner):
            raise UsageError(f"{owner!r} is no name for an owner: use any text, but not an empty one")
        if self._closed:
            raise DatabaseUnreachable("this database was closed")
        connection: Connection | None = None
        try:
            self._pool.open()
            with self._pool.connection() as connection:
                yield connection
        except PoolTimeout as error:
            reason = self._reason()
            if reason is None:  # the server lets one in: it is ours that are all taken
                raise DatabaseBusy(
                    f"all {self._size.most} connections to {shown(self.url)} were in use for {self._size.wait_s:g} s: "
                    f"try again when less is asked at once, or allow more (database.connections)"
                ) from error
            raise self._lost("no connection to", reason) from error
        except psycopg.errors.DiskFull as error:
            raise DiskFull(
                f"the disk of the database {shown(self.url)} is full: make room and run again; what was committed is "
                f"kept ({error})"
            ) from error
        except psycopg.OperationalError as error:
            if connection is None or connection.closed:
                raise self._lost("a connection broke:", error) from error
            raise StoreError(f"Postgres failed: {error}") from error
        except psycopg.errors.UndefinedTable as error:  # only tables of generations ever go away
            raise GenerationsChanged(f"a table of vectors was dropped meanwhile: {error}") from error
        except psycopg.Error as error:
            raise StoreError(f"Postgres refused: {error}") from error

    def _check(self, connection: Connection) -> None:
        """Notice a dead pooled connection without a round trip: an idle socket has something to read only then."""
        if readable(connection.fileno(), 0):
            try:
                ConnectionPool.check_connection(connection)
            except psycopg.Error:
                with suppress(StoreError):  # the pool goes on to ask for another, and says so if it gets none
                    self._revive()
                # Those beside it died with it, most likely. The pool waits after each dead one that it hands out, and
                # twice as long each time: with eight, longer than anybody waits.
                self._pool.check()
                raise

    def _reason(self) -> psycopg.OperationalError | None:
        """Why the pool has no connection to give, which it keeps to itself; None if there is one to be had by now."""
        try:
            psycopg.connect(self.conninfo, connect_timeout=5).close()
        except psycopg.OperationalError as error:
            return error
        return None

    def _lost(self, what: str, error: Exception) -> StoreError:
        """What to say of it. An embedded server that was killed is started again: for others, and for another try."""
        said = f"{what} {explained(self.url, error)}"
        try:
            self._revive()
        except StoreError as worse:
            return type(worse)(f"{said}. {worse}")
        return DatabaseUnreachable(said)

    def session(self, owner: str) -> str:
        """How somebody else's program connects for one owner: bound like ours, with the owner set from the start."""
        options = conninfo_to_dict(self.conninfo).get("options")
        return make_conninfo(self.conninfo, options=f"{options} {_option('seemory.owner', owner)}")

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


def open_database(url: str | None, *, home: Path, keep_warm: bool = False, pool: PoolSize = PoolSize()) -> Database:
    """The database at `url`, or the embedded one in `home` if that is None, with its schema up to date.

    Args:
        url: `postgresql://…`, any PostgreSQL >= 15 with pgvector >= 0.8; None: the embedded server, started if need be.
        home: the data folder.
        keep_warm: leave the embedded server running when its last user leaves.
        pool: how many connections, and how long to wait for one.

    Raises:
        DatabaseUnreachable: there is no server, or it lets nobody in.
        StoreError: the server is too old, or has no pgvector, or the role may not do what is needed.
        MigrationFailed: the schema is newer than this code, or could not be brought up to date.
    """
    if url is not None:
        return _connect(url, on_close=lambda: None, revive=lambda: None, pool=pool)
    server = EmbeddedServer(home)
    server.enter()
    try:
        return _connect(
            server.url(), on_close=lambda: server.leave(keep_warm=keep_warm), revive=server.revive, pool=pool
        )
    except BaseException:
        server.leave(keep_warm=keep_warm)
        raise


def _connect(url: str, *, on_close: Callable[[], None], revive: Callable[[], None], pool: PoolSize) -> Database:
    try:
        given = conninfo_to_dict(checked(url))
        with psycopg.connect(url, connect_timeout=10, autocommit=True) as connection:
            server = require(inspect(connection), connection)
            encrypted = connection.pgconn.ssl_in_use
            conninfo = make_conninfo("", **(given | {"options": _options(given.get("options"), server)}))
            if server.applied is None or pending(server.applied):
                with psycopg.connect(conninfo, connect_timeout=10, autocommit=True) as worker:
                    migrate(worker)
                    if server.citus and is_distributed(worker):
                        distribute(worker)  # the tables that the migration brought
            distributed = server.citus and is_distributed(connection)
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
        distributed=distributed,
        on_close=on_close,
        revive=revive,
        pool=pool,
    )


def _options(given: object, server: Server) -> str:
    """What each connection sets when it starts: nothing that costs a round trip later."""
    settings = {"role": server.works_as, "search_path": f"seemory,{server.extension_schema}", "timezone": "UTC"}
    if server.citus:  # row-level security on the workers hangs on a setting of the transaction
        settings["citus.propagate_set_commands"] = "local"
    options = [str(given)] if given else []
    options += [_option(name, value) for name, value in settings.items()]
    return " ".join(options)


def _option(name: str, value: str) -> str:
    """A setting among a connection's options, which are split at white space."""
    return "-c " + re.sub(r"([\\\s])", r"\\\1", f"{name}={value}")


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
