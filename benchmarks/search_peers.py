"""Search at equal recall: Seemory beside what could be installed instead, for photographs, captions and names.

    python -m benchmarks.search_peers [--rows 100000] [--only NAME] [--folder DIR] [--data ../shared/data] [--json FILE]

Each store's effort is raised until it finds WANTED of the ten nearest, or has no more to give, for each kind of query
by itself; its time there is compared. Seemory chooses its effort by itself. Its time is that of `Memory.search`: a
vector in, ten hits with all that is known of them out, in a transaction held to one owner's rows by the database; the
others' is of id and path (usearch: ids alone), with no owner and, but for pgvector, no transaction. Under it stands the
bare statement over Seemory's own table. One query at a time, warm: the
copy that a program which goes on searching comes to have (docs/search.md) is there. `--folder` finds stores that
`benchmarks.writes --folder` has loaded; others are loaded here.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import clip_like
from benchmarks.own_stores import Seemory, SeemorySql
from benchmarks.vector_stores import Store, queries, recall, right_answers, table_of
from benchmarks.writes import MARK, STORES, kept_in
from seemory.types import Vectors

WANTED = 0.98


def at(store: Store, effort: int, asked: Vectors, right: list[set[int]]) -> dict[str, Any]:
    """Recall and milliseconds at one effort, after ten searches that do not count."""
    for vector in asked[:10]:
        store.search(vector, effort)
    found, taken = [], []
    for vector in asked:
        start = time.perf_counter()
        found.append(store.search(vector, effort))
        taken.append((time.perf_counter() - start) * 1000)
    p50, p95 = statistics.median(taken), float(np.percentile(taken, 95))
    return {"effort": effort, "recall": recall(found, right), "p50_ms": p50, "p95_ms": p95}


def reach(store: Store, asked: Vectors, right: list[set[int]]) -> dict[str, Any]:
    """At the least effort that finds WANTED, or else at the one that finds most."""
    tried: list[dict[str, Any]] = []
    for effort in store.efforts:
        tried.append(at(store, effort, asked, right))
        if tried[-1]["recall"] >= WANTED:
            return tried[-1]
    return max(tried, key=lambda one: one["recall"])


def line(result: dict[str, Any], own: dict[str, Any] | None) -> str:
    reached = "" if result["recall"] >= WANTED else f"  does not reach {WANTED}"
    ratio = f"{result['p50_ms'] / own['p50_ms']:6.2f}×" if own else ""
    effort = f"{result['called']} {result['effort']}" if result["called"] else "its own choice"
    return (
        f"{result['store']:32} {effort:16} {result['recall']:7.4f} {result['p50_ms']:8.2f} {result['p95_ms']:8.2f} "
        f"{ratio:>8}{reached}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=100, help="of each kind")
    parser.add_argument("--only", action="append", choices=list(STORES))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--data", type=Path, default=clip_like.DATA)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    parents, kinds = queries(arguments.data, arguments.queries)
    made = clip_like.blow_up(parents, arguments.rows)
    right = {kind: right_answers(made, asked) for kind, asked in kinds.items()}
    results: list[dict[str, Any]] = []
    with kept_in(arguments.folder) as folder:
        table = folder / "vectors.parquet"
        for name in arguments.only or STORES:
            store = STORES[name](folder / name)
            if not (folder / name / MARK).exists():
                store.load(table if table.exists() else table_of(made, table))
                (folder / name / MARK).touch()
            if isinstance(store, Seemory):
                store.settle(next(iter(kinds.values())))
            measured: list[Store] = [store, *([SeemorySql(store)] if isinstance(store, Seemory) else [])]
            try:
                for one in measured:
                    for kind, asked in kinds.items():
                        about = {"store": one.name, "asked": kind, "called": one.effort}
                        results.append(about | reach(one, asked, right[kind]))
            finally:
                for one in reversed(measured):
                    one.close()
    print(
        f"{arguments.rows:,} vectors of {made.shape[1]}, k = 10, {arguments.queries} queries of each kind, one by one"
    )
    for kind in kinds:
        head = f"{'effort':16} {'recall':>7} {'p50 ms':>8} {'p95 ms':>8} {'p50':>8}"
        print(f"\n{kind + ' as queries':32} {head}")
        of_kind = [result for result in results if result["asked"] == kind]
        own = next((result for result in of_kind if result["store"] == Seemory.name), None)
        for result in of_kind:
            print(line(result, own))
    print(f"\nthe last column: how many times as long as {Seemory.name}")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
