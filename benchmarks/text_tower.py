"""Words to vectors, ViT-B/32's text tower: Seemory beside fastembed, with the same weights, in one run.

    python -m benchmarks.text_tower [--model FOLDER] [--json FILE]

The peer is fastembed's own class for `Qdrant/clip-ViT-B-32-text`, on the same random weights in its own layout
(`random_clip_text`). Queries have 1 to 12 words; each engine answers all of them in turn, round after round. Printed
are the median over all rounds and queries, and the median over queries of each one's best round, which hardly depends
on what else the machine does. Between two engines' blocks there is a pause, because fastembed's
idle threads spin for a while after each pass. Fidelity is the cosine to fastembed's vector of the same words. What no
tower in 8 bits can go below, its products alone (`text_products`), is printed beside what five times as fast would be.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import random_clip_text
from benchmarks.text_products import least_ms
from seemory.models.encoder import Encoder
from seemory.models.folder import read_folder
from seemory.models.loading import encoder_in
from seemory.models.precision import WAYS
from seemory.models.running import ways_here
from seemory.models.session import available_cores

Embed = Callable[[str], np.ndarray]
THINGS = ("dog", "beach", "children", "ball", "waves", "bicycles", "house", "rain", "light", "lake", "pine", "kitchen")
ROUNDS, PAUSE_S = 5, 0.2


def queries(count: int) -> list[str]:
    """Queries of 1 to 12 words, each length equally often."""
    chosen = random.Random(0)
    return [" ".join(chosen.choices(THINGS, k=1 + n % 12)) for n in range(count)]


def fastembed_tower(folder: Path) -> Any:
    """fastembed's CLIP text model on a folder of its own layout, as its users construct it."""
    from fastembed import TextEmbedding

    return TextEmbedding("Qdrant/clip-ViT-B-32-text", specific_model_path=str(folder), cache_dir=str(folder))


def alone(engines: dict[str, Embed], words: Sequence[str], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each query by itself, for each engine, engines in turn."""
    taken: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(rounds):
        for name, embed in engines.items():
            time.sleep(PAUSE_S)
            embed(words[0])
            for text in words:
                started = time.perf_counter()
                embed(text)
                taken[name].append((time.perf_counter() - started) * 1000)
    return taken


def together(engines: dict[str, Callable[[Sequence[str]], Any]], texts: Sequence[str], rounds: int) -> dict[str, float]:
    """Texts a second when all are handed over at once, the best of the rounds."""
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, embed in engines.items():
            time.sleep(PAUSE_S)
            started = time.perf_counter()
            embed(texts)
            best[name] = max(best.get(name, 0.0), len(texts) / (time.perf_counter() - started))
    return best


def cosines(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    ours, theirs = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (ours, theirs))
    return np.einsum("nd,nd->n", ours, theirs)


def measure(folder: Path, home: Path, count: int, rounds: int) -> dict[str, Any]:
    made = random_clip_text.make(folder)
    peer = fastembed_tower(made.fastembed)
    encoders = {
        str(way): encoder_in(read_folder(made.seemory), way, home=home)
        for way, missing in ways_here().items()
        if missing is None and way in WAYS
    }
    words = queries(count)
    theirs = np.stack(list(peer.embed(words)))
    engines: dict[str, Embed] = {"fastembed": lambda text: next(iter(peer.embed(text)))}
    engines |= {name: lambda text, one=one: one.embed_texts([text])[0] for name, one in encoders.items()}  # type: ignore[misc]
    taken = alone(engines, words, rounds)
    base = best(taken["fastembed"], count)
    rows = []
    for name, times in taken.items():
        near = cosines(np.stack([engines[name](text) for text in words]), theirs)
        rows.append(
            {
                "engine": name,
                "p50_ms": statistics.median(times),
                "p95_ms": float(np.quantile(times, 0.95)),
                "best_ms": best(times, count),
                "ratio": base / best(times, count),
                "cosine_mean": float(near.mean()),
                "cosine_least": float(near.min()),
            }
        )
    first = next(iter(encoders.values()))
    return {"alone": rows, "repeated": repeated(first, words), **batches(peer, encoders, words, count)}


def best(times: Sequence[float], count: int) -> float:
    """The median over `count` queries of each one's fastest round."""
    return float(np.median(np.reshape(times, (-1, count)).min(axis=0)))


def repeated(encoder: Encoder, words: Sequence[str]) -> dict[str, float]:
    """Milliseconds of a query that was asked before, and how near its vector is to the first time's."""
    first = np.stack([encoder.embed_query(text) for text in words])
    taken = []
    for text in words:
        started = time.perf_counter()
        encoder.embed_query(text)
        taken.append((time.perf_counter() - started) * 1000)
    again = np.stack([encoder.embed_query(text) for text in words])
    return {"p50_ms": statistics.median(taken), "cosine_least": float(cosines(again, first).min())}


def batches(peer: Any, encoders: dict[str, Encoder], words: Sequence[str], count: int) -> dict[str, Any]:
    """Texts a second at once, and how far a vector moves with what is beside it."""
    engines: dict[str, Callable[[Sequence[str]], Any]] = {"fastembed": lambda texts: list(peer.embed(list(texts)))}
    engines |= {name: one.embed_texts for name, one in encoders.items()}
    rates = together(engines, list(words) * 4, 2)
    moved = {}
    for name, embed in engines.items():
        one_by_one = np.stack([np.asarray(embed([text]))[0] for text in words])
        moved[name] = float(cosines(np.asarray(embed(words)), one_by_one).min())
    return {"texts_per_s": rates, "batch_against_alone_least_cosine": moved, "batch": 4 * count}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="where the random weights are, or are to be made and kept")
    parser.add_argument("--queries", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = arguments.model or Path(scratch)
        found = measure(home / "random-vit-b-32", home, arguments.queries, arguments.rounds)
    print(
        f"{'a query of 1 to 12 words':26} {'p50 ms':>8} {'p95 ms':>8} {'best ms':>8} {'ratio':>7}   mean, least cosine"
    )
    for row in found["alone"]:
        print(
            f"{row['engine']:26} {row['p50_ms']:8.2f} {row['p95_ms']:8.2f} {row['best_ms']:8.2f} "
            f"{row['ratio']:6.2f}x   {row['cosine_mean']:.6f} {row['cosine_least']:.6f}"
        )
    again = found["repeated"]
    print(
        f"{'one that comes again':26} {again['p50_ms']:8.3f} {'':26}   {again['cosine_least']:.6f} (to the first time)"
    )
    print(
        f"\n{found['batch']:3} texts at once{'':10}  texts/s   least cosine of a text in a batch to the same text alone"
    )
    for name, rate in found["texts_per_s"].items():
        print(f"{name:26} {rate:8,.0f}   {found['batch_against_alone_least_cosine'][name]:.7f}")
    rows = 2 + statistics.median_low(len(text.split()) for text in queries(arguments.queries))
    fifth = next(row["best_ms"] for row in found["alone"] if row["engine"] == "fastembed") / 5
    bounds = ", ".join(f"{name} {ms:.2f} ms" for name, ms in least_ms(rows, available_cores()).items())
    print(f"\nproducts of int8 alone, {rows} tokens, all weights once: {bounds}; a fifth of fastembed: {fifth:.2f} ms")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
