"""Files of one run that have the same bytes: one goes through the model, the others wait until its vector is stored.

What is stored is found by its hash; what is between the hash and the store (some hundred files, in three threads) is
remembered here. Hashes leave again when they are written, so a run of a million files holds a few hundred of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class UnderWay(Generic[T]):
    """Hashes of the bytes that are being embedded, and the files that wait for them.

    One thread lets files in, any other says that they are written.
    """

    def __init__(self) -> None:
        self._hashes: set[bytes] = set()
        self.waiting: list[T] = []
        """Files whose bytes were under way when they came by, in their order."""

    def among(self, hashes: Iterable[bytes]) -> set[bytes]:
        """Those that are under way. To be asked before the store is: what left in between, the store then knows."""
        return {one for one in hashes if one in self._hashes}

    def begin(self, one: bytes) -> None:
        """These bytes go through the model now."""
        self._hashes.add(one)

    def written(self, hashes: Collection[bytes]) -> None:
        """The store knows of these what can be known."""
        self._hashes.difference_update(hashes)
