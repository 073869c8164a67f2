"""Real processes on data folders of their own, which a test may kill, fill and cut off."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from data_folders import copy_home
from test_kills import cut_many

from seemory.memory import Memory
from seemory.settings import read_settings
from seemory.store.connect import stop_embedded, unbound_url
from seemory.store.embedded.postmaster import read_postmaster

INDEXER = """
import sys
from seemory.errors import SeemoryError
from seemory.memory import Memory
from seemory.settings import read_settings
home, folder, *more = sys.argv[1:]
settings = read_settings(home=home, model="seemory-mini", index={"batch_size": 8}, database_url=(more or [None])[0])
try:
    with Memory(settings) as memory:
        for result in memory.index_each(folder):
            print(result.status, result.uri, flush=True)
except SeemoryError as error:
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
"""


# Of each try to connect: thousands of lines here, and what matters comes as an error.
logging.getLogger("psycopg.pool").setLevel(logging.ERROR)


@dataclass
class Run:
    """One run of an indexer: what it reported, what it said at the end, and how it ended."""

    reported: list[str] = field(default_factory=list)
    said: str = ""
    code: int = 0


@dataclass
class Folder:
    """A data folder with its pictures, and all that was ever reported as finished."""

    home: Path
    pictures: Path
    done: Counter[str] = field(default_factory=Counter)

    def start(self, *more: str) -> subprocess.Popen[str]:
        arguments = [sys.executable, "-c", INDEXER, str(self.home), str(self.pictures), *more]
        return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def follow(self, process: subprocess.Popen[str], after: int, strike: object = None, seconds: float = 120) -> Run:
        """The run's end; `strike` is called once, after so many files were reported as indexed."""
        run = Run()
        assert process.stdout is not None
        for line in process.stdout:
            if not line.endswith("\n"):
                break
            status, uri = line.rstrip("\n").split(" ", 1)
            if status == "indexed":
                run.reported.append(uri)
                self.done[uri] += 1
            if len(run.reported) == after and callable(strike):
                strike()
                strike = None
        _, run.said = process.communicate(timeout=seconds)
        run.code = process.returncode
        return run

    def memory(self) -> Memory:
        return Memory(read_settings(home=self.home), model="seemory-mini")

    def postmaster(self) -> int:
        found = read_postmaster(self.home / "postgres")
        assert found is not None
        return found.pid

    def eye(self) -> psycopg.Connection:
        """All rows of all owners."""
        return psycopg.connect(unbound_url(self.home), autocommit=True)

    def assert_whole(self) -> None:
        """The next run finishes what was begun: nothing reported was lost or done again, nothing is there twice."""
        assert max(self.done.values(), default=1) == 1, "a file reported as finished was embedded again"
        count = sum(1 for _ in self.pictures.iterdir())
        with self.memory() as memory:
            last = memory.index(self.pictures)
            assert (last.found, last.failed) == (count, 0)
            assert last.counts["unchanged"] >= len(self.done), "what was reported as finished was lost"
            stats = memory.stats()
            assert (stats["assets"], stats["items"], stats["embedded"], stats["failed"]) == (count, count, count, 0)
            assert len({item.uri for item in memory.items()}) == count
            assert dict(memory.index(self.pictures).counts) == {"unchanged": count}
            with self.eye() as eye:
                assert orphans(eye, str(stats["generation"])) == (0, 0, 0)


def orphans(eye: psycopg.Connection, table: str) -> tuple[int, int, int]:
    """(vectors without an item, items without a file, files named twice), of all owners."""
    row = eye.execute(
        f"SELECT (SELECT count(*) FROM seemory.{table} v WHERE NOT EXISTS (SELECT FROM seemory.item i "
        "WHERE (i.owner_id, i.id) = (v.owner_id, v.item_id))), "
        "(SELECT count(*) FROM seemory.item i WHERE NOT EXISTS (SELECT FROM seemory.asset a "
        "WHERE (a.owner_id, a.id) = (i.owner_id, i.asset_id))), "
        "(SELECT count(*) - count(DISTINCT (owner_id, collection_id, uri)) FROM seemory.asset)"
    ).fetchone()
    assert row is not None
    return row


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def tell(fault: str, times: int, lost: str, user_sees: str) -> None:
    """A row of the table in docs/faults.md."""
    print(f"| {fault} | {times} | {lost} | {user_sees} |")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory, package_photographs: dict[str, Path]) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    cut_many(package_photographs, folder, 400)
    return folder


@pytest.fixture
def folder(untouched: Path, pictures: Path, tmp_path: Path) -> Iterator[Folder]:
    home = copy_home(untouched, tmp_path / "home")
    yield Folder(home, pictures)
    stop_embedded(home)


def until(condition: object, seconds: float = 60) -> None:
    """Wait for it."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


__all__ = ["INDEXER", "Folder", "Run", "json", "kill", "orphans", "tell", "until"]
