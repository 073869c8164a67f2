"""How long advice takes, encoder warm, for a photograph of 12 megapixels, and how many a second the service gives.

    python -m benchmarks.advising [--model seemory-mini] [--works 40] [--home DIR] [--json FILE]

The photograph is scikit-image's astronaut, enlarged, with grain, saved as JPEG (as in benchmarks.decode); each request
sends other bytes, so that nothing is known from before. The library has that many works, made of scikit-image's
photographs. "by hand" is what a short program of one's own does for the nearest works, in the same run: Pillow's full
decode, the same encoder, NumPy over vectors held in memory. Fidelity: the cosines of both, and the service's answers
beside the library's own. `--model random` takes a ViT-B/32 with random weights, which costs what a real one costs.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from benchmarks import random_clip
from benchmarks.decode import photograph
from benchmarks.many_at_once import ask, serving
from seemory.memory import Memory
from seemory.settings import read_settings

MODES = ("similar", "dimensions", "combined")


def works(folder: Path, count: int) -> list[Path]:
    """Photographs of scikit-image, and parts of them, as files of their own."""
    sources = random_clip.photographs(None)
    made = []
    for n in range(count):
        with Image.open(sources[n % len(sources)]) as image:
            whole = image.convert("RGB")
        share = 1 - 0.08 * (n // len(sources))
        part = ImageOps.fit(whole, (max(64, int(whole.width * share)), max(64, int(whole.height * share))))
        made.append(folder / f"work{n:03}.jpg")
        part.save(made[-1], quality=90)
    return made


def taken(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median and 95th percentile of milliseconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1000)
    return float(np.median(times)), float(np.percentile(times, 95))


def by_hand(memory: Memory, folder: Path) -> Callable[[bytes], dict[str, float]]:
    """Cosines to all works, by name, as a program of twenty lines finds them."""
    encoder, names, vectors = memory.encoder, [], []
    for file in sorted(folder.iterdir()):
        with Image.open(file) as image:
            vectors.append(encoder.embed_images([image.convert("RGB")])[0])
        names.append(file.name)
    matrix = np.stack(vectors)

    def look(content: bytes) -> dict[str, float]:
        with Image.open(io.BytesIO(content)) as image:
            vector = encoder.embed_images([ImageOps.exif_transpose(image).convert("RGB")])[0]
        return dict(zip(names, (matrix @ vector).tolist(), strict=True))

    return look


async def clients(port: int, content: bytes, count: int, seconds: float) -> tuple[float, float, float]:
    """(answers a second, median and 95th percentile of milliseconds) of `count` clients of the mode `similar`."""
    times: list[float] = []
    start = time.perf_counter()

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() - start < seconds:
            begun = time.perf_counter()
            body = content + os.urandom(16)
            status, answer = await ask(reader, writer, "/v1/advise?advisor=works&mode=similar", "image/jpeg", body)
            assert status == 200, answer
            times.append((time.perf_counter() - begun) * 1000)
        writer.close()

    await asyncio.gather(*(one() for _ in range(count)))
    lasted = time.perf_counter() - start
    return len(times) / lasted, float(np.median(times)), float(np.percentile(times, 95))


async def once(port: int, content: bytes) -> dict[str, object]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    _, answer = await ask(reader, writer, "/v1/advise?advisor=works&mode=similar", "image/jpeg", content)
    writer.close()
    return dict(json.loads(answer))


def measure(arguments: argparse.Namespace, home: Path, folder: Path) -> dict[str, object]:
    model = str(random_clip.make(home / "random", 224).seemory) if arguments.model == "random" else arguments.model
    works(folder, arguments.works)
    written = io.BytesIO()
    photograph(4000, 3000).save(written, "JPEG", quality=85)
    content = written.getvalue()
    called = "ViT-B/32 of random weights" if arguments.model == "random" else Path(model).name
    found: dict[str, object] = {"model": called, "works": arguments.works, "bytes": len(content)}
    print(f"{found['model']}, {arguments.works} works, a JPEG of 4000 x 3000 and {len(content) / 1e6:.1f} MB\n")
    with Memory(read_settings(home=home, database={"keep_warm": True}), model=model) as memory:
        report = memory.advisors.add("works", folder)
        memory.index(next(folder.iterdir()))  # so that the service finds the collection's encoder
        again = memory.advisors.add("works", folder)
        if report.computed == arguments.works:
            each = 1000 * report.seconds / report.computed
            print(f"making the library: {report.seconds:.1f} s, {each:.0f} ms a work; again: {again.seconds:.2f} s\n")
            found |= {"ms a work": each, "again s": again.seconds}
        hand = by_hand(memory, folder)
        print(f"{'one request':28} {'median':>9} {'95 %':>9}   ms")
        ways: dict[str, Callable[[bytes], object]] = {
            mode: lambda given, mode=mode: memory.advise(given, "works", mode=mode)  # type: ignore[misc]
            for mode in MODES
        }
        for name, way in {**ways, "similar, by hand": hand}.items():
            way(content)  # warm
            median, slow = taken(lambda way=way: way(content + os.urandom(16)), arguments.rounds)  # type: ignore[misc]
            print(f"{name:28} {median:9.1f} {slow:9.1f}", flush=True)
            found[name] = {"median": median, "p95": slow}
        advice = memory.advise(content, "works", mode="similar", limit=min(100, arguments.works))
        cosines = hand(content)
        apart = max(abs(one.cosine - cosines[one.reference.file_name]) for one in advice.similar)
        print(f"\ncosines of both within {apart:.4f}")
        found["cosines within"] = apart
        own = memory.advise(content, "works", mode="similar", name="the picture sent").as_json()
    with serving(home, model, batching=True, queue=64, collection="default") as (port, _):
        for count in (1, 2, 8):
            rate, median, slow = asyncio.run(clients(port, content, count, arguments.seconds))
            print(f"service, similar, {count} clients {rate:8.1f} a second {median:9.1f} {slow:9.1f} ms", flush=True)
            found[f"service {count}"] = {"rate": rate, "median": median, "p95": slow}
        answer = asyncio.run(once(port, content))
        answer.pop("milliseconds")
        print(f"the service's answer is the library's: {answer == json.loads(json.dumps(own))}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="seemory-mini", help="a catalogue name, a folder, or random: ViT-B/32")
    parser.add_argument("--works", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each number of clients")
    parser.add_argument("--home", type=Path, help="a data folder to keep and use again")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    from seemory.store.connect import stop_embedded

    with tempfile.TemporaryDirectory() as place:
        home, folder = arguments.home or Path(place) / "home", Path(place) / "works"
        folder.mkdir()
        try:
            found = measure(arguments, home, folder)
        finally:
            stop_embedded(home)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
