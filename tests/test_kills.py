"""kill -9 at random moments, twenty times, and Ctrl-C: nothing missing, nothing twice, no finished work repeated."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from seemory.memory import Memory

KILLS = 20
FILES = 800
INDEXER = """
import os, random, signal, sys, threading
from seemory.memory import Memory
from seemory.settings import read_settings
home, owner, collection, folder, enough = sys.argv[1:]
settings = read_settings(home=home, owner=owner, collection=collection, model="seemory-mini", index={"batch_size": 8})
left = int(enough)
with Memory(settings) as memory:
    for result in memory.index_each(folder):
        print(result.status, result.uri, flush=True)
        left -= result.status == "indexed"
        if left == 0:  # SIGKILL: no clean-up of any kind
            threading.Timer(random.uniform(0, 0.03), os.kill, (os.getpid(), signal.SIGKILL)).start()
"""
"""It sees to its own end: on a busy machine somebody else would come too late."""


def cut_many(photographs: dict[str, Path], folder: Path, count: int = FILES) -> None:
    """Different small pictures, cut from real photographs."""
    chance = random.Random(7)
    sources = [Image.open(path).convert("RGB") for path in photographs.values()]
    for n in range(count):
        source = sources[n % len(sources)]
        x, y = chance.randrange(source.width - 96), chance.randrange(source.height - 96)
        source.crop((x, y, x + 96, y + 96)).save(folder / f"{n:04}.jpg", quality=80)


def test_twenty_kills_lose_nothing(
    new_memory: Callable[..., Memory], package_photographs: dict[str, Path], tmp_path: Path
) -> None:
    cut_many(package_photographs, tmp_path)
    memory = new_memory()
    arguments = [str(memory.home), memory.owner, memory.collection, str(tmp_path)]
    chance = random.Random()
    done: Counter[str] = Counter()
    ends = []
    for _ in range(KILLS):
        command = [sys.executable, "-c", INDEXER, *arguments, str(chance.randint(1, 20))]
        indexer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        reported = [line.split(" ", 1) for line in indexer.stdout.splitlines()]
        done.update(uri for status, uri in reported if status == "indexed")
        ends.append(indexer.returncode)
    assert ends == [-signal.SIGKILL] * KILLS, "every kill must hit a run that still had work to do"
    assert max(done.values()) == 1, "finished work was done again"
    found = sum(done.values())

    last = memory.index(tmp_path)
    assert last.found == FILES
    assert last.failed == 0
    assert last.counts["unchanged"] >= found >= KILLS, "what was reported as finished was lost"
    stats = memory.stats()
    assert (stats["assets"], stats["items"], stats["embedded"]) == (FILES, FILES, FILES)
    assert len({item.uri for item in memory.items()}) == FILES
    assert dict(memory.index(tmp_path).counts) == {"unchanged": FILES}


def test_ctrl_c_ends_a_run_in_order(
    new_memory: Callable[..., Memory], package_photographs: dict[str, Path], tmp_path: Path
) -> None:
    cut_many(package_photographs, tmp_path, 300)
    memory = new_memory()
    environment = os.environ | {"SEEMORY_HOME": str(memory.home), "SEEMORY_INDEX__BATCH_SIZE": "8"}
    command = [str(Path(sys.executable).with_name("seemory")), "index", str(tmp_path)]
    command += ["--owner", memory.owner, "--collection", memory.collection, "--model", "seemory-mini"]
    run = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore Ctrl-C
    )
    while not _some_are_stored(memory):
        assert run.poll() is None, "the run ended before anything was stored"
    run.send_signal(signal.SIGINT)
    printed, said = run.communicate(timeout=60)
    assert run.returncode == 1, (printed, said)
    assert "the next run goes on from there" in said
    assert "Traceback" not in said
    finished = int(printed.split(" indexed")[0])
    again = memory.index(tmp_path)
    assert 0 < finished <= again.counts["unchanged"] < 300
    assert again.counts["unchanged"] + again.indexed == 300


def _some_are_stored(memory: Memory) -> bool:
    return bool(memory.stats()["embedded"])
