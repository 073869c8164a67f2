"""The vectors of the texts that were asked for last, so that a repeated query costs no forward pass."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock

from seemory.types import Vector

QUERIES = 4096
"""How many are remembered: 8 MB of 512 dimensions."""


class QueryCache:
    """A bounded number of texts' vectors; who was not asked for the longest leaves first. For several threads at once.

    Keys are token ids, not texts: they are what the tower sees, so that texts which it cannot tell apart share an
    entry, and they are no longer than its context, however long a text is.
    """

    def __init__(self, most: int = QUERIES) -> None:
        """Empty; with `most` 0 it stays so."""
        self._most = most
        self._lock = Lock()
        self._vectors: OrderedDict[Hashable, Vector] = OrderedDict()

    def __len__(self) -> int:
        return len(self._vectors)

    def get(self, key: Hashable) -> Vector | None:
        """The vector that was put there, read-only; None if there is none any more."""
        with self._lock:
            found = self._vectors.get(key)
            if found is not None:
                self._vectors.move_to_end(key)
            return found

    def put(self, key: Hashable, vector: Vector) -> Vector:
        """Remember a copy of a vector, and give that copy, read-only: whoever gets it later gets the same one."""
        kept = vector.copy()
        kept.flags.writeable = False
        if self._most > 0:
            with self._lock:
                self._vectors[key] = kept
                self._vectors.move_to_end(key)
                while len(self._vectors) > self._most:
                    self._vectors.popitem(last=False)
        return kept
