"""The ten nearest of 100,000 vectors, for words and for pictures: a copy in this process beside the other ways.

    python -m benchmarks.resident [--rows 100000] [--queries 100] [--home FOLDER] [--data ../shared/data] [--json FILE]

Vectors like CLIP's (benchmarks/clip_like.py) in an embedded database; queries are real vectors: names of things,
captions, photographs that were set aside. From the vector to ten items with all that is known of them: `Query.nearest`
by a copy and by the index, and `Memory.search(vector=…)`, which also asks which generation answers and what the owner
prefers. To ids alone: pgvector raw by HNSW and by IVFFlat; in this process NumPy over all vectors, the scan of the copy
alone, and usearch's HNSW over halves where it is installed. The yardstick of recall is plain arithmetic over the stored
halves. `--home` keeps the loaded database, so that measuring again takes a minute.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from psycopg.sql import SQL, Identifier

from benchmarks import clip_like
from benchmarks.filters import importer, rows_of
from seemory.memory import Memory
from seemory.settings import read_settings
from seemory.store.connect import Database, open_database, stop_embedded
from seemory.store.generations import Generations
from seemory.store.halfvec import Halfvec
from seemory.store.items import Items
from seemory.store.query import Query
from seemory.store.resident.shelf import SHELF
from seemory.types import Generation, Vector, Vectors

K = 10
OWNER, COLLECTION = "resident", "resident"
LIMIT = 1_000_000_000
LISTS = 316  # the square root of the rows, as pgvector advises

Ask = Callable[[Vector], Sequence[Any]]


def loaded(database: Database, made: Vectors) -> Generation:
    """The collection, brought in as `seemory import` does if it is not there."""
    found = Generations(database).live(COLLECTION)
    if found is not None:
        return found
    generation = Generations(database).create(
        COLLECTION, "visual", model="clip-like", fingerprint="f", dim=made.shape[1]
    )
    start = time.perf_counter()
    importer(database, Items(database, OWNER), generation).run(rows_of(made))
    print(f"{len(made):,} rows imported and indexed in {time.perf_counter() - start:.0f} s", flush=True)
    return generation


def numbers(database: Database) -> dict[UUID, int]:
    """Which row of the plain array an item is."""
    with database.transaction(OWNER) as connection:
        return dict(
            connection.execute(
                "SELECT i.id, (a.metadata ->> 'import_id')::int FROM seemory.item i JOIN seemory.asset a "
                "ON a.owner_id = i.owner_id AND a.id = i.asset_id WHERE i.owner_id = %s",
                [OWNER],
            ).fetchall()
        )


@contextmanager
def raw(database: Database, generation: Generation, *settings: str) -> Iterator[Ask]:
    """pgvector as it comes, under row-level security: ids alone."""
    statement = SQL("SELECT item_id FROM {} WHERE owner_id = %s ORDER BY embedding <=> %s LIMIT %s")
    statement = statement.format(Identifier("seemory", generation.table))
    with database.transaction(OWNER) as connection:
        for setting in (*settings, "enable_sort = off", "enable_seqscan = off", "enable_bitmapscan = off"):
            connection.execute(f"SET LOCAL {setting}")  # type: ignore[arg-type]

        def ask(vector: Vector) -> list[UUID]:
            return [row for (row,) in connection.execute(statement, [OWNER, Halfvec(vector), K]).fetchall()]

        yield ask


@contextmanager
def ivfflat(database: Database, generation: Generation) -> Iterator[Callable[[int], Ask]]:
    """The same by IVFFlat with a number of probes, over a table of the vectors alone."""
    with database.transaction(OWNER) as connection:
        connection.execute("SET LOCAL maintenance_work_mem = '512MB'; SET LOCAL enable_seqscan = off")
        connection.execute("CREATE TEMPORARY TABLE flat (item_id uuid, embedding halfvec(512)) ON COMMIT DROP")
        copied = SQL("INSERT INTO flat SELECT item_id, embedding FROM {}")
        connection.execute(copied.format(Identifier("seemory", generation.table)))
        connection.execute(f"CREATE INDEX ON flat USING ivfflat (embedding halfvec_cosine_ops) WITH (lists = {LISTS})")  # type: ignore[arg-type]

        def asks(probes: int) -> Ask:
            def ask(vector: Vector) -> list[UUID]:
                statement = "SELECT item_id FROM flat ORDER BY embedding <=> %s LIMIT %s"
                return [row for (row,) in connection.execute(statement, [Halfvec(vector), K]).fetchall()]

            connection.execute(f"SET LOCAL ivfflat.probes = {probes}")  # type: ignore[arg-type]
            return ask

        yield asks


def in_memory(vectors: Vectors) -> dict[str, Ask]:
    """Ways that need no database; their answers are numbers of rows."""

    def numpy_exact(vector: Vector) -> list[int]:
        cosines = vectors @ vector
        best = np.argpartition(-cosines, K)[:K]
        return [int(n) for n in best[np.argsort(-cosines[best])]]

    ways: dict[str, Ask] = {"NumPy, all compared": numpy_exact}
    try:
        from usearch.index import Index
    except ImportError:
        print("usearch is not installed: left out")
        return ways
    index = Index(ndim=vectors.shape[1], metric="cos", dtype="f16", connectivity=16, expansion_add=128)
    start = time.perf_counter()
    index.add(np.arange(len(vectors)), vectors)
    print(f"usearch's index was built in {time.perf_counter() - start:.0f} s", flush=True)

    def hnsw(width: int) -> Ask:
        def ask(vector: Vector) -> list[int]:
            index.expansion_search = width
            return [int(n) for n in index.search(vector, K).keys]

        return ask

    return ways | {f"usearch HNSW, {width} wide": hnsw(width) for width in (64, 1000, 4000)}


def timed(ask: Ask, asked: Vectors) -> tuple[list[float], list[Sequence[Any]]]:
    """Warm milliseconds of each query, and its answer."""
    for vector in asked[:10]:
        ask(vector)
    taken, answers = [], []
    for vector in asked:
        start = time.perf_counter()
        answers.append(ask(vector))
        taken.append((time.perf_counter() - start) * 1000)
    return taken, answers


def measure(ask: Ask, asked: Vectors, right: Sequence[set[int]], number: Callable[[Any], int]) -> dict[str, float]:
    """Warm milliseconds, and the share of the ten nearest that was found."""
    taken, answers = timed(ask, asked)
    hits = [len({number(one) for one in found} & best) / K for found, best in zip(answers, right, strict=True)]
    return {
        "p50_ms": statistics.median(taken),
        "p95_ms": float(np.percentile(taken, 95)),
        "recall": statistics.mean(hits),
    }


def compare(home: Path, database: Database, made: Vectors, kinds: dict[str, Vectors]) -> dict[str, Any]:
    """Every way and kind of query, printed as they come."""
    generation = loaded(database, made)
    halves = made.astype(np.float16).astype(np.float32)
    halves /= np.linalg.norm(halves, axis=1, keepdims=True)
    right = {kind: [set(np.argsort(-(halves @ v))[:K].tolist()) for v in asked] for kind, asked in kinds.items()}
    number_of = numbers(database)
    present, resident = Query(database, OWNER), Query(database, OWNER, LIMIT)
    memory = {
        limit: Memory(read_settings(home=home, owner=OWNER, collection=COLLECTION, search={"resident_mb": limit}))
        for limit in (0, 1_000)
    }
    report: dict[str, Any] = {}

    def of(query: Query) -> Ask:
        return lambda vector: [hit.item.item_id for hit in query.nearest(generation, vector, limit=K)]

    def by(limit: int) -> Ask:
        return lambda vector: [hit.item_id for hit in memory[limit].search(vector=vector, limit=K)]

    def tell(name: str, ask: Ask, number: Callable[[Any], int]) -> None:
        report[name] = {kind: measure(ask, asked, right[kind], number) for kind, asked in kinds.items()}
        cells = ""
        for kind, figures in report[name].items():
            ratio = report["the index"][kind]["p50_ms"] / figures["p50_ms"]
            cells += "{p50_ms:9.2f} {p95_ms:7.2f} {recall:7.4f}".format(**figures) + f" {ratio:6.1f}"
        print(f"{name:28}{cells}", flush=True)

    for vector in kinds["names"][:10]:
        of(resident)(vector)
        by(1_000)(vector)
    SHELF.wait()
    plain = in_memory(halves)
    copy = SHELF.find(resident._resident._key(generation))
    assert copy is not None
    head = "".join(f"{kind + ' p50':>9} {'p95':>7} {'recall':>7} {'ratio':>6}" for kind in kinds)
    print(f"\nmilliseconds; ratio: how many times as fast as the index\n{'':28}{head}")
    tell("the index", of(present), number_of.__getitem__)
    tell("the copy", of(resident), number_of.__getitem__)
    tell("Memory.search, the index", by(0), number_of.__getitem__)
    tell("Memory.search, the copy", by(1_000), number_of.__getitem__)

    def scanned(vector: Vector) -> list[UUID]:
        found = copy.codes.scan(vector, SHELF.threads)
        places = found.reaching(found.highest(K))
        best = places[np.argsort(-found.cosines(places))][:K]
        return [UUID(bytes=row.tobytes()) for row in found.ids(best)]

    tell("the copy's scan alone", scanned, number_of.__getitem__)
    for width in (104, 1000):
        with raw(database, generation, f"hnsw.ef_search = {width}") as ask:
            tell(f"pgvector HNSW, {width} wide", ask, number_of.__getitem__)
    with ivfflat(database, generation) as asks:
        for probes in (10, 60, 160):
            tell(f"pgvector IVFFlat, {probes} of {LISTS}", asks(probes), number_of.__getitem__)
    for name, ask in plain.items():
        tell(name, ask, int)
    print(f"\nthe copy takes {copy.codes.bytes / 1e6:.0f} MB")
    for one in memory.values():
        one.close()
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=100, help="of each kind")
    parser.add_argument("--home", type=Path, help="a data folder to keep the loaded database in")
    parser.add_argument("--data", type=Path, default=clip_like.DATA)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    real = clip_like.real(arguments.data)
    made = clip_like.blow_up(real.images, arguments.rows)
    kinds = clip_like.queries_of(real, arguments.queries)
    with tempfile.TemporaryDirectory() as place:
        home = arguments.home or Path(place)
        home.mkdir(parents=True, exist_ok=True)
        with open_database(None, home=home) as database:
            report = compare(home, database, made, kinds)
        stop_embedded(home)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
