"""A bounded look-ahead: work done ahead in threads, taken in order, with memory that stays bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future
from itertools import islice
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def ahead(pool: Executor, work: Callable[[A], B], things: Iterable[A], window: int) -> Generator[B, None, None]:
    """`work(thing)` for each thing, in order; up to `window` of them are under way while the caller is busy."""
    waiting: deque[Future[B]] = deque()
    source = iter(things)
    try:
        for thing in islice(source, window):
            waiting.append(pool.submit(work, thing))
        while waiting:
            result = waiting.popleft().result()
            for thing in islice(source, 1):
                waiting.append(pool.submit(work, thing))
            yield result
    finally:
        for future in waiting:
            future.cancel()


def batches(things: Iterable[A], size: int) -> Iterator[list[A]]:
    """Lists of `size` things, the last one shorter."""
    source = iter(things)
    while batch := list(islice(source, size)):
        yield batch
