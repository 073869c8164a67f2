"""Thirty-two clients of the service for a minute: searches by words and by picture, and uploads, mixed.

    python -m benchmarks.service_load [--model seemory-mini] [--clients 32] [--seconds 60] [--workers 1]

The server is the real one, in processes of its own (`seemory serve`), the clients are in this one, each with a
connection that it keeps and one request after the other on it; no two uploads and no two queries are alike. Said for
each kind: requests a second, 50th, 95th and 99th percentile of the time to the answer, and errors: every answer that is
not 200 or 201. At the end, whether each upload that was answered is there, and the most memory that the server's
processes took together, decoders included. `--workers 1,2` measures both, one after the other, in turns of a quarter.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import tempfile
import threading
import time
from pathlib import Path

import psutil

from benchmarks.many_at_once import DATA, KINDS, PICTURES, Load, Outcome, clients, material, read_mix, serving, together
from benchmarks.many_at_once import prepare as fill

MIX = "words=6,picture=2,upload=2"
TURNS = 4


class Memory:
    """The most that a process and its children have held at once, looked at ten times a second."""

    def __init__(self, server: psutil.Process) -> None:
        self._server = server
        self._ended = threading.Event()
        self.most = self.now()
        threading.Thread(target=self._look, daemon=True).start()

    def now(self) -> int:
        total = 0
        for process in (self._server, *self._server.children(recursive=True)):
            try:
                if process.name() != "postgres":
                    total += process.memory_info().rss
            except psutil.Error:
                continue
        return total

    def _look(self) -> None:
        while not self._ended.wait(0.1):
            self.most = max(self.most, self.now())

    def end(self) -> None:
        self._ended.set()


def added(home: Path, collection: str) -> int:
    from seemory.memory import Memory as Library
    from seemory.settings import read_settings

    with Library(read_settings(home=home, collection=collection, database={"keep_warm": True})) as library:
        return int(library.stats()["items"])


def row(name: str, outcome: Outcome, kind: str | None) -> dict[str, object]:
    count = len(outcome.taken_ms[kind]) if kind else outcome.answered
    figures = [count / outcome.seconds, *(outcome.percentile(one, kind) for one in (50, 95, 99))]
    errors = sum(number for status, number in outcome.statuses.items() if status not in (200, 201))
    told = str(errors) if kind is None else ""
    print(f"{name:22} {count:8,} " + "".join(f"{one:9.1f}" for one in figures) + f" {told:>7}", flush=True)
    names = ("rate", "p50", "p95", "p99")
    return {"what": name, "count": count, **dict(zip(names, figures, strict=True)), "errors": errors}


def measure(home: Path, arguments: argparse.Namespace) -> list[dict[str, object]]:
    words, files = material(arguments.data)
    fill(home, arguments.model, files[:PICTURES])
    pictures = [file.read_bytes() for file in files[:PICTURES]]
    counts = [int(one) for one in arguments.workers.split(",")]
    mix, numbers = read_mix(arguments.mix), itertools.count()
    name = Path(arguments.model).name
    print(f"{name}, {arguments.clients} clients, {arguments.seconds:g} s, {arguments.mix}\n")
    print(f"{'':22} {'requests':>8} {'a second':>9}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9} {'errors':>7}")
    rows: list[dict[str, object]] = []
    for workers, collection in zip(counts, ("off", "on"), strict=False):
        os.environ["SEEMORY_SERVICE__WORKERS"] = str(workers)
        before = added(home, collection)
        with serving(home, arguments.model, batching=True, queue=arguments.queue, collection=collection) as (
            port,
            server,
        ):
            rest = Memory(server)
            asyncio.run(clients(port, Load(words, pictures, {"words": 1, "picture": 1}, numbers), 8, 2.0))  # warm
            idle = rest.now()
            parts = [
                asyncio.run(
                    clients(port, Load(words, pictures, mix, numbers), arguments.clients, arguments.seconds / TURNS)
                )
                for _ in range(TURNS)
            ]
            rest.end()
        outcome = together(parts)
        label = f"{workers} worker{'s' if workers > 1 else ''}"
        rows.append(row(f"{label}, all", outcome, None))
        rows += [row(f"  {kind}", outcome, kind) for kind in KINDS if kind in mix]
        uploads = len(outcome.taken_ms["upload"])
        there = added(home, collection) - before
        others = {status: count for status, count in outcome.statuses.items() if status not in (200, 201)}
        print(f"  {uploads:,} uploads were answered with 201, and {there:,} items more are there")
        print(f"  other answers: {others or 'none'}")
        print(f"  memory: {idle / 1e6:,.0f} MB warm, {rest.most / 1e6:,.0f} MB at most, all its processes together")
        rows.append({"workers": workers, "uploads": uploads, "there": there, "idle": idle, "most": rest.most})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="seemory-mini", help="a catalogue name or a folder")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--mix", default=MIX)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--workers", default="1", help="how many workers; of two numbers, one after the other")
    parser.add_argument("--queue", type=int, default=64)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    from seemory.store.connect import stop_embedded

    start = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        try:
            rows = measure(Path(place), arguments)
        finally:
            stop_embedded(Path(place))
    print(f"  in {time.monotonic() - start:.0f} s altogether")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
