"""Commands from the shell, each a process of its own, with the embedded server warm: what a person waits for.

    python -m benchmarks.cold_start [--model FOLDER] [--json FILE]

`seemory search` is timed with the bundled encoder and with ViT-B/32 of random weights (`random_clip_text`), whose text
tower has 250 MB. Its peers do less: fastembed loads the same weights and makes the vector of the same words, without a
database to look in; importing torch is what any program pays that embeds with it. Printed are the best and the median
of several runs, and the processor's seconds of the best.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import random_clip_text
from seemory.demo_photographs import PHOTOGRAPHS

WORDS = "a cat on a red chair"
FASTEMBED = """
import sys
from fastembed import TextEmbedding
tower = TextEmbedding("Qdrant/clip-ViT-B-32-text", specific_model_path=sys.argv[1], cache_dir=sys.argv[1])
assert next(iter(tower.embed(sys.argv[2]))).shape == (512,)
"""


@dataclass(frozen=True)
class Row:
    what: str
    best_s: float
    median_s: float
    cpu_s: float


def timed(what: str, command: Sequence[str], environment: Mapping[str, str], runs: int) -> Row:
    """The command's wall clock and processor time, after one run that is not counted."""
    found = []
    for _ in range(runs + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        subprocess.run(command, check=True, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wall = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append((wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    found = found[1:]
    best, cpu = min(found)
    return Row(what, best, statistics.median(wall for wall, _ in found), cpu)


def measure(model: Path, runs: int) -> list[Row]:
    from seemory.memory import Memory
    from seemory.settings import read_settings
    from seemory.store.connect import stop_embedded

    made = random_clip_text.make(model)
    seemory = str(Path(sys.executable).with_name("seemory"))
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "home"
        pictures = [path for photograph in PHOTOGRAPHS if (path := photograph.find())]
        for collection, encoder in (("mini", "seemory-mini"), ("vit", str(made.seemory))):
            settings = read_settings(home=home, collection=collection, model=encoder, database={"keep_warm": True})
            with Memory(settings) as memory:
                memory.index(*pictures)
        environment = os.environ | {"SEEMORY_HOME": str(home), "SEEMORY_DATABASE__KEEP_WARM": "true"}
        # An installed program is compiled once; without this one of a checkout might be compiled in every run.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        search = [seemory, "search", WORDS, "--json", "--collection"]
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "seemory --help": [seemory, "--help"],
            "seemory search, seemory-mini": [*search, "mini"],
            "seemory search, ViT-B/32": [*search, "vit"],
            "fastembed, ViT-B/32: the words' vector": [sys.executable, "-c", FASTEMBED, str(made.fastembed), WORDS],
            "python -c 'import torch'": [sys.executable, "-c", "import torch"],
        }
        try:
            return [timed(what, command, environment, runs) for what, command in commands.items()]
        finally:
            stop_embedded(home)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="where the random weights are, or are to be made and kept")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rows = measure((arguments.model or Path(scratch)) / "random-vit-b-32", arguments.runs)
    print(f"{'':42} {'best s':>8} {'median s':>9} {'processor s':>12}")
    for row in rows:
        print(f"{row.what:42} {row.best_s:8.3f} {row.median_s:9.3f} {row.cpu_s:12.3f}")
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
