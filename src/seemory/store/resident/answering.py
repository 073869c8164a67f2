"""A search by way of a copy: scan, candidates, what Postgres says of them, and whether that is the whole answer."""

from __future__ import annotations

import numpy as np

from seemory.store.choice import LARGEST_EF, Ask, Choice
from seemory.store.connect import Database
from seemory.store.nearest import Found, Observer
from seemory.store.reading import Reading
from seemory.store.resident.confirming import MOST_RECENT, SETTINGS, Confirmed, confirm
from seemory.store.resident.shelf import SHELF, Copy, Key, Shelf
from seemory.store.resident.threads import Threads
from seemory.types import Generation

_SEARCHES = 3
"""So many searches of one program that would have asked the index, before a copy is made."""

_REFRESH_ROWS = 500
"""Rows written since the copy was made that have it brought up to date; each costs a search about a microsecond."""

_SPARE = 2
"""So many more rows are looked up than are wanted: some may be of files that are gone. Each costs two look-ups."""

_MOST_CANDIDATES = 1_000
_FURTHER = 20  # times as many rows are looked at where conditions left too few


class Resident:
    """Answers one owner's searches from copies, and sees to it that there are some."""

    def __init__(self, database: Database, owner: str, limit: int, shelf: Shelf = SHELF) -> None:
        """No copy is made yet; all copies on the shelf together may take `limit` bytes, 0: there are none."""
        self._database = database
        self._owner = owner
        self._limit = 0 if database.distributed else limit
        self._shelf = shelf
        self._searches: dict[str, int] = {}

    def attempt(self, ask: Ask) -> Attempt | None:
        """The search by a copy; None if there is none, or the question is not for it."""
        if not self._limit or not ask.resident or ask.wanted + _SPARE > LARGEST_EF:
            return None
        copy = self._shelf.find(self._key(ask.generation))
        return None if copy is None else Attempt(self, ask, copy, self._shelf.threads)

    def missed(self, ask: Ask, choice: Choice) -> None:
        """Take note of a search that no copy answered: after a few that the index did, one is made."""
        if not self._limit or not ask.resident or choice.owner_rows is None or choice.way == "filter first":
            return
        if choice.way == "all" and choice.estimated_rows is None:
            return  # a few rows, which Postgres compares as fast
        table = ask.generation.table
        self._searches[table] = self._searches.get(table, 0) + 1
        if self._searches[table] >= _SEARCHES:
            self._shelf.make(self._key(ask.generation), self._database, ask.generation, self._limit)

    def heard(self, ask: Ask, confirmed: Confirmed | None, complete: bool) -> None:
        """Take note of what Postgres said of a copy's candidates."""
        key = self._key(ask.generation)
        if confirmed is None:
            return
        if not confirmed.same:
            self._shelf.drop(key, at_once=True)
        elif confirmed.recent >= _REFRESH_ROWS:
            self._shelf.refresh(key, self._database, ask.generation, self._limit)
        elif not complete and not ask.filtered:
            self._shelf.drop(key)  # much of it was deleted

    def close(self) -> None:
        """Put this owner's copies away."""
        self._shelf.close(self._database.url, self._owner)

    def _key(self, generation: Generation) -> Key:
        return Key(self._database.url, self._owner, generation.table)


class Attempt:
    """One search by one copy."""

    def __init__(self, resident: Resident, ask: Ask, copy: Copy, threads: Threads) -> None:
        """Nothing is compared yet."""
        self._resident = resident
        self._ask = ask
        self._copy = copy
        self._threads = threads

    @property
    def choice(self) -> Choice:
        """What `explain` says of it."""
        rows = self._copy.codes.count
        return Choice("resident", f"a copy of the owner's vectors is in this process's memory: {rows:,} rows", rows)

    def nearest(self, reading: Reading, owner: str, observe: Observer | None = None) -> list[Found] | None:
        """The `wanted` nearest, as complete as comparing all; None if the copy cannot tell them.

        The transaction begins while the copy is compared.
        """
        ask = self._ask
        stored = ask.vector.astype(np.float16).astype(np.float32)  # as Postgres is asked
        reading.ahead(SETTINGS)
        scanned = self._copy.codes.scan(stored, self._threads)
        confirmed: Confirmed | None = None
        complete = False
        floor, limit = scanned.highest(ask.wanted + _SPARE) - scanned.error, ask.wanted + _SPARE
        for last in (False, True):
            places = scanned.reaching(floor)
            if len(places) > _MOST_CANDIDATES + 2 * ask.wanted * (_FURTHER if last else 1):
                break  # so many are alike that the copy cannot tell them apart
            confirmed = confirm(reading, owner, ask, self._copy.mark, scanned.ids(places), limit=limit, observe=observe)
            if not confirmed.same or confirmed.recent > MOST_RECENT:
                break
            found = confirmed.found
            # A row that was not named has a cosine below floor + error.
            complete = len(found) >= ask.wanted and found[ask.wanted - 1][1] >= floor + scanned.error
            if complete:
                break
            if len(found) >= ask.wanted:
                floor = found[ask.wanted - 1][1] - scanned.error
            else:
                floor = scanned.highest(_FURTHER * (ask.wanted + _SPARE)) - scanned.error
                limit = len(places) + _MOST_CANDIDATES * _FURTHER
        self._resident.heard(ask, confirmed, complete)
        return confirmed.found[: ask.wanted] if complete and confirmed is not None else None
