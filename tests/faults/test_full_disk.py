"""The disk under the data folder is full: before the start, in the middle of a run, at the first run of all."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from data_folders import copy_home

from seemory.store.connect import stop_embedded

from .conftest import Folder, tell

TIMES = 3


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (17 << 20, resource.RLIM_INFINITY))
from pathlib import Path
from seemory.store.connect import open_database
with open_database(None, home=Path(sys.argv[1])) as database, database.transaction("anna") as connection:
    connection.execute("CREATE TABLE seemory.big AS SELECT repeat(md5(n::text), 60) FROM generate_series(1, 30000) n")
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 160 MB in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=160M,mode=0755", "seemory-test", str(place)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no right to mount a file system here; test_limit_of_file_sizes runs everywhere")
    yield place
    stop_embedded(place / "home")
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path, leave: int = 0) -> None:
    """A file that takes all room but `leave` bytes; what runs there may take some at the same time."""
    with (place / "ballast").open("wb") as file:
        taken, piece = 0, 1 << 24
        while piece >= 4096:
            try:
                os.posix_fallocate(file.fileno(), taken, piece)
                taken += piece
            except OSError:
                piece //= 2
        file.truncate(max(0, taken - leave))


def test_full_in_the_middle_of_a_run(untouched: Path, pictures: Path, small_disk: Path) -> None:
    folder = Folder(copy_home(untouched, small_disk / "home"), pictures)
    died = 0
    for n in range(TIMES):
        run = folder.follow(folder.start(), 8 * (n + 1), lambda n=n: fill(small_disk, leave=n * 200_000))
        assert run.code == 3, run.said
        assert "Traceback" not in run.said
        assert "DiskFull: " in run.said, run.said
        assert "make room" in run.said
        died += "a connection broke" in run.said
        # As long as there is no room nothing can be done, and that is said at once.
        again = folder.follow(folder.start(), 0)
        assert again.code == 3
        assert "DiskFull: " in again.said, again.said
        assert "Traceback" not in again.said
        (small_disk / "ballast").unlink()
    folder.assert_whole()
    how = f"{died} times with the server gone (no room for its log), {TIMES - died} times with it alive"
    tell("disk full while indexing", TIMES, "nothing", f"exit 3, DiskFull: make room and run again; {how}")


def test_full_before_the_first_start(pictures: Path, small_disk: Path) -> None:
    for leave in (0, 1_000_000, 10_000_000):
        fill(small_disk, leave)
        folder = Folder(small_disk / "home", pictures)
        run = folder.follow(folder.start(), 0)
        assert run.code == 3, run.said
        assert "DiskFull: " in run.said, run.said
        assert "Traceback" not in run.said
        (small_disk / "ballast").unlink()
    folder.assert_whole()
    tell("disk full when the data folder is made", 3, "nothing", "exit 3, DiskFull")


def test_limit_of_file_sizes(folder: Folder) -> None:
    """The same by another limit, which needs no right to mount: no file may grow beyond 17 MB, tables neither."""
    with folder.memory() as memory:
        memory.index(*sorted(folder.pictures.iterdir())[:8])
    run = subprocess.run([sys.executable, "-c", LIMITED, str(folder.home)], capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert "File too large" in run.stderr, run.stderr
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    folder.assert_whole()
    tell("a file of Postgres's may not grow", 1, "nothing", "StoreError: Postgres refused: … File too large")
