"""The wall clock goes back, and files come with times from the future and from before 1970."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from seemory.store.connect import open_database

from .conftest import Folder, tell

HOUR = 3600 * 10**9


class Clock:
    """The wall clock of the server and of indexers that are started while this stands."""

    def __init__(self, offset: Path) -> None:
        self._offset = offset
        self.set(0)

    def set(self, ns: int) -> None:
        with self._offset.open("r+b" if self._offset.exists() else "wb") as file:
            file.write(struct.pack("=q", ns))


@pytest.fixture
def clock(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to make a clock with; test_rows_from_a_later_time runs everywhere")
    library = folder.home / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True)
    clock = Clock(folder.home / "offset")
    library.chmod(0o755)
    (folder.home / "offset").chmod(0o644)
    monkeypatch.setenv("LD_PRELOAD", f"{library}:{os.environ.get('LD_PRELOAD', '')}")
    monkeypatch.setenv("CLOCK_OFFSET", str(folder.home / "offset"))
    with open_database(None, home=folder.home):  # so that one server lives under this clock all the time
        yield clock


def test_clock_goes_back_while_indexing(folder: Folder, clock: Clock) -> None:
    """An hour back every fifth of a second, and at last a day ahead: for the server and for the indexer."""
    over = threading.Event()
    steps = 0

    def go_back() -> None:
        nonlocal steps
        while not over.wait(0.2):
            steps += 1
            clock.set(-steps * HOUR)

    turning = threading.Thread(target=go_back)
    turning.start()
    run = folder.follow(folder.start(), 0)
    over.set()
    turning.join()
    assert (run.code, run.said) == (0, "")
    with folder.eye() as eye:
        spans = eye.execute("SELECT max(created_at) - min(created_at) > interval '1 hour' FROM seemory.item").fetchone()
        assert spans == (True,), "the clock was not turned"
        written = eye.execute("SELECT uri FROM seemory.asset ORDER BY ctid").fetchall()
        listed = eye.execute("SELECT uri FROM seemory.asset ORDER BY created_at").fetchall()
        assert written != listed
    assert_steady(folder, len(folder.done))
    clock.set(24 * HOUR)
    assert_steady(folder, len(folder.done))
    clock.set(0)
    folder.assert_whole()
    tell("clock set back an hour each 0.2 s while indexing", steps, "nothing, nothing twice", "nothing")


def assert_steady(folder: Folder, count: int) -> None:
    """Listings and searches are complete and the same each time."""
    with folder.memory() as memory:
        listings = [[item.item_id for item in memory.items(batch=batch)] for batch in (7, 100, 7)]
        assert listings[0] == listings[1] == listings[2]
        assert len(set(listings[0])) == count
        hits = [[hit.item_id for hit in memory.search("a cat", limit=count)] for _ in range(2)]
        assert hits[0] == hits[1]
        assert len(set(hits[0])) == count
        assert memory.index(folder.pictures).indexed == 0


def test_rows_from_a_later_time(folder: Folder) -> None:
    """What a database looks like whose clock was a year ahead when half of it was written, and is right now."""
    files = sorted(folder.pictures.iterdir())
    with folder.memory() as memory:
        memory.index(*files[:30])
        with folder.eye() as eye:
            for table in ("asset", "item", "collection", "generation", "schema_migration"):
                for (column,) in eye.execute(
                    "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attname LIKE '%%\\_at' "
                    "AND NOT attisdropped AND attname NOT IN ('taken_at', 'missing_at')",
                    [f"seemory.{table}"],
                ).fetchall():
                    eye.execute(f"UPDATE seemory.{table} SET {column} = {column} + interval '1 year'")
        memory.index(*files[30:60])
        seen = []
        for n, item in enumerate(memory.items(batch=10)):
            seen.append(item.item_id)
            if n == 35:  # in the middle of the listing come some that sort before what was listed
                memory.index(*files[60:70])
        assert len(seen) == len(set(seen)) >= 60
    assert_steady_after_all(folder)
    tell("rows written by a clock a year ahead", 1, "nothing, nothing twice", "nothing")


def assert_steady_after_all(folder: Folder) -> None:
    with folder.memory() as memory:
        memory.index(folder.pictures)
    assert_steady(folder, sum(1 for _ in folder.pictures.iterdir()))


def test_files_from_the_future_and_from_before_1970(folder: Folder, tmp_path: Path) -> None:
    mine = tmp_path / "pictures"
    mine.mkdir()
    for file in sorted(folder.pictures.iterdir())[:12]:
        shutil.copy(file, mine)
    folder.pictures = mine
    files = sorted(mine.iterdir())
    for n, file in enumerate(files):
        os.utime(file, ns=(0, (n - 6) * 10 * 365 * 24 * HOUR))  # 1910 to 2020, and the last
    os.utime(files[-1], ns=(0, 4_000_000_000 * 10**9))  # the year 2096
    folder.assert_whole()
    # An older file put back over a newer one: its time goes back, its bytes change.
    shutil.copy(files[3], files[8])
    os.utime(files[8], ns=(0, -(10**9)))
    with folder.memory() as memory:
        assert dict(memory.index(mine).counts) == {"unchanged": 11, "copied": 1}
    folder.assert_whole()
    tell("files with times from 1910 to 2096, one put back", 1, "nothing, nothing twice", "nothing")
