"""The look-ahead: in order, bounded, and it passes errors on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seemory.lookahead import ahead, batches


@given(st.lists(st.integers()), st.integers(1, 9))
def test_results_come_in_order(things: list[int], window: int) -> None:
    with ThreadPoolExecutor(3) as pool:
        assert list(ahead(pool, lambda n: n * 2, things, window)) == [n * 2 for n in things]


def test_no_more_than_the_window_is_taken_from_the_source() -> None:
    taken = 0

    def source() -> Iterator[int]:
        nonlocal taken
        for n in range(1000):
            taken += 1
            yield n

    with ThreadPoolExecutor(2) as pool:
        results = ahead(pool, lambda n: n, source(), window=5)
        for n in range(10):
            assert next(results) == n
            assert taken <= n + 6


def test_work_goes_on_while_the_caller_is_busy() -> None:
    third = threading.Event()

    def work(n: int) -> int:
        if n == 3:
            third.set()
        return n

    with ThreadPoolExecutor(1) as pool:
        results = ahead(pool, work, range(10), window=4)
        assert next(results) == 0
        assert third.wait(5), "the window was not kept full"


def test_an_error_reaches_the_caller_and_the_rest_is_cancelled() -> None:
    done: list[int] = []

    def work(n: int) -> int:
        if n == 2:
            raise ValueError(n)
        done.append(n)
        return n

    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="2"):
        list(ahead(pool, work, range(1000), window=3))
    assert len(done) < 10


@given(st.lists(st.integers()), st.integers(1, 9))
def test_batches_hold_everything_once(things: list[int], size: int) -> None:
    made = list(batches(things, size))
    assert [n for batch in made for n in batch] == things
    assert all(len(batch) == size for batch in made[:-1])
