"""How often each key may ask: so many requests a minute, as many of them at once as it has not used."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from threading import Lock


class Rates:
    """A bucket for each key, which fills evenly; a request takes one from it. Counts in this process alone."""

    def __init__(self, a_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        """All buckets are full. With 0 a minute nothing is counted."""
        self._most = a_minute
        self._clock = clock
        self._lock = Lock()
        self._buckets: dict[Hashable, tuple[float, float]] = {}  # what is in it, and when that was so

    def wait_s(self, key: Hashable) -> float:
        """0.0, and one request is taken; or the seconds until one can be, and none is."""
        if not self._most:
            return 0.0
        a_second = self._most / 60
        with self._lock:
            now = self._clock()
            left, then = self._buckets.get(key, (float(self._most), now))
            left = min(float(self._most), left + (now - then) * a_second)
            allowed = left >= 1.0
            self._buckets[key] = (left - 1.0 if allowed else left, now)
        return 0.0 if allowed else (1.0 - left) / a_second
