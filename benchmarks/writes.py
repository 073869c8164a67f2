"""Vectors in, indexed and searched for the first time: Seemory beside what could be installed instead.

    python -m benchmarks.writes [--rows 100000] [--only NAME] [--folder DIR] [--data ../shared/data] [--json FILE]

One parquet file of id, path and vector (real CLIP vectors blown up, see clip_like) is read by each. Seemory's import is
that of `seemory import`: every row becomes a file, an item and a vector of one owner, with its words, in committed
batches that a kill loses nothing of; the servers of Postgres are started before the clock. Recall@10 is of the usual
effort of each, over 100 queries of each kind. `--folder` keeps the stores for `benchmarks.search_peers`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import clip_like
from benchmarks.own_stores import Pgvector, Seemory
from benchmarks.vector_stores import Chroma, Lance, Store, Usearch, queries, recall, right_answers, table_of

MARK = "loaded"
"""A file of this name in a store's folder says that it is whole."""

STORES: dict[str, Callable[[Path], Store]] = {
    "seemory": Seemory,
    "pgvector": Pgvector,
    "lance-hnsw": lambda folder: Lance(folder, hnsw=True),
    "lance": lambda folder: Lance(folder, hnsw=False),
    "chroma": Chroma,
    "usearch": Usearch,
}


@contextmanager
def kept_in(folder: Path | None) -> Iterator[Path]:
    """The folder, or one that goes away."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    else:
        with tempfile.TemporaryDirectory() as place:
            yield Path(place)


def measure(store: Store, table: Path, kinds: dict[str, Any], right: dict[str, list[set[int]]]) -> dict[str, Any]:
    """Seconds to load, to index and of the first search, and the recall of the usual effort."""
    seconds = store.load(table)
    start = time.perf_counter()
    store.search(kinds["photographs"][0], store.usual)
    first = time.perf_counter() - start
    found = {kind: [store.search(vector, store.usual) for vector in asked] for kind, asked in kinds.items()}
    return {
        "store": store.name,
        "load": seconds.load,
        "index": seconds.index,
        "first": first,
        "all": seconds.load + seconds.index + first,
        **{kind: recall(answers, right[kind]) for kind, answers in found.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--only", action="append", choices=list(STORES))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--data", type=Path, default=clip_like.DATA)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    parents, kinds = queries(arguments.data, 100)
    made = clip_like.blow_up(parents, arguments.rows)
    right = {kind: right_answers(made, asked) for kind, asked in kinds.items()}
    print(f"{arguments.rows:,} vectors of {made.shape[1]}; seconds; recall@10 at each one's usual effort")
    head = f"{'store':32} {'load':>6} {'index':>6} {'first':>6} {'all':>6} {'rows/s':>7} {'beside':>7}"
    print(f"{head}   recall: {', '.join(kinds)}")
    results: list[dict[str, Any]] = []
    with kept_in(arguments.folder) as folder:
        table = table_of(made, folder / "vectors.parquet")
        del made
        for name in arguments.only or STORES:
            store = STORES[name](folder / name)
            try:
                result = measure(store, table, kinds, right)
            finally:
                store.close()
            (folder / name / MARK).touch()
            results.append(result)
            ratio = f"{result['all'] / results[0]['all']:6.2f}×"
            rate = arguments.rows / result["all"]
            shown = "  ".join(f"{result[kind]:.3f}" for kind in kinds)
            print(
                f"{result['store']:32} {result['load']:6.1f} {result['index']:6.1f} {result['first']:6.2f} "
                f"{result['all']:6.1f} {rate:7,.0f} {ratio:>7}           {shown}",
                flush=True,
            )
    print(f"beside: how many times as long as {results[0]['store']} took, all in all")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
