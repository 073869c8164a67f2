"""kill -9 of the postmaster, of one backend, and of both sides at once, while one indexes and another searches."""

from __future__ import annotations

import random
import subprocess
import threading

import pytest

from seemory.errors import DatabaseUnreachable

from .conftest import Folder, kill, tell

TIMES = 5


def backends(folder: Folder) -> list[int]:
    with folder.eye() as eye:
        rows = eye.execute("SELECT pid FROM pg_stat_activity WHERE usename = 'seemory' AND pid <> pg_backend_pid()")
        return [pid for (pid,) in rows]


class Searcher(threading.Thread):
    """Searches all the time, in this process, through one memory that was opened before any fault."""

    def __init__(self, folder: Folder) -> None:
        super().__init__(daemon=True)
        self.memory = folder.memory()
        self.stop = threading.Event()
        self.answers = 0
        self.refusals: list[DatabaseUnreachable] = []
        self.wrong: list[BaseException] = []

    def run(self) -> None:
        while not self.stop.wait(0.01):
            try:
                hits = self.memory.search("a cat", limit=5)
                assert len(hits) == 5
                assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]
                self.answers += 1
            except DatabaseUnreachable as error:
                self.refusals.append(error)
            except BaseException as error:
                self.wrong.append(error)


@pytest.mark.parametrize("victim", ["postmaster", "backend", "both"])
def test_killed_while_indexing_and_searching(folder: Folder, victim: str) -> None:
    chance = random.Random(victim)
    with folder.memory() as memory:  # something to search in, from the start
        memory.index(*sorted(folder.pictures.iterdir())[:10])
        # One who stays: with the last user gone the server would stop in good order, and that is no fault.
        searcher = Searcher(folder)
        searcher.start()
        for _ in range(TIMES):
            indexer = folder.start()

            def strike(indexer: subprocess.Popen[str] = indexer) -> None:
                if victim == "both":
                    kill(indexer.pid)
                if victim == "backend":
                    kill(chance.choice(backends(folder)))
                else:
                    kill(folder.postmaster())

            run = folder.follow(indexer, chance.randint(1, 40), strike)
            assert "Traceback" not in run.said
            if victim == "both":
                assert run.code == -9
            elif run.code:  # its last batches may have been through, or another's backend was hit
                assert run.code == 3, run.said
                assert "\nDatabaseUnreachable: " in f"\n{run.said}"
            asked = searcher.answers
            while searcher.answers == asked and not searcher.wrong:  # it finds the server again, without being told
                assert searcher.is_alive()
                searcher.stop.wait(0.05)
        searcher.stop.set()
        searcher.join(60)
        assert searcher.wrong == []
        assert not searcher.is_alive()
        searcher.memory.close()
        folder.assert_whole()
    refused = len(searcher.refusals)
    tell(
        f"kill -9 of {victim}, indexing and searching",
        TIMES,
        "nothing",
        f"indexer: exit 3; searcher: {refused} refused, {searcher.answers} answered",
    )
