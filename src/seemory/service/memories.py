"""A memory for each owner who asks; those who asked longest ago are let go."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock, Thread
from typing import Final

from seemory.memory import Memory

_MOST: Final = 256


class Memories:
    """Views of one collection by its owners, over the connections and encoders of one memory."""

    def __init__(self, first: Memory, most: int = _MOST) -> None:
        """Whoever made the first memory closes it."""
        self.first = first
        self._most = most
        self._lock = Lock()
        self._others: OrderedDict[str, Memory] = OrderedDict()

    def of(self, owner: str) -> Memory:
        """The memory as that owner sees it."""
        if owner == self.first.owner:
            return self.first
        with self._lock:
            found = self._others.pop(owner, None) or self.first.of(owner)
            self._others[owner] = found
            gone = self._others.popitem(last=False)[1] if len(self._others) > self._most else None
        if gone is not None:  # it may wait for a copy of vectors that is being made
            Thread(target=gone.close, name="let-go", daemon=True).start()
        return found
