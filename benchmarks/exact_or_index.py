"""Where comparing all of an owner's rows and asking the vector index cross: times, their ratio, and the index's recall.

    python benchmarks/exact_or_index.py [--dim 512] [--queries 30] [--json FILE]

One table of clustered vectors holds owners of different sizes, as in a shared database. The border that the store uses
is `seemory.store.ann_index.EXACT_ROWS`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from seemory.lookahead import batches
from seemory.store import ann_index
from seemory.store.connect import open_database, stop_embedded
from seemory.store.generations import Generations
from seemory.store.items import Items
from seemory.store.query import Query
from seemory.types import EmbeddingRecord, FileOutcome, PictureFacts, Vectors

OWNERS = (1_000, 2_500, 5_000, 10_000)


def clustered(rng: np.random.Generator, rows: int, dim: int, centres: Vectors) -> Vectors:
    """`(rows, dim)` float32 of norm 1 around the centres, about as far from them as photographs of one subject."""
    vectors = centres[rng.integers(len(centres), size=rows)] + 0.9 * rng.normal(size=(rows, dim)) / dim**0.5
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def outcomes(vectors: Vectors) -> list[FileOutcome]:
    facts, record = PictureFacts(640, 480, "JPEG"), EmbeddingRecord("benchmark", "", vectors.shape[1])
    return [
        FileOutcome(f"/{n}", 1, n, n.to_bytes(32, "big"), facts=facts, vector=vector, record=record)
        for n, vector in enumerate(vectors)
    ]


def timed(query: Query, generation: object, asked: Vectors, exact_rows: int) -> tuple[float, list[set[str]]]:
    """Median milliseconds of a search for ten, and the answers, with the border set to `exact_rows`."""
    ann_index.EXACT_ROWS = exact_rows
    query.nearest(generation, asked[0])  # type: ignore[arg-type]
    taken, found = [], []
    for vector in asked:
        start = time.perf_counter()
        hits = query.nearest(generation, vector, limit=10)  # type: ignore[arg-type]
        taken.append((time.perf_counter() - start) * 1000)
        found.append({hit.item.uri for hit in hits})
    return statistics.median(taken), found


def measure(home: Path, dim: int, queries: int) -> list[dict[str, float]]:
    rng = np.random.default_rng(7)
    centres = rng.normal(size=(200, dim)) / dim**0.5
    rows: list[dict[str, float]] = []
    with open_database(None, home=home) as database:
        generation = Generations(database).create("border", "visual", model="benchmark", fingerprint="f", dim=dim)
        for count in OWNERS:
            items = Items(database, f"owner of {count}")
            for batch in batches(outcomes(clustered(rng, count, dim, centres)), 1000):
                items.write("border", generation, batch)
        Items(database, f"owner of {OWNERS[-1]}").ensure_index(generation)
        with database.transaction(None) as connection:
            connection.execute("ANALYZE")
        asked = clustered(rng, queries, dim, centres)
        for count in OWNERS:
            exact_ms, right = timed(Query(database, f"owner of {count}"), generation, asked, 10**9)
            index_ms, found = timed(Query(database, f"owner of {count}"), generation, asked, 0)
            recall = sum(len(a & b) for a, b in zip(right, found, strict=True)) / (10 * queries)
            rows.append({"rows": count, "exact_ms": exact_ms, "index_ms": index_ms, "index_recall": recall})
    stop_embedded(home)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=30)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        rows = measure(Path(place), arguments.dim, arguments.queries)
    print(f"{'owner':>8} {'exact ms':>9} {'index ms':>9} {'exact/index':>12} {'index recall@10':>16}")
    for row in rows:
        exact, index = row["exact_ms"], row["index_ms"]
        print(f"{row['rows']:8.0f} {exact:9.1f} {index:9.1f} {exact / index:12.2f} {row['index_recall']:16.3f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
