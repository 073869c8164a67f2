"""Advisors' reports that were asked for on the page: kept for as long as somebody may read them."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from threading import Lock
from typing import Final

_MOST: Final = 32


class Reports:
    """The latest reports, each for the owner who asked and under a name that cannot be guessed."""

    def __init__(self) -> None:
        """There is none yet."""
        self._lock = Lock()
        self._kept: OrderedDict[str, tuple[str, bytes]] = OrderedDict()

    def keep(self, owner: str, page: str) -> str:
        """The report's name; the oldest of too many is let go."""
        name = secrets.token_urlsafe(18)
        with self._lock:
            self._kept[name] = (owner, page.encode())
            while len(self._kept) > _MOST:
                self._kept.popitem(last=False)
        return name

    def find(self, owner: str, name: str) -> bytes | None:
        """The report, if it is that owner's and is still kept."""
        with self._lock:
            whose, page = self._kept.get(name, (None, b""))
        return page if whose == owner else None
