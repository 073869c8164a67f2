"""What wider vectors cost: bytes in the table and in the index, and milliseconds a search, exact and by the index.

    python benchmarks/width_price.py [--rows 12000] [--dims 512 768] [--queries 60] [--json FILE]

The same clustered directions in each width, one table each, all of one owner. The widths take turns query by query, so
that whatever else the machine does falls on all of them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import numpy as np
from exact_or_index import clustered

from seemory.store.ann_index import ensure_index
from seemory.store.connect import Database, open_database, stop_embedded
from seemory.store.figures import sizes_of
from seemory.store.generations import Generations
from seemory.store.halfvec import Halfvec
from seemory.store.query import Query
from seemory.types import Generation, Vectors

OWNER = "one"


def fill(database: Database, generation: Generation, vectors: Vectors) -> None:
    """Items without files, by COPY through a temporary table: only the search is timed here."""
    ids = [(uuid4(), uuid4()) for _ in vectors]
    with database.transaction(OWNER) as connection:
        connection.execute("CREATE TEMPORARY TABLE made (asset uuid, item uuid, v halfvec) ON COMMIT DROP")
        with connection.cursor().copy("COPY made FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["uuid", "uuid", "halfvec"])
            for (asset, item), vector in zip(ids, vectors, strict=True):
                copy.write_row((asset, item, Halfvec(vector)))
        number = "(SELECT id FROM seemory.collection WHERE name = %s)"
        connection.execute(
            "INSERT INTO seemory.asset (owner_id, id, collection_id, kind, uri, bytes, mtime_ns) "
            f"SELECT %s, asset, {number}, 'image', '/' || asset, 1, 1 FROM made",
            [OWNER, generation.collection],
        )
        connection.execute(
            "INSERT INTO seemory.item (owner_id, id, asset_id, collection_id, kind) "
            f"SELECT %s, item, asset, {number}, 'image' FROM made",
            [OWNER, generation.collection],
        )
        connection.execute(
            f"INSERT INTO seemory.{generation.table} (owner_id, item_id, embedding) SELECT %s, item, v FROM made",
            [OWNER],
        )


def measure(home: Path, rows: int, dims: list[int], queries: int) -> list[dict[str, float]]:
    found: list[dict[str, float]] = []
    with open_database(None, home=home) as database:
        made, asked, taken = [], [], {}
        for dim in dims:
            rng = np.random.default_rng(7)
            centres = rng.normal(size=(200, dim)) / dim**0.5
            generation = Generations(database).create(f"wide{dim}", "visual", model="m", fingerprint="f", dim=dim)
            fill(database, generation, clustered(rng, rows, dim, centres))
            start = time.perf_counter()
            assert ensure_index(database, OWNER, generation)
            found.append({"dim": dim, "rows": rows, "index_built_s": time.perf_counter() - start})
            made.append(generation)
            asked.append(clustered(rng, queries, dim, centres))
        with database.transaction(None) as connection:
            connection.execute("ANALYZE")
        query = Query(database, OWNER)
        for n in range(-3, queries):  # the first three only warm up
            for generation, vectors in zip(made, asked, strict=True):
                for exact in (False, True):
                    start = time.perf_counter()
                    query.nearest(generation, vectors[n], limit=10, exact=exact)
                    if n >= 0:
                        ms = (time.perf_counter() - start) * 1000
                        taken.setdefault((generation.dim, exact), []).append(ms)
        for row, generation in zip(found, made, strict=True):
            row |= sizes_of(database, generation)
            for exact, name in ((False, "index"), (True, "exact")):
                times = taken[generation.dim, exact]
                row |= {f"{name}_p50_ms": np.percentile(times, 50), f"{name}_p95_ms": np.percentile(times, 95)}
    stop_embedded(home)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=12_000)
    parser.add_argument("--dims", type=int, nargs="+", default=[512, 768])
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        found = measure(Path(place), arguments.rows, arguments.dims, arguments.queries)
    names = ("vector_bytes", "table_bytes", "index_bytes", "index_built_s")
    names += ("index_p50_ms", "index_p95_ms", "exact_p50_ms", "exact_p95_ms")
    print(f"{arguments.rows:,} rows" + "".join(f"{row['dim']:>14}" for row in found) + "    ratio")
    for name in names:
        values = [float(row[name]) for row in found]
        form = "{:>14,.0f}" if "bytes" in name else "{:>14.2f}"
        print(f"{name:14}" + "".join(form.format(value) for value in values) + f"{values[-1] / values[0]:>9.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2, default=float))


if __name__ == "__main__":
    main()
