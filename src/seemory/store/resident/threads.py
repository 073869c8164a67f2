"""A scan in as many parts as pay, side by side: the comparing itself holds no lock of Python's."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_LEAST_SHARE = 8_000  # rows for which another thread pays


class Threads:
    """The threads of this process's scans."""

    def __init__(self, most: int | None = None) -> None:
        """`most` threads, by default a core each and at most four: beyond that memory is what a scan waits for."""
        self._most = most or min(4, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(max(1, self._most - 1), thread_name_prefix="seemory-scan")

    def over(self, part: Callable[[slice], object], rows: int) -> None:
        """Have `part` done for all rows, share by share."""
        shares = max(1, min(self._most, rows // _LEAST_SHARE))
        borders = [rows * n // shares for n in range(shares + 1)]
        first, *others = [slice(a, b) for a, b in itertools.pairwise(borders)]
        waiting = [self._pool.submit(part, share) for share in others]
        part(first)
        for future in waiting:
            future.result()
