"""Search by a Matryoshka prefix, ranked again by whole vectors: recall and speed against the whole width, in Postgres.

    python benchmarks/prefix_search.py RUN [--rows 8000] [--prefixes 64 256 1024] [--queries 100] [--json FILE]

RUN is a folder that `seemory align train` wrote. Its pictures' vectors are the rows, captions of the split `test` the
queries, both in the whole width as halves. For each prefix p an index (HNSW) is over the first p dimensions, which the
cosine operator brings to norm 1 by itself; the `pool` nearest by it are ranked by whole vectors. The store does this
with vectors too wide for an index. Beside them, in the same run: all rows compared in the whole width (recall 1 by
definition), and, up to 4,000 dimensions, the index over the whole width. Recall@10 is the share of the exact ten. Each
query is put to all ways in turn, so that whatever else the machine does falls on all of them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import psycopg
from pgvector import HalfVector
from pgvector.psycopg import register_vector
from psycopg.sql import SQL, Composed, Identifier, Literal

from seemory.alignment.aligner import captions_of, embedded, load_aligner
from seemory.alignment.feature_set import FeatureSet
from seemory.store.connect import open_database, stop_embedded, unbound_url

K = 10
WIDEST_INDEXED = 4000


def vectors(run: Path, rows: int, queries: int) -> tuple[np.ndarray, np.ndarray]:
    """`(rows, d)` pictures, those of the test first, and `(queries, d)` captions of it, of norm 1."""
    aligner, _, _ = load_aligner(run / "head.safetensors")
    features = FeatureSet(aligner.config.features)
    test = features.rows("test")
    pictures = np.concatenate([test, features.rows("val"), features.rows("train")])[:rows]
    captions, _ = captions_of(features, test)
    seen, said = embedded(aligner, features, pictures, captions[:: max(1, len(captions) // queries)][:queries])
    return tuple(side / np.linalg.norm(side, axis=1, keepdims=True) for side in (seen, said))


def beginning(column: str, width: int) -> Composed:
    return SQL("(subvector({0}, 1, {1})::halfvec({1}))").format(SQL(column), Literal(width))


def ways(dim: int, prefixes: list[int], pool: int) -> dict[str, Composed]:
    """SQL by name; each takes the query's vector, in the whole width, as `%(q)s`."""
    made = {"all rows, whole width": SQL("SELECT id FROM made ORDER BY v <=> %(q)s LIMIT {}").format(Literal(K))}
    if dim <= WIDEST_INDEXED:
        made[f"index of {dim}"] = made["all rows, whole width"]
    for width in prefixes:
        near = SQL("SELECT id, v FROM made ORDER BY {} <=> {} LIMIT {}").format(
            beginning("v", width), beginning("%(q)s::halfvec", width), Literal(pool)
        )
        again = SQL("WITH near AS MATERIALIZED ({}) SELECT id FROM near ORDER BY v <=> %(q)s LIMIT {}")
        made[f"index of {width}, {pool} ranked again"] = again.format(near, Literal(K))
        made[f"index of {width} alone"] = SQL("SELECT id FROM made ORDER BY {} <=> {} LIMIT {}").format(
            beginning("v", width), beginning("%(q)s::halfvec", width), Literal(K)
        )
    return made


def measure(
    connection: psycopg.Connection, seen: np.ndarray, said: np.ndarray, prefixes: list[int], pool: int
) -> list[dict[str, object]]:
    dim = seen.shape[1]
    connection.execute(SQL("CREATE UNLOGGED TABLE made (id int, v halfvec({}))").format(Literal(dim)))
    connection.execute("ALTER TABLE made ALTER v SET STORAGE EXTERNAL")
    with connection.cursor().copy("COPY made FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["int4", "halfvec"])
        for number, vector in enumerate(seen):
            copy.write_row((number, HalfVector(vector)))
    sizes = {}
    indexed = [*prefixes, *([dim] if dim <= WIDEST_INDEXED else [])]
    for width in indexed:
        column = beginning("v", width) if width < dim else SQL("v")
        statement = SQL(
            "CREATE INDEX {} ON made USING hnsw ({} halfvec_cosine_ops) WITH (m = 16, ef_construction = 64)"
        )
        connection.execute(statement.format(Identifier(f"made_{width}"), column))
        row = connection.execute("SELECT pg_relation_size(%s::regclass)", [f"made_{width}"]).fetchone()
        sizes[width] = row[0] if row else 0
    connection.execute("ANALYZE made")
    connection.execute(SQL("SET hnsw.ef_search = {}").format(Literal(max(64, pool))))
    known = ways(dim, prefixes, pool)
    found: dict[str, list[list[int]]] = {name: [] for name in known}
    times: dict[str, list[float]] = {name: [] for name in known}
    for query in said:
        for name, statement in known.items():
            exact = name.startswith("all rows")
            with connection.transaction():
                connection.execute(SQL("SET LOCAL enable_indexscan = {}").format(Literal("off" if exact else "on")))
                connection.execute(SQL("SET LOCAL enable_seqscan = {}").format(Literal("on" if exact else "off")))
                started = time.perf_counter()
                rows = connection.execute(statement, {"q": HalfVector(query)}).fetchall()
                times[name].append(1000 * (time.perf_counter() - started))
            found[name].append([row[0] for row in rows])
    truth = found["all rows, whole width"]
    table = []
    for name in known:
        hits = [len(set(mine) & set(right)) / K for mine, right in zip(found[name], truth, strict=True)]
        width = next((w for w in indexed if name.startswith(f"index of {w}")), 0)
        low, middle = np.percentile(times[name], [5, 50])
        table.append(
            {
                "way": name,
                "recall": round(float(np.mean(hits)), 4),
                "ms": round(float(middle), 2),
                "best_ms": round(float(low), 2),
                "index_mb": round(sizes.get(width, 0) / 1e6, 1),
            }
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--rows", type=int, default=8000)
    parser.add_argument("--prefixes", type=int, nargs="+", default=[64, 256, 1024])
    parser.add_argument("--pool", type=int, default=100)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--json", type=Path)
    told = parser.parse_args()
    seen, said = vectors(told.run, told.rows, told.queries)
    prefixes = [width for width in told.prefixes if width < min(seen.shape[1], WIDEST_INDEXED)]
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        with open_database(None, home=home), psycopg.connect(unbound_url(home), autocommit=True) as connection:
            register_vector(connection)
            table = measure(connection, seen, said, prefixes, told.pool)
        stop_embedded(home)
    print(f"{len(seen):,} vectors of {seen.shape[1]:,} dimensions, {len(said)} captions, one connection")
    print(f"{'way':34} {'recall@10':>9} {'ms':>8} {'best 5 %':>9} {'index MB':>9}")
    for row in table:
        print(f"{row['way']:34} {row['recall']:9.4f} {row['ms']:8.2f} {row['best_ms']:9.2f} {row['index_mb']:9.1f}")
    if told.json:
        told.json.write_text(json.dumps({"rows": len(seen), "dim": seen.shape[1], "ways": table}, indent=1))


if __name__ == "__main__":
    main()
