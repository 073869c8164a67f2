"""Readers and writers all the time, in threads and processes, while an operator changes the encoder to and fro."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from made_encoders import turned
from PIL import Image

from seemory.memory import Memory
from seemory.store.figures import Figures
from seemory.store.generations import Generations

# The turned encoder has the bundled one's cosines in a space of its own: an answer that compares a vector of the one
# with a vector of the other has the right shape and wrong cosines. So each cosine is checked, in every answer.
WORDS = ("a cat", "a cup of coffee", "a rocket", "a temple")
CLOSE = 2e-3

WRITER = """
import sys
from pathlib import Path
from test_reembedding_load import write
from seemory.memory import Memory
from seemory.settings import read_settings
home, owner, collection, folder, photographs = sys.argv[1:]
with Memory(read_settings(home=home, owner=owner, collection=collection)) as memory:
    write(memory, Path(folder), sorted(Path(photographs).iterdir()), lambda: (Path(folder).parent / "stop").exists())
"""


def crops(photographs: list[Path], folder: Path, seed: int):
    """Pictures that have never been seen, one after the other."""
    chance = random.Random(seed)
    sources = [Image.open(path).convert("RGB") for path in photographs]
    number = 0
    while True:
        source = sources[number % len(sources)]
        x, y = chance.randrange(source.width - 96), chance.randrange(source.height - 96)
        path = folder / f"{number:05}.jpg"
        source.crop((x, y, x + 96, y + 96)).save(path, quality=80)
        yield path
        number += 1


def write(memory: Memory, folder: Path, photographs: list[Path], stopped: Callable[[], bool]) -> None:
    """New pictures, changed ones, copies, and forgotten ones, until stopped; nothing may fail."""
    made = crops(photographs, folder, seed=len(str(folder)))
    rounds = 0
    while not stopped():
        paths = [next(made) for _ in range(4)]
        (folder / f"copy{rounds}.jpg").write_bytes(paths[0].read_bytes())
        if rounds:
            Image.open(paths[1]).rotate(90).save(folder / "changing.png")
        report = memory.index(folder)
        assert report.failed == 0, report.errors
        if rounds % 3 == 2:
            memory.forget([str(paths[2])])
            paths[2].unlink()
        rounds += 1
        time.sleep(0.2)  # a second core for the readers


class Reader(threading.Thread):
    """Asks in every way, and checks every cosine of every answer that it knows."""

    def __init__(self, memory: Memory, photographs: list[Path], right: dict[tuple[str, str], float], seed: int) -> None:
        super().__init__()
        self.memory, self.photographs, self.right = memory, photographs, right
        self.chance = random.Random(seed)
        self.stop = threading.Event()
        self.answered: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.errors: list[BaseException] = []

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                self.ask()
            except BaseException as error:
                self.errors.append(error)

    def ask(self) -> None:
        photograph = self.chance.choice(self.photographs)
        words = self.chance.choice(WORDS)
        way = self.chance.choice(("words", "words", "like", "image"))
        given = {"words": words, "like": str(photograph), "image": photograph}[way]
        among_known = self.chance.random() < 0.7
        where = [f"path~{photograph.parent}"] if among_known else []
        hits = self.memory.search(**{way: given}, limit=100, where=where)
        tables = {hit.reasons[-1] for hit in hits}
        if len(tables) != 1:
            self.wrong.append(f"{way}: answered by {tables}")
        checked = 0
        for hit in hits:
            expected = self.right.get((str(given), hit.uri))
            if expected is not None:
                checked += 1
                if abs(expected - hit.cosine) > CLOSE:
                    self.wrong.append(f"{way} {given} {hit.uri}: {hit.cosine}, not {expected} ({tables})")
        if not checked and among_known:
            self.wrong.append(f"{way}: none of the known pictures among {len(hits)}")
        self.answered[tables.pop()] += 1


@pytest.fixture
def other(tmp_path: Path) -> str:
    return str(turned(tmp_path / "turned"))


def test_under_load_no_query_fails_or_mixes_and_nothing_is_lost(
    new_memory: Callable[..., Memory],
    photos: Path,
    other: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory = new_memory(index={"batch_size": 8})
    memory.index(photos)
    known = sorted(photos.iterdir())
    right = {
        (given, hit.uri): hit.cosine
        for given, hits in [(words, memory.search(words, limit=100)) for words in WORDS]
        + [(str(path), memory.search(image=path, limit=100)) for path in known]
        for hit in hits
    }
    shared = new_memory(model="auto")
    readers = [Reader(reads, known, right, n) for n, reads in enumerate((shared, shared, new_memory(model="auto")))]
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{':'.join(sys.path)}")
    arguments = [str(memory.home), memory.owner, memory.collection, str(folders[1]), str(photos)]
    process = subprocess.Popen([sys.executable, "-c", WRITER, *arguments], stderr=subprocess.PIPE, text=True)
    stopped = threading.Event()
    failures: list[BaseException] = []

    def write_here() -> None:
        try:
            with_own = new_memory(index={"batch_size": 8})
            write(with_own, folders[0], known, stopped.is_set)
        except BaseException as error:
            failures.append(error)

    writer = threading.Thread(target=write_here)
    for thread in (*readers, writer):
        thread.start()
    try:
        reembedding = memory.reembedding()
        for encoder in (other, "seemory-mini"):  # there, and back again
            time.sleep(0.5)
            report = reembedding.start(encoder)
            assert report.generation.state == "ready", report.verification
            for act in (reembedding.switch, reembedding.rollback, reembedding.switch):
                act()
                time.sleep(1.0)
            reembedding.drop()
        time.sleep(0.5)
        reembedding.start(other)
    finally:
        stopped.set()
        (tmp_path / "stop").touch()
        for reader in readers:
            reader.stop.set()
        for thread in (*readers, writer):
            thread.join()
        said = process.communicate(timeout=60)[1]
    assert failures == []
    assert process.returncode == 0, said
    assert [error for reader in readers for error in reader.errors] == []
    assert [wrong for reader in readers for wrong in reader.wrong] == []
    answered = sum((reader.answered for reader in readers), Counter())
    assert len(answered) == 3, "every generation that was live has answered"

    files = {str(path) for folder in (photos, *folders) for path in folder.iterdir()}
    assert dict(memory.index(photos, *folders).counts) == {"unchanged": len(files)}
    assert {item.uri for item in memory.items()} == files
    found = Figures(memory.database, memory.owner)
    for generation in Generations(memory.database).all(memory.collection):
        assert (found.rows(generation), found.failures(generation)) == (len(files), {}), generation
    report = reembedding.start(other)
    assert (report.embedded, report.generation.state) == (0, "ready"), report.verification
    assert report.verification.fidelity_least is not None
    assert report.verification.fidelity_least > 0.999
    print(f"{sum(answered.values())} queries ({dict(answered)}), 0 errors, {len(files)} items")
