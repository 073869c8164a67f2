"""Several indexers on one folder, 64 searchers at a time, and a server whose connections are all taken."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from seemory.errors import DatabaseUnreachable
from seemory.store.connect import embedded_url, open_database

from .conftest import Folder, tell

SEEMORY = str(Path(sys.executable).with_name("seemory"))

SEARCHER = """
import sys, threading
from seemory.memory import Memory
from seemory.settings import read_settings
wrong, done = [], []
with Memory(read_settings(home=sys.argv[1]), model="seemory-mini") as memory:
    expected = {words: [hit.item_id for hit in memory.search(words, limit=20)] for words in ("a cat", "a rocket")}
    print("ready", flush=True)
    sys.stdin.readline()
    def ask():
        for _ in range(5):
            for words, ids in expected.items():
                try:
                    if [hit.item_id for hit in memory.search(words, limit=20)] != ids:
                        wrong.append(words)
                except Exception as error:
                    wrong.append(f"{type(error).__name__}: {error}")
                done.append(words)
    threads = [threading.Thread(target=ask) for _ in range(int(sys.argv[2]))]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
print(len(done), wrong, [str(ids[0]) for ids in expected.values()], flush=True)
"""


@pytest.mark.parametrize("count", [2, 4])
def test_indexers_of_one_folder_at_once(folder: Folder, count: int, tmp_path: Path) -> None:
    """New files, copies of them, and files that were renamed and marked as gone since, all at once."""
    mine = tmp_path / "pictures"
    subprocess.run(["cp", "-a", str(folder.pictures), str(mine)], check=True)
    files = sorted(mine.iterdir())
    with folder.memory() as memory:
        memory.index(*files[:60])
        for n in range(0, 60, 3):
            files[n].rename(mine / f"renamed-{n}.jpg")
        memory.index(mine / files[1].name, prune=True)
    for n in range(100, 160):
        (mine / f"copy-{n}.jpg").write_bytes(files[n].read_bytes())
    folder.pictures = mine
    runs = [folder.start() for _ in range(count)]
    followed = [None] * count

    def follow(n: int) -> None:
        followed[n] = folder.follow(runs[n], 0)  # type: ignore[call-overload]

    threads = [threading.Thread(target=follow, args=[n]) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    assert [(run.code, run.said) for run in followed if run] == [(0, "")] * count
    both = sum(times - 1 for times in folder.done.values())
    folder.done.clear()  # two may have embedded the same file at the same moment; it is there once
    folder.assert_whole()
    tell(f"{count} indexers on one folder", 1, "nothing, nothing twice", f"all exit 0; {both} files embedded by two")


def test_64_searchers_in_one_memory(folder: Folder) -> None:
    with folder.memory() as memory, ExitStack() as opened:
        memory.index(*sorted(folder.pictures.iterdir())[:50])
        eye = opened.enter_context(folder.eye())
        words = ["a cat", "a rocket", "flowers", "a temple"]
        expected = {word: [hit.item_id for hit in memory.search(word, limit=50)] for word in words}
        wrong: list[object] = []
        answered: list[str] = []

        def ask(n: int) -> None:
            for word in words[n % 4 :] + words[: n % 4]:
                try:
                    if [hit.item_id for hit in memory.search(word, limit=50)] != expected[word]:
                        wrong.append(word)
                    answered.append(word)
                except Exception as error:
                    wrong.append(error)

        threads = [threading.Thread(target=ask, args=[n]) for n in range(64)]
        for thread in threads:
            thread.start()
        most = 0
        while any(thread.is_alive() for thread in threads):
            most = max(most, connections(eye))
            time.sleep(0.02)
        assert wrong == []
        assert len(answered) == 64 * len(words)
        assert 1 <= most <= 8
    tell(
        "64 searchers, threads of one memory",
        1,
        "nothing",
        f"{len(answered)} of {len(answered)} right, {most} connections",
    )


def test_64_searchers_in_eight_processes(folder: Folder) -> None:
    with folder.memory() as memory, ExitStack() as opened:
        memory.index(*sorted(folder.pictures.iterdir())[:50])
        eye = opened.enter_context(folder.eye())
        first = [str(memory.search(words)[0].item_id) for words in ("a cat", "a rocket")]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        command = [sys.executable, "-c", SEARCHER, str(folder.home), "8"]
        running = [subprocess.Popen(command, **pipes) for _ in range(8)]  # type: ignore[call-overload]
        assert [process.stdout.readline() for process in running] == ["ready\n"] * 8
        for process in running:
            process.stdin.write("\n")
            process.stdin.flush()
        ended = [process.communicate(timeout=200) for process in running]
        assert [said for _, said in ended] == [""] * 8
        assert {printed for printed, _ in ended} == {f"80 [] {first}\n"}
        assert connections(eye) <= 8 + 1
    tell("64 searchers, 8 processes of 8 threads", 1, "nothing", "640 of 640 right")


def connections(eye: psycopg.Connection) -> int:
    row = eye.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = 'seemory'").fetchone()
    assert row is not None
    return int(row[0])


def test_all_connections_taken(folder: Folder) -> None:
    """Who comes is told at once why it must wait; who was in goes on; and the server of the others is left alone."""
    with ExitStack() as held, open_database(None, home=folder.home, keep_warm=True) as database:
        with database.transaction(None) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        url = embedded_url(folder.home)
        with pytest.raises(psycopg.OperationalError):  # noqa: PT012
            while True:
                held.enter_context(psycopg.connect(url))
        before = folder.postmaster()
        start = time.monotonic()
        with pytest.raises(DatabaseUnreachable, match="all of the server's connections are taken"):
            open_database(None, home=folder.home)
        run = subprocess.run(
            [SEEMORY, "search", "a cat", "--home", str(folder.home)], capture_output=True, text=True, check=False
        )
        assert (run.returncode, run.stdout) == (3, "")
        assert "all of the server's connections are taken: end some of the programs" in run.stderr
        assert "Traceback" not in run.stderr
        assert time.monotonic() - start < 60, "it waits for a server that is not starting"
        assert folder.postmaster() == before
        with database.transaction("anna") as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    tell("all connections taken", 2, "nothing", "exit 3: all of the server's connections are taken")


def test_the_last_comer_does_not_stop_a_busy_warm_server(folder: Folder) -> None:
    open_database(None, home=folder.home, keep_warm=True).close()
    url = embedded_url(folder.home)
    with ExitStack() as held:
        with pytest.raises(psycopg.OperationalError):  # noqa: PT012
            while True:
                held.enter_context(psycopg.connect(url))
        before = folder.postmaster()
        with pytest.raises(DatabaseUnreachable):
            open_database(None, home=folder.home)
        assert folder.postmaster() == before
