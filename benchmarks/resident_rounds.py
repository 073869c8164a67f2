"""The ten nearest of 100,000 vectors by the copy, again and again for minutes: what the median is of round after round.

    python -m benchmarks.resident_rounds [--rounds 20] [--pause 5] [--home FOLDER] [--data ../shared/data] [--json FILE]

The speed of a shared machine moves by half within a minute, so that one median says little. Each round has 100 queries
of each kind by each way, turn by turn: `Query.nearest` by the copy, from the vector to ten items; pgvector's graph in
the same database at an effort of 104, ids alone; and the way to a warm Postgres and back with nothing to do.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks import clip_like
from benchmarks.resident import LIMIT, OWNER, Ask, K, loaded, raw, timed
from seemory.store.connect import open_database, stop_embedded
from seemory.store.query import Query
from seemory.store.resident.shelf import SHELF

WANTED_MS = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--pause", type=float, default=5.0, help="seconds between two rounds")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--home", type=Path, help="a data folder to keep the loaded database in")
    parser.add_argument("--data", type=Path, default=clip_like.DATA)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    real = clip_like.real(arguments.data)
    kinds = clip_like.queries_of(real, 100)
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as place:
        home = arguments.home or Path(place)
        home.mkdir(parents=True, exist_ok=True)
        with open_database(None, home=home) as database:
            generation = loaded(database, clip_like.blow_up(real.images, arguments.rows))
            query = Query(database, OWNER, LIMIT)
            for vector in kinds["names"][:10]:
                query.nearest(generation, vector, limit=K)
            SHELF.wait()
            with raw(database, generation, "hnsw.ef_search = 104") as graph, database.transaction(OWNER) as idle:
                ways: dict[str, Ask] = {
                    "the copy, to ten items": lambda vector: query.nearest(generation, vector, limit=K),
                    "pgvector's graph, to ids": graph,
                    "there and back": lambda _: idle.execute("SELECT 1").fetchall(),
                }
                for _ in range(arguments.rounds):
                    for kind, asked in kinds.items():
                        for way, ask in ways.items():
                            found.setdefault(f"{way}: {kind}", []).append(statistics.median(timed(ask, asked)[0]))
                    time.sleep(arguments.pause)
        stop_embedded(home)
    print(f"{arguments.rounds} rounds of 100 queries of each kind; the median of a round, ms")
    print(f"{'':40} {'median':>7} {'least':>7} {'most':>7} {f'below {WANTED_MS:g} ms':>12}")
    for name, rounds in found.items():
        share = sum(one < WANTED_MS for one in rounds) / len(rounds)
        print(f"{name:40} {statistics.median(rounds):7.2f} {min(rounds):7.2f} {max(rounds):7.2f} {share:12.0%}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
