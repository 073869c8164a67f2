"""512 to 768 dimensions under load: readers and writers in processes of their own, the change killed three times."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from made_encoders import widened
from test_kills import cut_many
from test_reembedding_load import WORDS, WRITER, Reader

from seemory.memory import Memory
from seemory.settings import read_settings
from seemory.store.figures import Figures
from seemory.store.generations import Generations

READER = """
import sys
from test_rollout_load import read
read(*sys.argv[1:])
"""
STARTER = """
import sys
from seemory.memory import Memory
from seemory.settings import read_settings
home, owner, collection, to = sys.argv[1:]
with Memory(read_settings(home=home, owner=owner, collection=collection, index={"batch_size": 8})) as memory:
    memory.reembedding().start(to, listen=lambda event: print(event.done, flush=True))
"""
PATIENCE_S = 120.0


def read(home: str, owner: str, collection: str, photographs: str, right: str) -> None:
    """Ask until stdin ends; say each table that begins to answer, and at the end what there was to be said."""
    known = {(given, uri): cosine for given, uri, cosine in json.loads(right)}
    with Memory(read_settings(home=Path(home), owner=owner, collection=collection)) as memory:
        reader = Reader(memory, sorted(Path(photographs).iterdir()), known, seed=len(owner))
        threading.Thread(target=lambda: (sys.stdin.read(), reader.stop.set()), daemon=True).start()
        before: Counter[str] = Counter()
        last = ""
        while not reader.stop.is_set():
            try:
                reader.ask()
            except BaseException as error:
                reader.errors.append(error)
            for table in (reader.answered - before).keys() - {last}:
                last = table
                print(table, flush=True)
            before = Counter(reader.answered)
    errors, wrong = [repr(error) for error in reader.errors], reader.wrong
    print(json.dumps({"answered": reader.answered, "errors": errors, "wrong": wrong}), flush=True)


class ReaderProcess:
    """A process that asks all the time for one owner."""

    def __init__(self, memory: Memory, photos: Path, right: str) -> None:
        arguments = [str(memory.home), memory.owner, memory.collection, str(photos), right]
        self._process = subprocess.Popen(
            [sys.executable, "-c", READER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.strip())

    def wait_for(self, table: str) -> None:
        """Until the last answer came from that table."""
        until = time.monotonic() + PATIENCE_S
        while not self.lines or self.lines[-1] != f"answered by {table}":
            assert time.monotonic() < until, f"still {self.lines[-1:]}, not {table}"
            assert self._process.poll() is None
            time.sleep(0.02)

    def end(self) -> dict:
        """What it has to say in the end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(timeout=60) == 0
        self._thread.join()
        return json.loads(self.lines[-1])

    def kill(self) -> None:
        """End it, if a test failed on the way."""
        self._process.kill()
        self._process.wait()
        self._thread.join()


def killed_on_the_way(arguments: list[str], rows: int) -> int:
    """SIGKILL for a process that re-embeds, once it wrote so many rows; the rows there were when it began."""
    run = subprocess.Popen([sys.executable, "-c", STARTER, *arguments], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    began = int(run.stdout.readline())
    for line in run.stdout:
        if int(line) >= began + rows:
            run.kill()
            break
    assert run.wait() == -9, "every kill must hit a run that still had work to do"
    run.stdout.close()
    return began


def test_512_to_768_under_load_killed_three_times(
    new_memory: Callable[..., Memory],
    package_photographs: dict[str, Path],
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    narrow, wide = (str(widened(tmp_path / f"wide{dim}", dim)) for dim in (512, 768))
    anna = new_memory(model=narrow, index={"batch_size": 8})
    ben = new_memory(owner=f"{anna.owner}-ben", model=narrow)
    owners = {"anna": anna, "ben": ben}
    crops = tmp_path / "crops"
    crops.mkdir()
    cut_many(package_photographs, crops, 160)
    anna.index(photos, crops)
    ben.index(photos)
    right = [
        (given, hit.uri, hit.cosine)
        for given, hits in [(words, anna.search(words, limit=300)) for words in WORDS]
        + [(str(path), anna.search(image=path, limit=300)) for path in photos.iterdir()]
        for hit in hits
        if Path(hit.uri).parent == photos
    ]
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{':'.join(sys.path)}")
    folders = {name: tmp_path / f"written by {name}" for name in owners}
    readers, writers = {}, {}
    began = time.monotonic()
    try:
        for name, memory in owners.items():
            folders[name].mkdir()
            readers[name] = ReaderProcess(memory, photos, json.dumps(right))
            place = [str(memory.home), memory.owner, memory.collection, str(folders[name]), str(photos)]
            writers[name] = subprocess.Popen([sys.executable, "-c", WRITER, *place], stderr=subprocess.PIPE, text=True)
        old = Generations(anna.database).live(anna.collection)
        assert old is not None
        for reader in readers.values():
            reader.wait_for(old.table)

        operator = anna.reembedding()
        arguments = [str(anna.home), anna.owner, anna.collection, wide]
        reached = [killed_on_the_way(arguments, rows=16) for _ in range(3)]
        assert reached[0] < reached[1] < reached[2], "finished work was lost"
        report = operator.start(wide)
        new = report.generation
        assert (old.dim, new.dim, new.state) == (512, 768, "ready"), report.verification

        for act in (operator.switch, operator.rollback, operator.switch):  # one owner there, back, and there again
            table = act([ben.owner]).live.table
            readers["ben"].wait_for(table)
            assert readers["anna"].lines[-1] == f"answered by {old.table}"
        operator.rollback()
        readers["ben"].wait_for(old.table)
        for act in (operator.switch, operator.rollback, operator.switch):  # then everyone
            table = act().live.table
            for reader in readers.values():
                reader.wait_for(table)
        operator.drop()
        time.sleep(0.5)
        (tmp_path / "stop").touch()
        for name, writer in writers.items():
            said = writer.communicate(timeout=PATIENCE_S)[1]
            assert writer.returncode == 0, f"{name}: {said}"
        told = {name: reader.end() for name, reader in readers.items()}
    finally:
        (tmp_path / "stop").touch()
        for process in (*readers.values(), *writers.values()):
            process.kill()
    seconds = time.monotonic() - began

    print(f"\n512 to 768 dimensions, killed at {reached} rows, {seconds:.0f} s")
    print(f"{'owner':6} {'queries':>8} {'errors':>7} {'mixed or wrong':>15} {'items':>6} {'lost':>5}  answered by")
    for name, memory in owners.items():
        files = {str(path) for folder in (photos, folders[name]) for path in folder.iterdir()}
        files |= {str(path) for path in crops.iterdir()} if name == "anna" else set()
        kept = {item.uri for item in memory.items()}
        found = Figures(memory.database, memory.owner)
        for generation in Generations(memory.database).all(memory.collection):
            assert (found.rows(generation), found.failures(generation)) == (len(files), {}), (name, generation)
        row = told[name]
        queries = sum(row["answered"].values())
        counts = f"{queries:8} {len(row['errors']):7} {len(row['wrong']):15} {len(kept):6} {len(files - kept):5}"
        print(f"{name:6} {counts}  {row['answered']}")
        assert (row["errors"], row["wrong"], kept) == ([], [], files)
        assert set(row["answered"]) == {f"answered by {table}" for table in (old.table, new.table)}
    later = operator.start(narrow)  # and what it would find now: nothing that was missed on the way
    assert (later.generation.state, later.failed) == ("ready", 0)
    again = operator.start(narrow)
    assert again.embedded == 0
    assert again.verification.fidelity_least is not None
    assert again.verification.fidelity_least > 0.999
