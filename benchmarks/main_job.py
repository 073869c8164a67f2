"""Index a folder, index it again, search it warm and cold: rates, latencies and peak memory, beside a plain loop.

    python benchmarks/main_job.py FOLDER [--model NAME] [--json FILE]

The peer is what a person would write in an afternoon: open each picture whole, embed it alone, keep the vectors in a
NumPy array, and load everything again for each search from the shell. Absolute figures mean little on a shared machine;
the ratios are taken in one run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

INDEX_ONCE = """
import json, resource, sys
from seemory.memory import Memory
from seemory.settings import read_settings
home, folder, model = sys.argv[1:]
with Memory(read_settings(home=home, model=model, database={"keep_warm": True})) as memory:
    memory.stats()                              # the server's start is not indexing
    report = memory.index(folder)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"files": report.found, "indexed": report.indexed, "failed": report.failed,
                  "seconds": report.seconds, "peak_mib": peak}))
"""

PLAIN_LOOP = """
import json, sys, time
from pathlib import Path
import numpy as np
from PIL import Image
from seemory.models.loading import load_encoder
home, folder, model = sys.argv[1:]
encoder = load_encoder(model, home=Path(home))
files = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
encoder.embed_images([Image.open(files[0]).convert("RGB")])     # loaded before the clock starts
start = time.perf_counter()
vectors = [encoder.embed_images([Image.open(path).convert("RGB")])[0] for path in files]
np.save(Path(home) / "plain.npy", np.stack(vectors))
print(json.dumps({"files": len(files), "seconds": time.perf_counter() - start}))
"""

WARM_SEARCHES = """
import json, sys, time
from seemory.memory import Memory
from seemory.settings import read_settings
home, model, count = sys.argv[1:]
things = ["dog", "red car", "mountain lake", "cup of coffee", "bird", "church", "guitar", "snake", "ship", "fruit"]
with Memory(read_settings(home=home, model=model)) as memory:
    memory.search("a warm-up")
    taken = []
    for n in range(int(count)):
        start = time.perf_counter()
        hits = memory.search(f"a photo of a {things[n % len(things)]}, number {n}", limit=10)
        taken.append((time.perf_counter() - start) * 1000)
        assert len(hits) == 10
print(json.dumps(taken))
"""


def child(code: str, *arguments: object) -> Any:
    """What a fresh process printed as JSON."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def cold_search(home: Path, words: str) -> float:
    """Seconds of one `seemory search` from the shell."""
    command = [str(Path(sys.executable).with_name("seemory")), "search", words, "--home", str(home)]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def measure(folder: Path, model: str, searches: int) -> dict[str, float]:
    from seemory.store.connect import stop_embedded

    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        plain = child(PLAIN_LOOP, make(home), folder, model)
        first = child(INDEX_ONCE, home, folder, model)
        second = child(INDEX_ONCE, home, folder, model)
        warm = sorted(child(WARM_SEARCHES, home, model, searches))
        os.environ["SEEMORY_DATABASE__KEEP_WARM"] = "true"
        cold = [cold_search(home, f"a photo of a dog {n}") for n in range(5)]
        stop_embedded(home)
        from_nothing = [cold_search_from_nothing(home, n) for n in range(3)]
    return {
        "files": first["files"],
        "failed": first["failed"],
        "plain_loop_per_s": plain["files"] / plain["seconds"],
        "first_run_per_s": first["files"] / first["seconds"],
        "second_run_per_s": second["files"] / second["seconds"],
        "first_run_ratio": first["files"] / first["seconds"] / (plain["files"] / plain["seconds"]),
        "peak_mib": first["peak_mib"],
        "warm_p50_ms": statistics.median(warm),
        "warm_p95_ms": warm[int(len(warm) * 0.95)],
        "cold_server_warm_s": statistics.median(cold),
        "cold_server_stopped_s": statistics.median(from_nothing),
    }


def make(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def cold_search_from_nothing(home: Path, number: int) -> float:
    from seemory.store.connect import stop_embedded

    taken = cold_search(home, f"a photo of a cat {number}")
    stop_embedded(home)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="seemory-mini")
    parser.add_argument("--searches", type=int, default=200)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = measure(arguments.folder, arguments.model, arguments.searches)
    for name, value in figures.items():
        print(f"{name:24} {value:12,.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
