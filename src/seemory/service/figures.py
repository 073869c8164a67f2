"""How each owner's share of the collection stands, for the operator's monitoring."""

from __future__ import annotations

import time
from threading import Lock
from typing import Final

from seemory.errors import SeemoryError
from seemory.health import prometheus
from seemory.memory import Memory
from seemory.store.owners import list_owners

_FRESH_S: Final = 60.0
_MOST: Final = 100
"""Owners that are told of. Each costs some counts in the database, and labels without end are no use to a monitor."""


class OwnersFigures:
    """Items, their share with a vector, and what failed, by owner; counted at most once a minute."""

    def __init__(self, memory: Memory) -> None:
        """Nothing is counted yet."""
        self._memory = memory
        self._lock = Lock()
        self._said, self._at = "", -_FRESH_S

    def text(self) -> str:
        """The figures in Prometheus' text format; nothing where the database is away."""
        with self._lock:
            if time.monotonic() - self._at >= _FRESH_S:
                try:
                    owners = list_owners(self._memory.database, self._memory.collection)[:_MOST]
                    self._said = prometheus(*(self._memory.of(owner).stats() for owner in owners))
                except SeemoryError:
                    self._said = ""
                self._at = time.monotonic()
            return self._said
