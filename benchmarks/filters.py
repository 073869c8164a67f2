"""Do filters and small owners lose rows: hits, recall and time for k of 1 to 500, for words and pictures asked apart.

    python -m benchmarks.filters [--rows 100000] [--queries 20] [--data ../shared/data] [--json FILE]

One collection, in an embedded database of its own, of vectors like CLIP's (benchmarks/clip_like.py): an owner of nearly
all rows, one of 1 % and one of 0.01 %; keys of the metadata that keep 50 %, 1 % and 0.01 % of an owner's rows. Queries
are real vectors: names of things, captions, and photographs that were set aside. The yardstick is plain arithmetic over
the same halves. Peers in the same run: that arithmetic's time (all vectors in memory, no server), and pgvector under
row-level security alone with ef_search 64 and iterative scan.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from psycopg.sql import SQL, Identifier

from benchmarks import clip_like
from seemory.exchange.files import BATCH, VectorBatch, VectorRow
from seemory.exchange.vectors import Importer
from seemory.store.connect import Database, open_database, stop_embedded
from seemory.store.describing import Descriptions
from seemory.store.generations import Generations
from seemory.store.halfvec import Halfvec
from seemory.store.items import Items
from seemory.store.query import Query
from seemory.types import Filter, Generation, Neighbour, Vectors

KEEPS = {"all": 1, "50 %": 2, "1 %": 100, "0.01 %": 10_000}
LIMITS = (1, 10, 100, 500)
PEER = "SELECT item_id FROM {} ORDER BY embedding <=> %s LIMIT %s"


@dataclass(frozen=True)
class Loaded:
    """A collection of three owners, and what it holds in plain arrays."""

    database: Database
    generation: Generation
    vectors: dict[str, Vectors]
    """`(n, 512)` by owner: the halves that are stored, of norm 1."""
    seconds: dict[str, float]
    """To import the largest owner's vectors, and to build the index at the end of that."""


def rows_of(vectors: Vectors) -> Iterator[VectorBatch]:
    """The vectors as an import file would give them; keys `every N` hold the row's number modulo N."""
    for start in range(0, len(vectors), BATCH):
        part = vectors[start : start + BATCH]
        numbers = range(start, start + len(part))
        rows = [VectorRow(str(n), None, {f"every {step}": n % step for step in KEEPS.values()}) for n in numbers]
        yield VectorBatch(part, rows)


def load(database: Database, made: Vectors) -> Loaded:
    """All of `made` in one collection: an owner of 1 %, one of 0.01 %, and one of the rest."""
    generation = Generations(database).create(
        "filters", "visual", model="clip-like", fingerprint="f", dim=made.shape[1]
    )
    few, ten = len(made) // 100, max(1, len(made) // 10_000)
    parts = {"0.01 %": made[:ten], "1 %": made[ten : ten + few], "most": made[ten + few :]}
    seconds: dict[str, float] = {}
    for owner, vectors in parts.items():
        items = _Timed(database, owner)
        importer(database, items, generation).run(rows_of(vectors))
        seconds = {"import": items.at_index - items.start, "index": items.indexing}
    halves = {owner: vectors.astype(np.float16).astype(np.float32) for owner, vectors in parts.items()}
    halves = {owner: rows / np.linalg.norm(rows, axis=1, keepdims=True) for owner, rows in halves.items()}
    return Loaded(database, generation, halves, seconds)


def importer(database: Database, items: Items, generation: Generation) -> Importer:
    """Brings vectors in as `seemory import` does."""
    words = Descriptions(database, items.owner, generation.collection, "simple")
    return Importer(items, generation, {generation.id}, words)


class _Timed(Items):
    """Items that say when the index was built, and how long that took."""

    def __init__(self, database: Database, owner: str) -> None:
        super().__init__(database, owner)
        self.start = self.at_index = time.perf_counter()
        self.indexing = 0.0

    def ensure_index(self, generation: Generation) -> bool:
        self.at_index = time.perf_counter()
        built = super().ensure_index(generation)
        self.indexing = time.perf_counter() - self.at_index
        return built


def number_of(hit: Neighbour) -> int:
    """The row in `Loaded.vectors` that a hit is."""
    return int(hit.item.metadata["import_id"])


def measure(loaded: Loaded, owner: str, keeps: str, asked: Vectors, limit: int) -> dict[str, Any]:
    """Hits, recall and milliseconds of a search through the library, warm, and of NumPy's."""
    vectors, step = loaded.vectors[owner], KEEPS[keeps]
    passing = np.arange(0, len(vectors), step)
    kept = vectors[passing]
    filters = [] if step == 1 else [Filter(f"every {step}", "=", "0")]
    query = Query(loaded.database, owner)

    def search(vector: np.ndarray) -> list[int]:
        return [number_of(hit) for hit in query.nearest(loaded.generation, vector, limit=limit, filters=filters)]

    def plain(vector: np.ndarray) -> list[int]:
        cosines = kept @ vector
        best = np.argpartition(-cosines, min(limit, len(kept) - 1))[:limit]
        return [int(n) for n in passing[best[np.argsort(-cosines[best])]]]

    found, taken = timed(search, asked)
    right, plain_taken = timed(plain, asked)
    wanted = min(limit, len(kept))
    return {
        "owner": owner,
        "filter keeps": keeps,
        "k": limit,
        "wanted": wanted,
        "fewest hits": min(map(len, found)),
        "recall": statistics.mean(len(set(a) & set(b)) / wanted for a, b in zip(found, right, strict=True)),
        "p50_ms": statistics.median(taken),
        "p95_ms": float(np.percentile(taken, 95)),
        "numpy_p50_ms": statistics.median(plain_taken),
        "way": query.explain(loaded.generation, asked[0], limit=limit, filters=filters).choice.way,
    }


def timed(search: Callable[[Any], list[int]], asked: Vectors) -> tuple[list[list[int]], list[float]]:
    """What was found for each, and the milliseconds each took; one search before goes uncounted."""
    search(asked[0])
    found, taken = [], []
    for vector in asked:
        start = time.perf_counter()
        found.append(search(vector))
        taken.append((time.perf_counter() - start) * 1000)
    return found, taken


def peer(loaded: Loaded, owner: str, asked: Vectors, limit: int) -> dict[str, Any]:
    """pgvector as it comes: row-level security keeps owners apart, the query states none."""
    statement = SQL(PEER).format(Identifier("seemory", loaded.generation.table))
    with loaded.database.transaction(owner) as connection:
        numbers = dict(
            connection.execute(
                "SELECT i.id, (a.metadata ->> 'import_id')::int FROM seemory.item i JOIN seemory.asset a "
                "ON a.owner_id = i.owner_id AND a.id = i.asset_id"
            ).fetchall()
        )
        connection.execute("SET LOCAL hnsw.iterative_scan = strict_order; SET LOCAL hnsw.ef_search = 64")

        def search(vector: np.ndarray) -> list[int]:
            return [numbers[row] for (row,) in connection.execute(statement, [Halfvec(vector), limit]).fetchall()]

        found, taken = timed(search, asked)
    vectors = loaded.vectors[owner]
    wanted = min(limit, len(vectors))
    right = [set(np.argsort(-(vectors @ vector))[:wanted].tolist()) for vector in asked]
    return {
        "owner": owner,
        "k": limit,
        "wanted": wanted,
        "fewest hits": min(map(len, found)),
        "recall": statistics.mean(len(set(a) & b) / wanted for a, b in zip(found, right, strict=True)),
        "p50_ms": statistics.median(taken),
    }


def insert_rates(database: Database, made: Vectors) -> dict[str, float]:
    """Rows a second into a table without an index, and into the one that has it and keeps it up."""
    generations = Generations(database)
    empty = generations.create("no index", "visual", model="m", fingerprint="f", dim=made.shape[1])
    indexed = generations.live("filters")
    rates = {}
    for name, generation in (("without", empty), ("with", indexed)):
        assert generation is not None
        items = Items(database, f"inserted {name}")
        start = time.perf_counter()
        importer(database, items, generation).run(rows_of(made))
        rates[name] = len(made) / (time.perf_counter() - start)
    return rates


def run(database: Database, made: Vectors, kinds: dict[str, Vectors]) -> dict[str, Any]:
    """Every case, printed as it comes."""
    loaded = load(database, made)
    print("\n{:,} rows: import {import:.1f} s, index {index:.1f} s".format(len(made), **loaded.seconds))
    head = f"{'asked':9} {'owner':7} {'filter':7} {'k':>4} {'hits':>9} {'recall':>7} {'p50 ms':>8} {'p95 ms':>8}"
    print(f"\n{head} {'NumPy ms':>9}  way")
    cases = []
    for owner, keeps, kind, limit in itertools.product(loaded.vectors, KEEPS, kinds, LIMITS):
        case = measure(loaded, owner, keeps, kinds[kind], limit) | {"asked": kind}
        cases.append(case)
        print(
            "{asked:9} {owner:7} {filter keeps:7} {k:4} {fewest hits:4}/{wanted:<4} {recall:7.4f} {p50_ms:8.2f} "
            "{p95_ms:8.2f} {numpy_p50_ms:9.2f}  {way}".format(**case),
            flush=True,
        )
    print("\npgvector, the policy alone, ef_search 64, strict iterative scan:")
    peers = []
    for owner, kind, limit in itertools.product(loaded.vectors, kinds, (10, 500)):
        case = peer(loaded, owner, kinds[kind][:5], limit) | {"asked": kind}
        peers.append(case)
        print("{asked:9} {owner:7} {k:4} {fewest hits:4}/{wanted:<4} {recall:7.4f} {p50_ms:8.2f}".format(**case))
    return {"seconds": loaded.seconds, "cases": cases, "peer": peers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=20, help="of each kind")
    parser.add_argument("--data", type=Path, default=clip_like.DATA)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    real = clip_like.real(arguments.data)
    made = clip_like.blow_up(real.images, arguments.rows)
    clip_like.print_geometry(real.images, made, real.text_queries)
    kinds = clip_like.queries_of(real, arguments.queries)
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        with open_database(None, home=home) as database:
            report = run(database, made, kinds)
            report["insert"] = insert_rates(database, clip_like.blow_up(real.images, 2000, seed=9))
        stop_embedded(home)
    rates = report["insert"]
    print(f"\nrows a second: {rates['without']:,.0f} without an index, {rates['with']:,.0f} with one kept up")
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
