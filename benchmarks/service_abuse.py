"""What hostile clients try at the service, and what comes back; whether anything was served, lost, or grew.

    python -m benchmarks.service_abuse [--small 10000]

The server is the real one (`seemory serve --keys required`, decoders of 500 MB, 5 s for a request, 2 s for a head). A
victim has pictures and a text in it; the attacker has a key of its own, which may do everything, and one that was
revoked. Each row is a kind of abuse: how many requests, what statuses, the most memory that the server's own process
and one of its decoders had meanwhile, and how long a harmless request of the victim took during it, at worst. At the
end all of the victim's rows and files are compared with what they were, and no answer may have said what only they say.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import psutil
from PIL import Image

from benchmarks.random_clip import photographs
from seemory.memory import Memory
from seemory.settings import read_settings
from seemory.store.connect import open_database, stop_embedded
from seemory.store.keys import Keys

SECRET = "the safe behind the painting opens with 4711"
QUEUE = 64
PNG = {"Content-Type": "image/png"}
JSON = {"Content-Type": "application/json"}


def picture(seed: int, size: int = 24) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def black_png(width: int, height: int) -> bytes:
    """A PNG of any size in a few bytes of work: equal rows of zeros."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    packer = zlib.compressobj(9)
    row = bytes(1 + 3 * width)
    rows = b"".join(packer.compress(row) for _ in range(min(height, 14_000))) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def bombs() -> list[bytes]:
    gif = saved(Image.new("P", (16_000, 12_000)), "GIF")
    scans = saved(picture(0, 2000), "JPEG", progressive=True, quality=5)
    start = scans.rindex(b"\xff\xda")
    scans = scans[:start] + scans[start:-2][:40] * 30_000 + b"\xff\xd9"
    return [black_png(14_000, 14_000), black_png(60_000, 60_000), gif, scans]


def polyglots() -> list[bytes]:
    page = b"<html><script>alert(1)</script></html>"
    image = picture(1)
    return [
        saved(image, "JPEG") + b"PK\x05\x06" + page,
        saved(image, "PNG") + page,
        saved(image, "JPEG", comment=page),
        saved(image, "GIF")[:-1] + b"\x21\xfe" + bytes([len(page)]) + page + b"\x00;",
        page,
        b"GIF89a/*" + page,
        b"%PDF-1.7 " + page,
        b"PK\x03\x04" + page,
        b"<svg onload='alert(1)'/>",
    ]


BROKEN = [
    b"[" * 200_000,
    b'{"words":' * 100_000,
    b'{"words": "\\ud800"}',
    b'{"words": "' + b"\\u0000" * 1000 + b'"}',
    b'{"words": "a", "limit": ' + b"9" * 100_000 + b"}",
    b'{"words": "a", "weights": {"words": 1e999}}',
    b'{"like": "../../etc/passwd"}',
    b'{"where": ["width>=99999999999999999999999"], "words": "a"}',
    b"\x00" * 10_000,
    b"x" * 1_000_001,
    b"x" * 30_000_000,
]


class Field:
    """The server, what its processes take, and how long an honest client waits."""

    def __init__(self, port: int, server: psutil.Process, honest: str, secrets: list[str]) -> None:
        self.port, self.server, self.secrets = port, server, secrets
        self.base = f"http://127.0.0.1:{port}"
        self._honest = {"Authorization": f"Bearer {honest}"}
        self.most = self.decoders = 0
        self.waited: list[float] = []
        self.refused = 0
        self.cut = 0
        """Connections that ended before there was an answer."""
        self.leaked: list[str] = []
        self._ended = threading.Event()
        threading.Thread(target=self._weigh, daemon=True).start()
        threading.Thread(target=self._ask, daemon=True).start()

    def _weigh(self) -> None:
        while not self._ended.wait(0.1):
            try:
                self.most = max(self.most, self.server.memory_info().rss)
                children = [one for one in self.server.children() if "postgres" not in one.name()]
                self.decoders = max([self.decoders, *(one.memory_info().rss for one in children)])
            except psutil.Error:
                continue

    def _ask(self) -> None:
        with httpx.Client(base_url=self.base, headers=self._honest, timeout=60) as client:
            while not self._ended.wait(0.2):
                start = time.perf_counter()
                try:
                    status = client.get("/v1/advisors").status_code
                except httpx.TransportError:
                    continue
                if status == 200:
                    self.waited.append(time.perf_counter() - start)
                else:
                    self.refused += 1

    def end(self) -> None:
        self._ended.set()

    def look(self, answer: httpx.Response) -> str:
        """Its status; what it says of the victim is kept."""
        self.leaked += [secret for secret in self.secrets if secret in answer.text]
        return str(answer.status_code)

    def row(self, name: str, statuses: Counter[str], seconds: float) -> None:
        told = ", ".join(f"{count:,} x {status}" for status, count in sorted(statuses.items()))
        told += f", {self.cut} cut and sent again" if self.cut else ""
        waited = f"{max(self.waited) * 1000:,.0f} ms" if self.waited else "–"
        if self.refused:
            waited += f", {self.refused} x 429"
        print(
            f"| {name} | {sum(statuses.values()):,} | {told} | {self.most / 1e6:,.0f} | {self.decoders / 1e6:,.0f} "
            f"| {waited} | {seconds:.0f} |",
            flush=True,
        )
        self.most = self.decoders = self.refused = self.cut = 0
        self.waited = []


Try = Callable[[httpx.AsyncClient, Field], Awaitable[Counter[str]]]


def sent(content: list[bytes], path: str, headers: dict[str, str], at_once: int = 16) -> Try:
    async def run(client: httpx.AsyncClient, field: Field) -> Counter[str]:
        places = asyncio.Semaphore(at_once)

        async def one(body: bytes) -> str:
            async with places:
                while True:
                    try:
                        status = field.look(await client.post(path, content=body, headers=headers))
                    except httpx.TransportError:
                        field.cut += 1  # and asked again, as any client would
                        continue
                    if status != "429":
                        return status
                    await asyncio.sleep(0.1)

        return Counter(await asyncio.gather(*map(one, content)))

    return run


def small(count: int) -> list[bytes]:
    """Pictures of 8 x 8, no two alike."""
    return [saved(picture(10_000 + n, 8), "PNG") for n in range(count)]


def dribbled(head: str, count: int, piece: bytes) -> Try:
    """Connections that say something now and then, and never all of it."""

    async def one(field: Field) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", field.port)
        writer.write(head.encode())
        try:
            while True:
                try:
                    told = await asyncio.wait_for(reader.read(200), 0.5)
                    return told.split(b" ", 2)[1].decode() if told else "closed"
                except TimeoutError:
                    writer.write(piece)
                    await writer.drain()
        except (ConnectionError, IndexError):
            return "closed"
        finally:
            writer.close()

    async def run(_: httpx.AsyncClient, field: Field) -> Counter[str]:
        return Counter(await asyncio.gather(*(one(field) for _ in range(count))))

    return run


async def routes(client: httpx.AsyncClient) -> list[tuple[str, str]]:
    described = (await client.get("/v1/openapi.json")).json()["paths"]
    page = ["items", "facets", "item", "duplicates", "map", "status"]
    return [
        (method.upper(), path) for path, methods in described.items() for method in methods if path != "/healthz"
    ] + [("GET", f"/page/{name}") for name in page]


def everywhere(values: list[str], headers: Callable[[str], dict[str, str]], *, operators: bool = False) -> Try:
    """Each value, at every route that the description names and the page's, in the path, the address and the body."""

    async def run(client: httpx.AsyncClient, field: Field) -> Counter[str]:
        seen: Counter[str] = Counter()
        for method, path in await routes(client):
            for value in values:
                if operators and ("reembedding" in path or path == "/metrics"):
                    continue  # they are about all owners, and this key may ask
                place = re.sub(r"\{\w+\}", value.replace("/", "%2F") or "x", path)
                given: dict[str, Any] = {"headers": headers(value), "params": {"owner": value, "id": value}}
                if path.endswith(("advise", "classify")) or (method, path) == ("POST", "/v1/items"):
                    given["content"] = saved(picture(3), "PNG")
                    given["headers"] |= PNG
                    given["params"] = {"advisor": value, "label": ["a", value]}
                elif path.endswith("upload"):
                    given["files"] = {"pictures": (value[:50], saved(picture(3), "PNG"))}
                elif method == "POST":
                    given["json"] = {
                        "like": value, "words": None, "paths": [value], "to": value, "owners": [value], "input": value,
                    }  # fmt: skip
                    if "search" in path:
                        given["json"] = {"like": value, "limit": 1000}
                    if "index" in path:
                        given["json"] = {"paths": [value]}
                    if "embeddings" in path:
                        given["json"] = {"model": value, "input": value}
                seen[field.look(await client.request(method, place, **given))] += 1
        return seen

    return run


@contextmanager
def serving(home: Path, collection: str) -> Iterator[tuple[int, psutil.Process]]:
    own = {"HOME": str(home), "COLLECTION": collection, "MODELS__OFFLINE": "true", "DATABASE__KEEP_WARM": "true"}
    own |= {
        "SERVICE__KEYS": "required",
        "SERVICE__DECODER_MB": "500",
        "SERVICE__TIMEOUT_S": "5",
        "SERVICE__HEAD_S": "2",
    }
    own |= {"SERVICE__QUEUE": str(QUEUE), "SERVICE__RATE": "0", "SERVICE__LOG_REQUESTS": "false"}
    command = [sys.executable, "-c", "from seemory.cli import main; main()", "serve", "--port", "0"]
    log = (home / "log").open("w+")
    process = subprocess.Popen(
        command, env=os.environ | {f"SEEMORY_{name}": value for name, value in own.items()}, stderr=log
    )
    try:
        while not (found := re.search(r"http://127\.0\.0\.1:(\d+)", (home / "log").read_text())):
            assert process.poll() is None, (home / "log").read_text()
            time.sleep(0.1)
        yield int(found[1]), psutil.Process(process.pid)
    finally:
        process.terminate()
        assert process.wait(60) == 0, "the server did not stop as it should"
        assert "Traceback" not in (home / "log").read_text(), (home / "log").read_text()


def everything(memory: Memory) -> dict[str, Any]:
    """All of an owner's items, and the bytes of their files."""
    return {
        str(item.item_id): (repr(item), Path(item.uri).read_bytes() if Path(item.uri).is_file() else None)
        for item in memory.items()
    }


async def attack(field: Field, key: str, revoked: str, victims: list[str], count: int, only: str) -> None:
    mine = {"Authorization": f"Bearer {key}"}
    wrong = ["", "Bearer", "Bearer smy_" + "a" * 43, f"Bearer {key[:-1]}", f"Bearer {key}x", f"Basic {key}"]
    wrong += [f"Bearer {key} {key}", "Bearer " + "x" * 8000, f"Bearer {key.upper()}", f"Bearer {key[::-1]}"]
    head = f"POST /v1/items HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Type: image/png\r\n"
    tries: list[tuple[str, Try]] = [
        ("bombs: PNG, GIF, JPEG of scans", sent(bombs() * 2, "/v1/items", mine | PNG, 4)),
        ("polyglots and pages called pictures", sent(polyglots(), "/v1/items", mine | PNG)),
        ("broken, deep and huge JSON", sent(BROKEN * 3, "/v1/search", mine | JSON)),
        ("bodies that dribble, 80 at once", dribbled(f"{head}Content-Length: 100000\r\n\r\n", 80, b"x")),
        ("heads that dribble, 500 at once", dribbled("GET /healthz HTTP/1.1\r\nHost: localhost\r\n", 500, b"a: b\r\n")),
        ("wrong keys at every route", everywhere(wrong, lambda value: {"Authorization": value})),
        ("a revoked key at every route", everywhere(victims[:1], lambda _: {"Authorization": f"Bearer {revoked}"})),
        ("another owner's ids at every route", everywhere(victims, lambda _: dict(mine), operators=True)),
        (f"{count:,} small uploads, 32 at once", sent(small(count), "/v1/items", mine | PNG, 32)),
    ]
    limits = httpx.Limits(max_connections=600)
    async with httpx.AsyncClient(base_url=field.base, timeout=120, limits=limits) as client:
        for name, run in (one for one in tries if only in one[0]):
            start = time.perf_counter()
            field.row(name, await run(client, field), time.perf_counter() - start)


def measure(home: Path, count: int, only: str) -> None:
    collection = f"abused-{uuid4().hex[:8]}"
    options = {"home": home, "collection": collection, "database": {"keep_warm": True}}
    with (
        Memory(read_settings(owner="victim", **options), model="seemory-mini") as victim,
        open_database(None, home=home, keep_warm=True) as database,
    ):
        victim.index(*photographs(None)[:12])
        victim.add(saved(picture(2), "PNG"))
        told = victim.remember(SECRET)
        keys = Keys(database)
        honest, (key, _), (revoked, old) = (
            keys.create("victim", "read")[0],
            *(keys.create("thief", "admin") for _ in "ab"),
        )
        keys.revoke(str(old.id))
        before = everything(victim)
        item, other, *_ = victim.items()
        guesses = [str(item.item_id), str(item.item_id)[:8], str(item.asset_id), item.uri, str(told.item_id), "victim"]
        secrets = [SECRET, str(item.sha256), other.uri.rpartition("/")[2], str(other.item_id)]
        print("| tried | requests | what came back | server MB | a decoder MB | an honest request, at worst | s |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        with serving(home, collection) as (port, server):
            field = Field(port, server, honest, secrets)
            asyncio.run(attack(field, key, revoked, guesses, count, only))
            field.end()
            with httpx.Client(base_url=field.base, headers={"Authorization": f"Bearer {honest}"}, timeout=60) as client:
                still = client.post("/v1/search", json={"words": "a cat"}).status_code
            idle = server.memory_info().rss
        after = everything(victim)
        with Memory(read_settings(owner="thief", **options)) as thief:
            items = thief.stats()["items"]
        print(f"\nserved of the victim's: {sorted(set(field.leaked)) or 'nothing'}")
        lost = sum(before[one] != after.get(one) for one in before)
        print(f"lost or changed of the victim's {len(before)} items and files: {lost}")
        print(f"the attacker's items that are there: {items:,}; the server afterwards: {still}, {idle / 1e6:,.0f} MB")
        assert not field.leaked
        assert before == after


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=10_000, help="how many small uploads")
    parser.add_argument("--only", default="", help="only what has this in its name")
    arguments = parser.parse_args()
    random.seed(0)
    with tempfile.TemporaryDirectory() as place:
        try:
            measure(Path(place), arguments.small, arguments.only)
        finally:
            stop_embedded(Path(place))


if __name__ == "__main__":
    main()
