"""From words to hits over 100,000 items with ViT-B/32's text tower, each query for the first time.

    python -m benchmarks.words_to_hits [--rows 100000] [--queries 200] [--ways int8 fp32] [--keep DIR] [--json FILE]

`Memory.search(words)` in a program that keeps its memory open (a copy of the vectors is in it), with random weights of
the tower's true size and vectors like CLIP's (benchmarks/clip_like.py), imported as that encoder's own. Such weights
point anywhere, so the vectors of words are replaced after the pass by real CLIP vectors of captions and names where
`--data` has them: the work is the same, and the search meets what it would meet. Queries have 1 to 12 words, no two
alike. The peer is what one would put together: fastembed's text tower of the same weights, then all vectors compared by
NumPy, for ids alone; it is left out where fastembed is not installed. Recall is against plain arithmetic.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import clip_like, random_clip_text
from benchmarks.text_tower import THINGS, fastembed_tower
from seemory.memory import Memory
from seemory.models.encoder import Encoder
from seemory.settings import read_settings
from seemory.store.connect import stop_embedded
from seemory.store.resident.shelf import SHELF
from seemory.types import Vector, Vectors

K = 10
MORE = ("red", "old", "quiet", "bright", "two", "wet", "tall", "small", "late", "early", "warm", "empty")


def queries(count: int) -> list[str]:
    """Queries of 1 to 12 words, each length equally often as long as there are words, no two alike."""
    draw, found = random.Random(0), dict[str, None]()
    for n in itertools.count():
        found[" ".join(draw.choices(THINGS + MORE, k=1 + n % 12))] = None
        if len(found) == count:
            return list(found)
    raise AssertionError


class Replaced:
    """An encoder whose words' vectors are, after the pass, real ones."""

    def __init__(self, encoder: Encoder, real: Vectors) -> None:
        self._encoder = encoder
        self._real = real
        self.last: Vector = real[0]
        self._asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def embed_query(self, text: str) -> Vector:
        self._encoder.embed_query(text)
        self.last = self._real[self._asked % len(self._real)]
        self._asked += 1
        return self.last


def opened(home: Path, folder: Path, way: str, file: Path) -> Memory:
    """A memory of those vectors, made by the tower in that precision."""
    memory = Memory(read_settings(home=home, collection=way, search={"resident_mb": 1000}))
    if memory.stats()["model"] is None:
        start = time.perf_counter()
        memory.import_vectors(file, model=f"{folder}@{way}", fingerprint="local")
        print(f"{way}: imported and indexed in {time.perf_counter() - start:.0f} s", flush=True)
    return memory


def measure(ask: Callable[[str], Sequence[Any]], words: Sequence[str]) -> tuple[list[float], list[Sequence[Any]]]:
    """Milliseconds and answers, each query once."""
    taken, found = [], []
    for text in words:
        start = time.perf_counter()
        found.append(ask(text))
        taken.append((time.perf_counter() - start) * 1000)
    return taken, found


def row(name: str, taken: Sequence[float], recall: float) -> dict[str, Any]:
    print(
        f"{name:34} {statistics.median(taken):8.2f} {np.percentile(taken, 95):8.2f} {min(taken):8.2f} {recall:8.4f}",
        flush=True,
    )
    return {
        "what": name,
        "p50_ms": statistics.median(taken),
        "p95_ms": float(np.percentile(taken, 95)),
        "recall": recall,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--ways", nargs="+", default=["int8", "fp32"])
    parser.add_argument("--data", type=Path, default=clip_like.DATA)
    parser.add_argument("--keep", type=Path, help="a folder for weights and databases, for the next run")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    real = clip_like.real(arguments.data)
    made = clip_like.blow_up(real.images, arguments.rows)
    kinds = clip_like.queries_of(real, 100)
    asked = np.concatenate([kinds["captions"], kinds["names"]])
    halves = made.astype(np.float16).astype(np.float32)
    halves /= np.linalg.norm(halves, axis=1, keepdims=True)
    words, report = queries(arguments.queries + 20), []
    with tempfile.TemporaryDirectory() as scratch:
        home = arguments.keep or Path(scratch)
        home.mkdir(parents=True, exist_ok=True)
        folders = random_clip_text.make(home / "random-vit-b-32")
        file = home / "vectors.npy"
        np.save(file, made.astype(np.float16))
        print(f"{'':34} {'p50 ms':>8} {'p95 ms':>8} {'least':>8} {'recall':>8}")
        for way in arguments.ways:
            report += of_way(home, folders.seemory, way, file, words, asked, halves)
        try:
            tower = fastembed_tower(folders.fastembed)
        except ImportError:
            print("fastembed is not installed: left out")
        else:

            def peer(text: str) -> Sequence[Any]:
                vector = next(iter(tower.embed(text)))
                cosines = halves @ (vector / np.linalg.norm(vector))
                best = np.argpartition(-cosines, K)[:K]
                return list(best[np.argsort(-cosines[best])])

            measure(peer, words[:20])
            report.append(row("fastembed, then NumPy (ids alone)", measure(peer, words[20:])[0], 1.0))
        stop_embedded(home)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2))


def of_way(
    home: Path, folder: Path, way: str, file: Path, words: Sequence[str], asked: Vectors, halves: Vectors
) -> list[dict[str, Any]]:
    """The rows of one precision: words to hits, and what of that the tower takes."""
    memory = opened(home, folder, way, file)
    encoder = Replaced(memory.encoder, asked)
    memory._rooms.encoders.loaded.made[encoder.fingerprint] = encoder  # type: ignore[assignment]
    measure(lambda text: memory.search(text, limit=K), words[:20])
    SHELF.wait()
    assert memory.explain("a dog").choice.way == "resident"
    rows = []
    for what, more in (("words to ten items", ""), ("…with a word that a file's name has", " {}")):
        taken, answers = [], []
        for n, text in enumerate(words[20:]):
            start = time.perf_counter()
            hits = memory.search(text + more.format(n), limit=K)
            taken.append((time.perf_counter() - start) * 1000)
            answers.append((hits, encoder.last))
        share = 0.0  # worked out afterwards: it would empty the caches, and leave threads that spin
        for hits, vector in answers:
            best = np.argsort(-(halves @ vector))[:K]
            share += len({int(hit.metadata["row"]) for hit in hits} & set(best.tolist())) / K
        time.sleep(1)
        rows.append(row(f"{way}: {what}", taken, share / len(taken)))
    passes = measure(lambda text: encoder._encoder.embed_texts([text]), words)[0]
    rows.append(row(f"{way}: the tower alone", passes, 1.0))
    memory.close()
    return rows


if __name__ == "__main__":
    main()
