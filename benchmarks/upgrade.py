"""How long an upgrade of the embedded server's major version takes, stage by stage, and how much room it needs.

    python benchmarks/upgrade.py [--rows 100000] [--dim 512] [--json FILE]

The oldest Postgres of the wheel makes a data folder with so many random vectors of one owner, their index and a small
picture of 12 kB each; then it is upgraded to the newest one.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import psycopg

from seemory.store.ann_index import ensure_index
from seemory.store.connect import open_database, unbound_url
from seemory.store.embedded.cluster import Cluster
from seemory.store.embedded.programs import installed, newest
from seemory.store.embedded.upgrade import bytes_in, upgrade
from seemory.store.generations import Generations
from seemory.telemetry import Progress

FILL = """
WITH asset AS (
    INSERT INTO seemory.asset (owner_id, id, collection_id, kind, uri, bytes, mtime_ns)
    SELECT 'me', gen_random_uuid(), c.id, 'image', '/' || n, 1, 1
    FROM generate_series(1, {rows}) n, seemory.collection c RETURNING id, collection_id)
INSERT INTO seemory.item (owner_id, id, asset_id, collection_id, kind, thumbnail)
SELECT 'me', id, id, collection_id, 'image',
       (SELECT string_agg(sha256((id::text || n)::bytea), '') FROM generate_series(1, 375) n) FROM asset;
INSERT INTO seemory.{table} (owner_id, item_id, embedding)
SELECT 'me', i.id, (SELECT array_agg(random() - 0.5) FROM generate_series(1, {dim}) WHERE i.id IS NOT NULL)::halfvec
FROM seemory.item i;
CHECKPOINT"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        cluster = Cluster(home, home / "postgres")
        cluster.account.let_through(cluster.data)
        cluster.initialise(installed()[-1])
        with open_database(None, home=home) as database:
            made = Generations(database).create("c", "visual", model="m", fingerprint="f" * 64, dim=arguments.dim)
            with psycopg.connect(unbound_url(home), autocommit=True) as superuser:
                for statement in FILL.format(rows=arguments.rows, dim=arguments.dim, table=made.table).split(";\n"):
                    superuser.execute(statement.encode())
            assert ensure_index(database, "me", made)
        size = bytes_in(home / "postgres") - bytes_in(home / "postgres" / "pg_wal")
        begun: dict[str, float] = {}
        done = upgrade(home, listen=lambda event: note(begun, event))
        ends = [*list(begun.values())[1:], time.monotonic()]
        assert done is not None
    stages = {stage: round(end - start, 2) for (stage, start), end in zip(begun.items(), ends, strict=True)}
    figures = {
        "rows": arguments.rows,
        "dim": arguments.dim,
        "megabytes": round(size / 1e6),
        "from": done.before,
        "to": newest().version,
        "seconds": round(done.seconds, 1),
        "stages": stages,
    }
    for name, value in figures.items():
        print(f"{name:10} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))


def note(begun: dict[str, float], event: Progress) -> None:
    begun.setdefault(event.stage, time.monotonic())


if __name__ == "__main__":
    main()
