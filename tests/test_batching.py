"""Work of many callers done together: gathered while busy, bounded, given up, timed out, and each its own error."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from seemory.batching import Batcher, Passed, Ticket, waiting_with
from seemory.errors import Busy, DiskFull, TookTooLong, UsageError


class Kitchen:
    """Work that is slow on demand, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = threading.Event()
        self.open.set()
        self.begun = threading.Event()

    def __call__(self, things: Sequence[int]) -> list[int]:
        self.batches.append(list(things))
        self.begun.set()
        assert self.open.wait(60)
        if any(thing < 0 for thing in things):
            raise UsageError(f"cannot do {[thing for thing in things if thing < 0]}")
        return [thing * 10 for thing in things]


@pytest.fixture
def kitchen() -> Kitchen:
    return Kitchen()


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_what_comes_while_one_is_busy_makes_up_the_next_batch(kitchen: Kitchen) -> None:
    passed: list[Passed] = []
    batcher = Batcher(kitchen, name="kitchen", most=4, queue=16, listen=passed.append)
    kitchen.open.clear()
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(batcher, 1)
        assert kitchen.begun.wait(60), "an idle worker starts at once"
        rest = [pool.submit(batcher, n) for n in range(2, 8)]
        until(lambda: batcher.waiting == 6)
        kitchen.open.set()
        assert first.result() == 10
        assert [one.result() for one in rest] == [20, 30, 40, 50, 60, 70]
    assert [len(batch) for batch in kitchen.batches] == [1, 4, 2]
    assert [one.size for one in passed] == [1, 4, 2]


def test_one_more_than_may_wait_is_refused_and_whoever_left_makes_room(kitchen: Kitchen) -> None:
    batcher = Batcher(kitchen, name="kitchen", most=4, queue=2)
    kitchen.open.clear()
    ticket = Ticket()

    def impatient() -> int:
        with waiting_with(ticket):
            return batcher(3)

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(batcher, 1)
        assert kitchen.begun.wait(60)
        second, third = pool.submit(batcher, 2), pool.submit(impatient)
        until(lambda: batcher.waiting == 2)
        with pytest.raises(Busy, match="2 wait for the kitchen"):
            batcher(4)
        ticket.cancel()
        with pytest.raises(CancelledError):
            third.result(60)
        fourth = pool.submit(batcher, 4)
        until(lambda: batcher.waiting == 2)
        kitchen.open.set()
        assert [one.result() for one in (first, second, fourth)] == [10, 20, 40]
    assert not any(3 in batch for batch in kitchen.batches), "what nobody waits for is not done"


def test_a_deadline_ends_the_waiting_and_drops_what_has_not_begun(kitchen: Kitchen) -> None:
    batcher = Batcher(kitchen, name="kitchen", most=4, queue=8)
    kitchen.open.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(batcher, 1)
        assert kitchen.begun.wait(60)
        start = time.monotonic()
        with waiting_with(Ticket(0.2)), pytest.raises(TookTooLong):
            batcher(2)
        assert time.monotonic() - start < 5
        with waiting_with(Ticket(0.0)), pytest.raises((TookTooLong, CancelledError)):
            batcher(3)
        kitchen.open.set()
        assert first.result() == 10
        assert batcher(4) == 40
    assert kitchen.batches == [[1], [4]]


def test_an_error_of_one_is_not_its_mates(kitchen: Kitchen) -> None:
    batcher = Batcher(kitchen, name="kitchen", most=8, queue=8)
    kitchen.open.clear()
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(batcher, 1)]
        assert kitchen.begun.wait(60)
        waiting += [pool.submit(batcher, n) for n in (2, -3, 4)]
        until(lambda: batcher.waiting == 3)
        kitchen.open.set()
        assert [waiting[n].result() for n in (0, 1, 3)] == [10, 20, 40]
        with pytest.raises(UsageError, match=r"\[-3\]"):
            waiting[2].result()


def test_an_error_of_all_is_not_asked_for_again() -> None:
    tries: list[int] = []
    go = threading.Event()

    def full(things: Sequence[int]) -> list[int]:
        tries.append(len(things))
        assert go.wait(60)
        raise DiskFull("no room")

    batcher = Batcher(full, name="disk", most=8, queue=8, everyones=(DiskFull,))
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(batcher, 0)]
        until(lambda: tries == [1])
        waiting += [pool.submit(batcher, n) for n in range(4)]
        until(lambda: batcher.waiting == 4)
        go.set()
        for one in waiting:
            with pytest.raises(DiskFull):
                one.result()
    assert tries == [1, 4]


def test_things_of_like_size_share_a_batch_and_the_oldest_goes_first(kitchen: Kitchen) -> None:
    batcher = Batcher(kitchen, name="kitchen", most=8, queue=16, size=float)
    kitchen.open.clear()
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(batcher, 1)]
        assert kitchen.begun.wait(60)
        for place, size in enumerate((10, 100, 12, 120, 11, 8), start=1):
            waiting.append(pool.submit(batcher, size))
            until(lambda place=place: batcher.waiting == place)
        kitchen.open.set()
        assert [one.result() for one in waiting] == [10, 100, 1000, 120, 1200, 110, 80]
    assert kitchen.batches == [[1], [10, 12, 11, 8], [100, 120]]


def test_a_worker_that_ended_is_started_again(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seemory.batching._IDLE_S", 0.05)
    batcher = Batcher(kitchen, name="short-lived", most=4, queue=8)
    for n in range(3):
        assert batcher(n) == n * 10
        until(lambda: not any(thread.name == "short-lived" for thread in threading.enumerate()))


def test_many_threads_each_get_their_own_answer() -> None:
    batcher = Batcher(lambda things: [thing * 2 for thing in things], name="double", most=7, queue=64)
    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(batcher, range(5000))) == [n * 2 for n in range(5000)]
