"""What a table of CLIP's vectors costs as it grows: load, index, memory, bytes, latency, recall; halves against bits.

    python -m benchmarks.scaling [--rows 10000 100000] [--memory auto] [--no-binary] [--json FILE]

The rows are real CLIP vectors blown up with their geometry kept (`clip_like`), in a table like a generation's; queries
are real pictures and real texts that were set aside. Two indexes: HNSW over halves by cosine, and HNSW over signs
(`binary_quantize`) by Hamming distance, whose first rows are ranked again by the halves. The peer is the exact scan in
NumPy over float32, in the same run. `--memory` is `maintenance_work_mem`: `auto` takes what the graph needs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import UUID

import numpy as np
import psutil
import psycopg
from pgvector import HalfVector
from pgvector.psycopg import register_vector
from psycopg.types.json import Jsonb

from benchmarks.clip_like import DATA, blow_up, real
from seemory.store.embedded.server import EmbeddedServer
from seemory.types import EmbeddingRecord, Vectors

DIM, K = 512, 10
BYTES_PER_ROW = 2_200  # of the graph in memory, m = 16
SIGNS = "binary_quantize(embedding)::bit(512)"
TABLE = """
DROP TABLE IF EXISTS grown;
CREATE TABLE grown (owner_id text, item_id uuid, embedding halfvec(512), metadata jsonb,
                    PRIMARY KEY (owner_id, item_id));
ALTER TABLE grown ALTER COLUMN embedding SET STORAGE EXTERNAL"""
HALVES = "SELECT item_id FROM grown ORDER BY embedding <=> %(q)s LIMIT 10"
BITS = f"""
SELECT item_id FROM (
    SELECT item_id, embedding FROM grown ORDER BY {SIGNS} <~> binary_quantize(%(q)s)::bit(512) LIMIT %(first)s
) AS near ORDER BY embedding <=> %(q)s LIMIT 10"""


def say(rows: int, what: str, value: object) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {rows:>9,}  {what:44} {value}", flush=True)


@contextmanager
def peak(server: psutil.Process) -> Iterator[list[float]]:
    """The most MiB that the server's processes had together while the block lasted; shared memory counts once."""
    seen, stop = [0.0], Event()

    def watch() -> None:
        while not stop.wait(0.25):
            total = 0
            for process in [server, *server.children(recursive=True)]:
                try:
                    lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
                    total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
                except (OSError, StopIteration):
                    continue
            seen[0] = max(seen[0], total / 1024)

    thread = Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def load(connection: psycopg.Connection[Any], vectors: Vectors) -> float:
    start = time.perf_counter()
    connection.execute(TABLE)
    record = Jsonb(EmbeddingRecord("ViT-B-32", "laion2b", DIM, frame_path="photograph.jpg").as_json())
    with connection.cursor().copy("COPY grown FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["text", "uuid", "halfvec", "jsonb"])
        for n, vector in enumerate(vectors):
            copy.write_row(("local", UUID(int=n), HalfVector(vector), record))
    connection.execute("ANALYZE grown")
    return time.perf_counter() - start


def build(connection: psycopg.Connection[Any], pid: int, name: str, over: str, memory: str) -> dict[str, Any]:
    """Seconds, the server's peak, the index's bytes, and what the server remarked (a graph that did not fit)."""
    remarks: list[str] = []
    connection.add_notice_handler(lambda notice: remarks.append(notice.message_primary or ""))
    connection.execute(f"SET maintenance_work_mem = '{memory}'")
    start = time.perf_counter()
    with peak(psutil.Process(pid)) as most:
        connection.execute(f"CREATE INDEX {name} ON grown USING hnsw ({over}) WITH (m = 16, ef_construction = 128)")
    seconds = time.perf_counter() - start
    size = connection.execute("SELECT pg_relation_size(%s)", [name]).fetchone()
    return {"seconds": seconds, "peak_mib": most[0], "bytes": size[0] if size else 0, "remarks": remarks}


def asked(ask: Callable[[Any], list[int]], queries: Vectors, right: list[set[int]]) -> dict[str, float]:
    for query in queries[:20]:
        ask(query)
    taken, found = [], 0
    for query, best in zip(queries, right, strict=True):
        start = time.perf_counter()
        ids = ask(query)
        taken.append((time.perf_counter() - start) * 1000)
        found += len(best & set(ids))
    taken.sort()
    return {
        "p50_ms": statistics.median(taken),
        "p95_ms": taken[int(len(taken) * 0.95)],
        "recall": found / K / len(taken),
    }


def exact(vectors: Vectors, query: Any) -> list[int]:
    cosines = vectors @ query
    return [int(n) for n in np.argpartition(-cosines, K)[:K]]


def scanned(
    vectors: Vectors, queries: dict[str, Vectors]
) -> tuple[dict[str, list[set[int]]], dict[str, dict[str, float]]]:
    """The right answers by kind of query, and what it takes to find them by comparing all."""
    right = {kind: [set(exact(vectors, query)) for query in asking] for kind, asking in queries.items()}
    peers = {kind: asked(lambda q: exact(vectors, q), asking, right[kind]) for kind, asking in queries.items()}
    return right, peers


def measure(server: EmbeddedServer, rows: int, data: Path, memory: str, count: int, binary: bool) -> dict[str, Any]:
    began = time.perf_counter()
    found = real(data)
    vectors = blow_up(found.images, rows).astype(np.float16).astype(np.float32)
    chance = np.random.default_rng(5)
    texts = found.text_queries[chance.permutation(len(found.text_queries))[:count]]
    queries = {"images": found.image_queries[:count], "texts": texts}
    right, peers = scanned(vectors, queries)
    for kind, result in peers.items():
        say(rows, f"numpy exact, {kind}", short(result))
    need = f"{max(64, rows * BYTES_PER_ROW // 2**20)}MB" if memory == "auto" else memory
    document: dict[str, Any] = {"rows": rows, "memory": need, "numpy": peers}
    pid = int((server.data / "postmaster.pid").read_text().split()[0])
    with psycopg.connect(server.url(role="postgres"), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        register_vector(connection)
        document["load_s"] = load(connection, vectors)
        del vectors
        heap = connection.execute("SELECT pg_table_size('grown')").fetchone()
        document["table_bytes"] = heap[0] if heap else 0
        say(rows, "loaded", f"{document['load_s']:.1f} s, {document['table_bytes'] / rows:,.0f} bytes a row")
        ways: list[tuple[str, str, str, list[tuple[str, str, int, int]]]] = [
            (
                "halves",
                "embedding halfvec_cosine_ops",
                "hnsw_halves",
                [("", HALVES, ef, K) for ef in (64, 200, 400, 1000)],
            ),
        ]
        if binary:
            repeats = [(f", {n} times as many", BITS, max(64, n * K), n * K) for n in (4, 10, 40)]
            ways.append(("bits", f"({SIGNS}) bit_hamming_ops", "hnsw_bits", repeats))
        for way, over, name, asks in ways:
            built = document[way] = build(connection, pid, name, over, need)
            say(rows, f"{way} built with {need}", f"{built['seconds']:.1f} s, peak {built['peak_mib']:,.0f} MiB")
            say(rows, f"{way} bytes a row", f"{built['bytes'] / rows:,.0f} {built['remarks'] or ''}")
            for label, statement, ef, first in asks:
                connection.execute(f"SET hnsw.ef_search = {ef}")
                for kind, asking in queries.items():
                    result = asked(
                        lambda query, s=statement, n=first: [  # type: ignore[misc]
                            row[0].int
                            for row in connection.execute(s, {"q": HalfVector(query), "first": n}, prepare=True)
                        ],
                        asking,
                        right[kind],
                    )
                    document[f"{way} {kind} ef {ef}{label}"] = result
                    say(rows, f"{way}{label}, ef_search {ef}, {kind}", short(result))
            connection.execute(f"DROP INDEX {name}")
    document["all_s"] = time.perf_counter() - began
    say(rows, "all of it", f"{document['all_s']:.0f} s")
    return document


def short(result: dict[str, float]) -> str:
    return f"p50 {result['p50_ms']:.2f} ms, p95 {result['p95_ms']:.2f} ms, recall@10 {result['recall']:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--memory", default="auto", help="maintenance_work_mem, for example 64MB")
    parser.add_argument("--queries", type=int, default=100, help="of each kind")
    parser.add_argument("--no-binary", action="store_true")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    documents = []
    with tempfile.TemporaryDirectory() as place:
        server = EmbeddedServer(Path(place))
        server.enter()
        try:
            for rows in arguments.rows:
                documents.append(
                    measure(server, rows, arguments.data, arguments.memory, arguments.queries, not arguments.no_binary)
                )
                if arguments.json:
                    arguments.json.write_text(json.dumps(documents, indent=2))
        finally:
            server.leave()


if __name__ == "__main__":
    main()
