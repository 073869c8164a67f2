"""The copies of this process: as many as fit into the memory they are given; the one unused longest goes first.

They are made and brought up to date by threads of their own, and no search waits for one. A process has one shelf,
since its memory is one; a copy is found there only by who names its database, owner and table.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psycopg

from seemory.errors import SeemoryError
from seemory.store.connect import Database
from seemory.store.resident import reading
from seemory.store.resident.codes import Codes
from seemory.store.resident.reading import Mark
from seemory.store.resident.threads import Threads
from seemory.store.resident.turning import Axes
from seemory.types import Generation

_ROOM = 1.1  # for rows to come, when a copy is made
_LEAST_ROOM = 1_024
_SAMPLED = 4_000  # rows that tell which way to turn all
_PATIENCE_S = 60.0  # after a copy could not be made, or was of little use, before another is made


@dataclass(frozen=True, slots=True)
class Key:
    """Whose vectors a copy is of."""

    database: str
    owner: str
    table: str


@dataclass(frozen=True, slots=True)
class Copy:
    """An owner's vectors of one generation, as of a mark; it never changes, a newer one takes its place."""

    codes: Codes
    mark: Mark
    at_first: int
    """Rows when it was made. Those that came later replace some of these, which are then of no use."""


class Shelf:
    """Keeps copies."""

    def __init__(self) -> None:
        """No copies yet."""
        self.clear()

    def clear(self) -> None:
        """Begin anew: in a forked child, which has neither its parent's threads nor, perhaps, an open lock."""
        self.threads = Threads()
        self._lock = threading.Lock()
        self._copies: dict[Key, Copy] = {}  # used longest ago first
        self._busy: dict[Key, threading.Thread] = {}
        self._not_before: dict[Key, float] = {}

    def find(self, key: Key) -> Copy | None:
        """The copy, if there is one."""
        with self._lock:
            copy = self._copies.pop(key, None)
            if copy is not None:
                self._copies[key] = copy
            return copy

    def make(self, key: Key, database: Database, generation: Generation, limit: int) -> None:
        """Begin to make a copy of at most `limit` bytes, all copies together; where that was tried just now, do not."""

        def work() -> None:
            copy = _load(database, key.owner, generation, limit)
            with self._lock:
                self._not_before[key] = time.monotonic() + _PATIENCE_S
                if copy is not None:
                    self._copies[key] = copy
                    self._evict(limit)

        self._begin(key, work, patiently=True)

    def refresh(self, key: Key, database: Database, generation: Generation, limit: int) -> None:
        """Begin to bring a copy up to date by what was written since; one that is mostly replaced is made anew."""

        def work() -> None:
            copy = self.find(key)
            if copy is None:
                return
            newer = _extend(database, key.owner, generation, copy)
            with self._lock:
                if self._copies.get(key) is not copy:
                    return  # it was put away meanwhile
                if newer is None or newer.codes.count > 2 * newer.at_first:
                    del self._copies[key]
                else:
                    self._copies[key] = newer
                    self._evict(limit)

        self._begin(key, work, patiently=False)

    def drop(self, key: Key, *, at_once: bool = False) -> None:
        """Put a copy away; another is made when it is wanted, `at_once` or not before some time has gone by."""
        with self._lock:
            self._copies.pop(key, None)
            if at_once:
                self._not_before.pop(key, None)

    def close(self, database: str, owner: str) -> None:
        """Put away all of one owner's copies, and wait for what is being done for them."""
        with self._lock:
            mine = [thread for key, thread in self._busy.items() if (key.database, key.owner) == (database, owner)]
        for thread in mine:
            thread.join()
        with self._lock:
            for kept in (self._copies, self._not_before):
                for key in [key for key in kept if (key.database, key.owner) == (database, owner)]:
                    del kept[key]

    def wait(self) -> None:
        """Wait for all that is being made or brought up to date now."""
        with self._lock:
            threads = list(self._busy.values())
        for thread in threads:
            thread.join()

    @property
    def bytes(self) -> int:
        """The memory that all copies take."""
        with self._lock:
            return sum(copy.codes.bytes for copy in self._copies.values())

    def _begin(self, key: Key, work: Callable[[], None], *, patiently: bool) -> None:
        def run() -> None:
            try:
                # What goes wrong here is no search's business: the next one asks Postgres and meets it there.
                with suppress(SeemoryError, psycopg.Error, MemoryError):
                    work()
            finally:
                with self._lock:
                    self._busy.pop(key, None)

        with self._lock:
            if key in self._busy or (patiently and time.monotonic() < self._not_before.get(key, 0.0)):
                return
            thread = self._busy[key] = threading.Thread(target=run, name="seemory-resident", daemon=True)
            thread.start()

    def _evict(self, limit: int) -> None:
        """Put away what was unused longest until the rest fits; the lock is held."""
        while self._copies and sum(copy.codes.bytes for copy in self._copies.values()) > limit:
            del self._copies[next(iter(self._copies))]


def _load(database: Database, owner: str, generation: Generation, limit: int) -> Copy | None:
    """A copy of this moment; None if there is nothing, or too much, to be copied."""
    most = limit // (generation.dim + 4 + 16)
    with database.transaction(owner) as connection:
        mark = reading.mark(connection, generation)
        rows = reading.count(connection, owner, generation, most + 1)
        if not 0 < rows <= most:
            return None
        sample = reading.sample(connection, owner, generation, _SAMPLED)
        if not len(sample):
            return None
        codes = Codes.empty(Axes.of(sample), min(most, round(rows * _ROOM) + _LEAST_ROOM))
        for ids, vectors in reading.blocks(connection, owner, generation, mark):
            codes = codes.with_rows(ids, vectors)
    return Copy(codes, mark, codes.count) if codes.count else None


def _extend(database: Database, owner: str, generation: Generation, copy: Copy) -> Copy | None:
    """The copy with what was written since; None if it is of another table or server by now."""
    with database.transaction(owner) as connection:
        mark = reading.mark(connection, generation)
        if mark.incarnation != copy.mark.incarnation:
            return None
        if mark.oldest == copy.mark.oldest:
            return copy  # what is new waits for a transaction that is under way since then
        codes = copy.codes
        for ids, vectors in reading.blocks(connection, owner, generation, mark, copy.mark):
            codes = codes.with_rows(ids, vectors)
    return Copy(codes, mark, copy.at_first)


SHELF = Shelf()
"""This process's."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=SHELF.clear)
