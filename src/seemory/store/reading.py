"""A transaction for reading, in one way there and back: who asks, settings, statement and end are sent together.

libpq's pipeline mode (PostgreSQL documentation, 34.5), without a BEGIN: what is sent up to a sync is one transaction
for the server. psycopg's own pipelines do the same, but cost a third of a millisecond more a search, half of it a
second wait at the end.
"""

from __future__ import annotations

import hashlib
import re
import select
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import DuplicatePreparedStatement, InvalidSqlStatementName
from psycopg.pq import ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGresult
from psycopg.sql import Composable

Row = tuple[Any, ...]
Values = Sequence[Any] | Mapping[str, Any] | None
"""None: the statement is sent as it is, and %s in it stands for itself."""
Statement = Composable | str

_MOST_PREPARED = 100  # statements of one connection: those with filters are of many kinds
_PLACEHOLDER = re.compile(r"%(?:(%)|s|\((\w+)\)s)")
_Key = tuple[bytes, tuple[int, ...]]
"""A statement and the types of its parameters."""


class Reading(Protocol):
    """Statements of one owner's that change nothing. Each `rows` or `each` is a transaction of its own."""

    def ahead(self, statement: Statement, values: Values = None) -> None:
        """Have every transaction begin with this; the first is sent now, and runs while its statement is made."""

    def rows(self, statement: Statement, values: Values = None) -> list[Row]:
        """All rows of a statement."""

    def each(self, *asked: tuple[Statement, Values]) -> list[list[Row]]:
        """All rows of each statement, in one transaction."""


class InTransaction:
    """Reading within a transaction that is open anyway: on a cluster, whose workers must hear of it, and to explain."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def ahead(self, statement: Statement, values: Values = None) -> None:
        """It stands for what is left of the transaction."""
        self._connection.execute(statement, values)  # type: ignore[arg-type]

    def rows(self, statement: Statement, values: Values = None) -> list[Row]:
        """See `Reading`."""
        with self._connection.cursor(binary=True) as cursor:
            return cursor.execute(statement, values).fetchall()  # type: ignore[arg-type]

    def each(self, *asked: tuple[Statement, Values]) -> list[list[Row]]:
        """See `Reading`."""
        return [self.rows(statement, values) for statement, values in asked]


@contextmanager
def pipelined(connection: psycopg.Connection[Any], statement: str, values: Sequence[Any]) -> Iterator[Pipelined]:
    """Reading on a connection that is in no transaction; each of its own begins with the statement."""
    connection.pgconn.enter_pipeline_mode()
    reading = Pipelined(connection, (statement, values))
    try:
        yield reading
    finally:
        with suppress(psycopg.Error):
            reading.finish()
        if connection.pgconn.transaction_status == TransactionStatus.IDLE:
            connection.pgconn.exit_pipeline_mode()
        else:  # it broke on the way, or somebody interrupted it: for nobody else
            with suppress(psycopg.Error):
                connection.cancel()
            connection.close()


@dataclass(frozen=True, slots=True)
class _Sent:
    """What a result is of: a statement that was prepared or is asked, or neither."""

    key: _Key | None
    asks: bool


class Pipelined:
    """Reading by a pipeline."""

    def __init__(self, connection: psycopg.Connection[Any], first: tuple[Statement, Values]) -> None:
        """The connection's pipeline mode is on, and nothing was sent; each transaction is to begin with `first`."""
        self._connection = connection
        self._pgconn = connection.pgconn
        self._prepared = _PREPARED.setdefault(connection, OrderedDict())
        self._first: list[tuple[Statement, Values]] = [first]
        self._sent: list[_Sent] = []

    def ahead(self, statement: Statement, values: Values = None) -> None:
        """See `Reading`."""
        first = (statement, values)
        for one in [first] if self._sent else [*self._first, first]:
            self._send(*one)
        self._first.append(first)
        self._pgconn.send_flush_request()
        self._pgconn.flush()

    def rows(self, statement: Statement, values: Values = None) -> list[Row]:
        """See `Reading`."""
        return self.each((statement, values))[0]

    def each(self, *asked: tuple[Statement, Values]) -> list[list[Row]]:
        """See `Reading`.

        Raises:
            psycopg.Error: Postgres refused one of them, or the connection broke.
        """
        for _ in range(2 * (len(self._first) + len(asked))):
            # A pooler may give us another's connection; each refusal tells what that has.
            with suppress(InvalidSqlStatementName, DuplicatePreparedStatement):
                return self._each(asked)
        return self._each(asked)

    def finish(self) -> list[PGresult]:
        """End the transaction that was begun, if one was: what its statements gave.

        Raises:
            psycopg.Error: Postgres refused one of them, or the connection broke.
        """
        sent, self._sent = self._sent, []
        if not sent:
            return []
        self._pgconn.pipeline_sync()
        while self._pgconn.flush():  # more than the socket takes at once
            readable(self._pgconn.socket, 0.001)
            self._pgconn.consume_input()
        results, refused = [], None
        for one in sent:
            result = self._next()
            if result.status == ExecStatus.TUPLES_OK:
                results.append(result)
            elif result.status != ExecStatus.COMMAND_OK:
                error = _error(result)
                refused = refused or error
                gone = isinstance(error, InvalidSqlStatementName)
                if one.key and (gone if one.asks else not isinstance(error, DuplicatePreparedStatement)):
                    self._prepared.pop(one.key, None)
        while self._next().status != ExecStatus.PIPELINE_SYNC:
            pass
        if refused is not None:
            raise refused
        return results

    def _each(self, asked: Sequence[tuple[Statement, Values]]) -> list[list[Row]]:
        for statement, values in [*([] if self._sent else self._first), *asked]:
            self._send(statement, values)
        transformer = Transformer(self._connection)
        answers: list[list[Row]] = []
        for result in self.finish()[-len(asked) :]:
            transformer.set_pgresult(result)
            answers.append(transformer.load_rows(0, result.ntuples, tuple))
        return answers

    def _next(self) -> PGresult:
        while True:
            while self._pgconn.is_busy():
                readable(self._pgconn.socket)
                self._pgconn.consume_input()
            if (result := self._pgconn.get_result()) is not None:  # None ends one statement's results
                return result

    def _send(self, statement: Statement, values: Values) -> None:
        """Send a statement, and before it what prepares it, if that was not done."""
        plain = statement if isinstance(statement, str) else statement.as_string(self._connection)
        text, order = _numbered(plain) if values is not None else (plain.encode(), ())
        given = [values[name] for name in order] if isinstance(values, Mapping) else values or ()
        transformer = Transformer(self._connection)
        parameters = transformer.dump_sequence(given, [PyFormat.AUTO] * len(given))
        key = text, tuple(transformer.types or ())
        name = self._prepared.get(key) or self._prepare(key)
        self._prepared.move_to_end(key)
        self._pgconn.send_query_prepared(name, parameters, transformer.formats, result_format=Format.BINARY)
        self._sent.append(_Sent(key, asks=True))

    def _prepare(self, key: _Key) -> bytes:
        # The name says what it stands for: behind a pooler, another's statement of that name is the same one.
        name = self._prepared[key] = b"seemory_" + hashlib.sha256(repr(key).encode()).hexdigest()[:32].encode()
        self._pgconn.send_prepare(name, *key)
        self._sent.append(_Sent(key, asks=False))
        if len(self._prepared) > _MOST_PREPARED:
            _, oldest = self._prepared.popitem(last=False)
            self._pgconn.send_query_params(b"DEALLOCATE " + oldest, None)
            self._sent.append(_Sent(None, asks=False))
        return name


def _error(result: PGresult) -> psycopg.Error:
    if result.status == ExecStatus.PIPELINE_ABORTED:
        return psycopg.errors.PipelineAborted("a statement before it was refused")
    return psycopg.errors.error_from_result(result)


_PREPARED: WeakKeyDictionary[psycopg.Connection[Any], OrderedDict[_Key, bytes]] = WeakKeyDictionary()
"""What each connection has prepared: the names, those used last at the end."""


@lru_cache(maxsize=512)
def _numbered(statement: str) -> tuple[bytes, tuple[str, ...]]:
    """The statement as Postgres takes it, and the parameters' names in their order, if they have any."""
    names: list[str] = []
    count = 0

    def number(found: re.Match[str]) -> str:
        nonlocal count
        if found[1]:
            return "%"
        if found[2] is None:
            count += 1
            return f"${count}"
        if found[2] not in names:
            names.append(found[2])
        return f"${names.index(found[2]) + 1}"

    return _PLACEHOLDER.sub(number, statement).encode(), tuple(names)


def readable(socket: int, timeout_s: float | None = None) -> bool:
    """Whether there is something to read, by then at the latest."""
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([socket], [], [], timeout_s)[0])
    poll = select.poll()  # select.select takes no number beyond 1,023
    poll.register(socket, select.POLLIN)
    return bool(poll.poll(None if timeout_s is None else timeout_s * 1000))
