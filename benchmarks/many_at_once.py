"""Thirty-two clients of the service: requests a second and waiting times, with batching and without, in one run.

    python -m benchmarks.many_at_once [--model random] [--home DIR] [--mix words=6,picture=2,upload=2]

The server is the real one, in a process of its own (`seemory serve`), the clients are in this one, each with a
connection that it keeps and one request after the other on it. The peer is the same server with
`service.batching = false`: 32 threads that each run the encoder and commit for themselves. Each mix is measured with
both, in turns, beside what the towers alone gain from a batch: more than that no service can gain for the encoder's
part. Words are captions, no two alike, and pictures are photographs made new by bytes behind their end, so that nothing
is known from before. The processor time of server and Postgres together is given for a request: other work on the
machine changes the rate, and hardly that. Fidelity: the same searches asked of both servers.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from benchmarks import random_clip

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
KINDS = ("words", "picture", "upload")
PICTURES = 100


@dataclass
class Load:
    """What clients ask for."""

    words: list[str]
    pictures: list[bytes]
    mix: dict[str, int]
    number: Iterator[int] = field(default_factory=itertools.count)

    def next(self, draw: random.Random) -> tuple[str, str, str, bytes]:
        """(kind, path, content type, body) of one request."""
        kind = draw.choices(list(self.mix), list(self.mix.values()))[0]
        number = next(self.number)
        picture = self.pictures[number % len(self.pictures)]
        if kind == "words":
            text = self.words[number % len(self.words)]
            return kind, "/v1/search", "application/json", json.dumps({"words": text}).encode()
        if kind == "picture":
            return kind, "/v1/search", "image/jpeg", picture + os.urandom(16)
        return kind, "/v1/items", "image/jpeg", picture + os.urandom(16)


@dataclass
class Outcome:
    """What one run of clients saw."""

    seconds: float
    cpu_s: float
    """Processor time of the server and of Postgres."""
    taken_ms: dict[str, list[float]]
    statuses: Counter[int]

    @property
    def answered(self) -> int:
        return sum(map(len, self.taken_ms.values()))

    @property
    def rate(self) -> float:
        return self.answered / self.seconds

    @property
    def cpu_ms(self) -> float:
        return self.cpu_s * 1000 / max(self.answered, 1)

    def percentile(self, percent: float, kind: str | None = None) -> float:
        taken = self.taken_ms[kind] if kind else [one for some in self.taken_ms.values() for one in some]
        return float(np.percentile(taken, percent)) if taken else float("nan")


@contextlib.contextmanager
def serving(
    home: Path, model: str, *, batching: bool, queue: int, collection: str
) -> Iterator[tuple[int, psutil.Process]]:
    """A server of its own process, and its port."""
    own = {"SEEMORY_HOME": str(home), "SEEMORY_SERVICE__BATCHING": str(batching), "SEEMORY_SERVICE__QUEUE": str(queue)}
    own |= {"SEEMORY_DATABASE__KEEP_WARM": "true", "SEEMORY_MODELS__OFFLINE": "true"}
    own["SEEMORY_SERVICE__LOG_REQUESTS"] = "false"  # nobody reads the pipe meanwhile
    own |= {"SEEMORY_COLLECTION": collection}
    command = [sys.executable, "-c", "from seemory.cli import main; main()", "serve", "--port", "0", "--model", model]
    server = subprocess.Popen(command, env=os.environ | own, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        said = server.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", said)
        assert found, said + server.stderr.read()
        yield int(found[1]), psutil.Process(server.pid)
    except BaseException:
        server.kill()
        raise
    server.terminate()
    assert server.wait(60) == 0, "the server did not stop as it should"


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, kind: str, body: bytes
) -> tuple[int, bytes]:
    """Status and body of one request on a connection that stays open."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    answer = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", answer)
    content = await reader.readexactly(int(length[1])) if length else b""
    return int(answer.split(b" ", 2)[1]), content


def processor_seconds(home: Path, server: psutil.Process) -> float:
    """What the server and all of Postgres have used so far; what others use of the machine does not count."""
    postmaster = psutil.Process(int((home / "postgres" / "postmaster.pid").read_text().split()[0]))
    used = 0.0
    for process in (server, postmaster, *postmaster.children()):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used += times.user + times.system
    return used


async def clients(port: int, load: Load, count: int, seconds: float) -> Outcome:
    taken: dict[str, list[float]] = {kind: [] for kind in KINDS}
    statuses: Counter[int] = Counter()
    start = time.perf_counter()

    async def one(number: int) -> None:
        draw = random.Random(number)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() - start < seconds:
            kind, path, content_type, body = load.next(draw)
            begun = time.perf_counter()
            status, _ = await ask(reader, writer, path, content_type, body)
            statuses[status] += 1
            if status in (200, 201):
                taken[kind].append((time.perf_counter() - begun) * 1000)
            else:
                await asyncio.sleep(0.1)
        writer.close()

    await asyncio.gather(*(one(number) for number in range(count)))
    return Outcome(time.perf_counter() - start, 0.0, taken, statuses)


async def answers(port: int, words: list[str], pictures: list[bytes], together: int) -> list[dict[str, float]]:
    """The hits of some searches, file to cosine, asked `together` at once."""
    places = asyncio.Semaphore(together)

    async def one(kind: str, body: bytes) -> dict[str, float]:
        async with places:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            status, content = await ask(reader, writer, "/v1/search", kind, body)
            writer.close()
            assert status == 200, content
            return {hit["uri"]: hit["cosine"] for hit in json.loads(content)["hits"]}

    asked = [one("application/json", json.dumps({"words": text}).encode()) for text in words]
    return await asyncio.gather(*asked, *(one("image/jpeg", picture) for picture in pictures))


def compare(one: list[dict[str, float]], other: list[dict[str, float]]) -> tuple[float, float]:
    """(share of hits that both have, largest difference of a cosine that both have)."""
    shared = [len(a.keys() & b.keys()) / max(len(a), 1) for a, b in zip(one, other, strict=True)]
    apart = [abs(a[item] - b[item]) for a, b in zip(one, other, strict=True) for item in a.keys() & b.keys()]
    return float(np.mean(shared)), max(apart)


def towers(home: Path, model: str, words: list[str], pictures: list[bytes]) -> dict[str, float]:
    """Texts and pictures a second of processor time in batches of 1 and 16, one pass after the other; no service."""
    from io import BytesIO

    from seemory.media.image import read_picture
    from seemory.models.loading import load_encoder

    encoder = load_encoder(model, home=home, offline=True)
    squares = np.stack(
        [encoder.preprocess(read_picture(BytesIO(one), target=encoder.image_size).image) for one in pictures[:64]]
    )
    texts = sorted(words[:320], key=len)  # the service has texts of like length share a pass
    rates = {}
    for size in (1, 16):
        for name, things, run in (("text", texts, encoder.embed_texts), ("picture", squares, encoder.embed_pixels)):
            run(things[:size])
            start, done = time.process_time(), 0
            while time.process_time() - start < 4.0:
                at = done % (len(things) - size + 1)
                run(things[at : at + size])
                done += size
            rates[f"{name} tower, batches of {size}"] = done / (time.process_time() - start)
    return rates


def together(turns: list[Outcome]) -> Outcome:
    """The turns as one."""
    taken = {kind: [one for turn in turns for one in turn.taken_ms[kind]] for kind in KINDS}
    statuses = sum((turn.statuses for turn in turns), Counter())
    return Outcome(sum(turn.seconds for turn in turns), sum(turn.cpu_s for turn in turns), taken, statuses)


def prepare(home: Path, model: str, pictures: list[Path]) -> None:
    """The same pictures in two collections, so that neither server's uploads make the other's searches longer.

    A home may be kept for several models: each has its own two.
    """
    from seemory.memory import Memory
    from seemory.settings import read_settings

    for collection in collections(model).values():
        settings = read_settings(home=home, model=model, collection=collection, database={"keep_warm": True})
        with Memory(settings) as memory:
            memory.index(*pictures)


def collections(model: str) -> dict[bool, str]:
    """Of the server without batching and of the one with it."""
    return {batching: f"{Path(model).name}, {'on' if batching else 'off'}" for batching in (False, True)}


def material(data: Path) -> tuple[list[str], list[Path]]:
    """Captions and photographs: Flickr8k's where they are, else scikit-image's with captions put together."""
    captions, folder = data / "text" / "flickr8k_captions.txt", data / "flickr8k_600" / "images"
    if captions.is_file() and folder.is_dir():
        lines = captions.read_text(encoding="utf-8").splitlines()
        # A quotation would be a condition.
        words = [line.partition("\t")[2].replace('"', "") for line in lines]
        files = sorted(folder.iterdir())
    else:
        things = ("dog", "child", "woman", "boat", "horse", "bird", "man in a hat", "car", "cup of coffee", "cat")
        acts = ("runs along", "stands before", "is seen beside", "waits at", "turns away from", "looks out over")
        words = [
            f"a {a} {does} the {b} of number {n}" for n in range(40) for a in things for does in acts for b in things
        ]
        files = random_clip.photographs(None)
    random.Random(0).shuffle(words)
    return words, files


def read_mix(text: str) -> dict[str, int]:
    return {kind: int(weight) for kind, _, weight in (part.partition("=") for part in text.split(","))}


def show(name: str, mode: str, seen: Outcome) -> dict[str, object]:
    refused = seen.statuses[429]
    errors = sum(count for status, count in seen.statuses.items() if status not in (200, 201, 429))
    figures = {"rate": seen.rate, "cpu ms": seen.cpu_ms} | {f"p{one}": seen.percentile(one) for one in (50, 95, 99)}
    columns = "".join(f"{figure:9.1f}" for figure in figures.values())
    print(f"{name:26} {mode:8} {columns} {errors:7} {refused:6}", flush=True)
    by_kind = {f"p99 {kind}": seen.percentile(99, kind) for kind in KINDS if seen.taken_ms[kind]}
    return {"mix": name, "mode": mode, **figures, "errors": errors, "refused": refused, **by_kind}


def measure(home: Path, arguments: argparse.Namespace) -> list[dict[str, object]]:
    words, files = material(arguments.data)
    if arguments.model == "random":
        arguments.model = str(random_clip.make(home / "random", 224).seemory)
    prepare(home, arguments.model, files[:PICTURES])
    pictures = [file.read_bytes() for file in files[:PICTURES]]
    name = Path(arguments.model).name
    print(f"{name}, {arguments.clients} clients, {arguments.seconds:g} s a row, in {arguments.turns} turns\n")
    alone = towers(home, arguments.model, words, pictures)
    for what, rate in alone.items():
        print(f"{what:32} {rate:8.1f} a second of one core")
    for tower in ("text", "picture"):
        gain = alone[f"{tower} tower, batches of 16"] / alone[f"{tower} tower, batches of 1"]
        print(f"{tower + ' tower gains':32} {gain:8.2f} x")
    heads = "".join(f"{head:>9}" for head in ("req/s", "cpu ms", "p50 ms", "p95 ms", "p99 ms"))
    print(f"\n{'mix':26} batching {heads}  errors    429")
    rows: list[dict[str, object]] = [{"towers": alone}]
    found = {}
    numbers = itertools.count()
    seen: dict[tuple[str, bool], Outcome] = {}
    with contextlib.ExitStack() as servers:
        ports = {
            batching: servers.enter_context(
                serving(home, arguments.model, batching=batching, queue=arguments.queue, collection=collection)
            )
            for batching, collection in collections(arguments.model).items()
        }
        for batching, (port, _) in ports.items():
            asyncio.run(clients(port, Load(words, pictures, {"words": 1, "picture": 1}, numbers), 8, 2.0))  # warm
            found[batching] = asyncio.run(answers(port, words[-24:], pictures[:8], 32 if batching else 1))
        for mix in arguments.mix:
            turns: dict[bool, list[Outcome]] = {False: [], True: []}
            for turn in range(2 * arguments.turns):
                batching = turn % 2 == 1
                load = Load(words, pictures, read_mix(mix), numbers)
                part = arguments.seconds / arguments.turns
                port, server = ports[batching]
                before = processor_seconds(home, server)
                outcome = asyncio.run(clients(port, load, arguments.clients, part))
                outcome.cpu_s = processor_seconds(home, server) - before
                turns[batching].append(outcome)
            for batching, outcomes in turns.items():
                seen[mix, batching] = together(outcomes)
                rows.append(show(mix, "on" if batching else "off", seen[mix, batching]))
    for mix in arguments.mix:
        on, off = seen[mix, True], seen[mix, False]
        ratio, less = on.rate / off.rate, off.cpu_ms / on.cpu_ms
        print(f"{mix:26} {ratio:.2f} x the requests a second, {less:.2f} x as many for the same processor time")
        rows.append({"mix": mix, "ratio": ratio, "per processor time": less})
    shared, apart = compare(found[False], found[True])
    print(f"same searches, 32 at once against one by one: {shared:.1%} of the hits, cosines within {apart:.1e}")
    rows.append({"hits shared": shared, "cosines within": apart})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="random", help="a catalogue name, a folder, or random: ViT-B/32")
    parser.add_argument("--home", type=Path, help="a data folder to keep and use again")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--mix", action="append", help="repeatable; by default a mix, and each kind alone")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each mix and each server")
    parser.add_argument("--turns", type=int, default=4, help="that the two servers take in that time")
    parser.add_argument("--queue", type=int, default=64)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    arguments.mix = arguments.mix or ["words=6,picture=2,upload=2", "words=1", "picture=1", "upload=1"]
    from seemory.store.connect import stop_embedded

    with tempfile.TemporaryDirectory() as place:
        home = arguments.home or Path(place) / "home"
        try:
            rows = measure(home, arguments)
        finally:
            stop_embedded(home)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
