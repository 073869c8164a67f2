"""How long advice takes, encoder warm, for a photograph of 12 megapixels, and how many a second the service gives.

    python -m benchmarks.advising [--model seemory-mini | random[@int8]] [--works 40] [--home DIR] [--json FILE]

The photograph is scikit-image's astronaut, enlarged, with grain, saved as JPEG (as in benchmarks.decode); each request
sends other bytes, so that nothing is known from before. The library has that many works, made of scikit-image's
photographs. "by hand" is what a short program of one's own does for the nearest works, in the same run: Pillow's full
decode, the same encoder, NumPy over vectors held in memory. Fidelity: the cosines of both, and the service's answers
beside the library's own. `--model random` takes a ViT-B/32 with random weights, which costs what a real one costs;
`random@int8` the same in 8 bits, its cosines beside those of fp32. "Parts" are what one answer of `similar` is made of.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageOps

from benchmarks import random_clip
from benchmarks.decode import photograph
from benchmarks.many_at_once import ask, serving
from seemory.advisors.likeness import labelled, likenesses, nearest
from seemory.advisors.photograph import Photograph
from seemory.advisors.regions import parts as regions
from seemory.advisors.subjects import Subjects
from seemory.memory import Memory
from seemory.settings import read_settings

T = TypeVar("T")
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


def shown(folder: Path) -> Iterator[Image.Image]:
    """The works, decoded in full."""
    for file in sorted(folder.iterdir()):
        with Image.open(file) as image:
            yield image.convert("RGB")


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


def parts(memory: Memory, content: bytes, rounds: int) -> dict[str, float]:
    """Median milliseconds of what one answer of the mode `similar` is made of."""
    encoder, subjects, rooms = memory.encoder, Subjects(), memory._rooms
    taken: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], T]) -> T:
        start = time.perf_counter()
        done = work()
        taken.setdefault(name, []).append((time.perf_counter() - start) * 1000)
        return done

    for _ in range(rounds + 1):
        given = content + os.urandom(16)
        seen = timed("hash", lambda given=given: Photograph.read(given, max_pixels=10**9))  # type: ignore[misc]
        picture = timed("decode", lambda seen=seen: seen.look(encoder.image_size).image)  # type: ignore[misc]
        vector = timed("the pass", lambda picture=picture: encoder.embed_images([picture])[0])  # type: ignore[misc]
        timed("five regions", lambda picture=picture: encoder.embed_images(regions(picture)))  # type: ignore[misc]
        shelf = timed("the library read", lambda: rooms.libraries.shelf("works", encoder.fingerprint))
        works, vectors = [one for one, _ in shelf], np.stack([one for _, one in shelf if one is not None])
        timed(
            "compared, with subjects",
            lambda v=vector, w=works, m=vectors: labelled(  # type: ignore[misc]
                nearest(likenesses(encoder, v, w, m, sha256=b""), 3), encoder, subjects, v, w, m
            ),
        )
    return {name: float(np.median(one[1:])) for name, one in taken.items()}


async def clients(
    port: int, content: bytes, count: int, seconds: float, *, regions: bool = True
) -> tuple[float, float, float]:
    """(answers a second, median and 95th percentile of milliseconds) of `count` clients of the mode `similar`."""
    path = f"/v1/advise?advisor=works&mode=similar&regions={str(regions).lower()}"
    times: list[float] = []
    start = time.perf_counter()

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() - start < seconds:
            begun = time.perf_counter()
            body = content + os.urandom(16)
            status, answer = await ask(reader, writer, path, "image/jpeg", body)
            assert status == 200, answer
            times.append((time.perf_counter() - begun) * 1000)
        writer.close()

    await asyncio.gather(*(one() for _ in range(count)))
    lasted = time.perf_counter() - start
    return len(times) / lasted, float(np.median(times)), float(np.percentile(times, 95))


async def once(port: int, content: bytes) -> dict[str, object]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    _, answer = await ask(reader, writer, "/v1/advise?advisor=works&mode=similar&regions=true", "image/jpeg", content)
    writer.close()
    return dict(json.loads(answer))


def ceiling(memory: Memory, folder: Path) -> float:
    """Pictures a second of the image tower by itself, in batches of eight that are decoded already: no service of
    this encoder answers more."""
    pictures = list(shown(folder))[:8]
    memory.encoder.embed_images(pictures)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        memory.encoder.embed_images(pictures)
        times.append(time.perf_counter() - start)
    rate = len(pictures) / float(np.median(times))
    print(f"the image tower alone, eight at once: {rate:.1f} pictures a second")
    return rate


def alone(
    memory: Memory, arguments: argparse.Namespace, model: str, home: Path, folder: Path, content: bytes
) -> dict[str, Any]:
    """Of one request after the other, from Python."""
    found: dict[str, Any] = {}
    hand = by_hand(memory, folder)
    print(f"{'one request':28} {'median':>9} {'95 %':>9}   ms")
    ways: dict[str, Callable[[bytes], object]] = {
        mode: lambda given, mode=mode: memory.advise(given, "works", mode=mode)  # type: ignore[misc]
        for mode in MODES
    }
    ways["similar, no regions"] = lambda given: memory.advise(given, "works", mode="similar", regions=False)
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
    found["parts"] = parts(memory, content, arguments.rounds)
    print("parts of similar, ms: " + ", ".join(f"{name} {ms:.1f}" for name, ms in found["parts"].items()))
    if precision := model.partition("@")[2]:
        whole = memory.encoder.embed_images(list(shown(folder)))
        with Memory(read_settings(home=home / "whole"), model=model.partition("@")[0]) as other:
            apart = np.sum(whole * other.encoder.embed_images(list(shown(folder))), axis=1)
        found["to fp32"] = {"mean": float(apart.mean()), "p5": float(np.percentile(apart, 5))}
        print(f"cosine of {precision} to fp32: mean {apart.mean():.4f}, 5 % {np.percentile(apart, 5):.4f}")
    return found


def measure(arguments: argparse.Namespace, home: Path, folder: Path) -> dict[str, object]:
    name, _, precision = arguments.model.partition("@")
    model = arguments.model
    if name == "random":
        model = str(random_clip.make(home / "random", 224).seemory) + (f"@{precision}" if precision else "")
    works(folder, arguments.works)
    written = io.BytesIO()
    photograph(4000, 3000).save(written, "JPEG", quality=85)
    content = written.getvalue()
    called = f"ViT-B/32 of random weights, {precision or 'fp32'}" if name == "random" else Path(model).name
    found: dict[str, Any] = {"model": called, "works": arguments.works, "bytes": len(content)}
    print(f"{found['model']}, {arguments.works} works, a JPEG of 4000 x 3000 and {len(content) / 1e6:.1f} MB\n")
    with Memory(read_settings(home=home, database={"keep_warm": True}), model=model) as memory:
        report = memory.advisors.add("works", folder)
        memory.index(next(folder.iterdir()))  # so that the service finds the collection's encoder
        again = memory.advisors.add("works", folder)
        if report.computed == arguments.works:
            each = 1000 * report.seconds / report.computed
            print(f"making the library: {report.seconds:.1f} s, {each:.0f} ms a work; again: {again.seconds:.2f} s\n")
            found |= {"ms a work": each, "again s": again.seconds}
        if arguments.rounds:
            found |= alone(memory, arguments, model, home, folder, content)
        found["tower"] = ceiling(memory, folder)
        own = memory.advise(content, "works", mode="similar", name="the picture sent").as_json()
    with serving(home, model, batching=True, queue=64, collection="default") as (port, _):
        for count, with_regions in ((1, False), (8, False), (1, True), (8, True)):
            outcome = clients(port, content, count, arguments.seconds, regions=with_regions)
            rate, median, slow = asyncio.run(outcome)
            how = f"service, similar, {count} clients{', with regions' if with_regions else ''}"
            print(f"{how:42} {rate:8.1f} a second {median:9.1f} {slow:9.1f} ms", flush=True)
            found[how] = {"rate": rate, "median": median, "p95": slow}
        answer = asyncio.run(once(port, content))
        answer.pop("milliseconds")
        print(f"the service's answer is the library's: {answer == json.loads(json.dumps(own))}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="seemory-mini", help="a catalogue name, a folder, or random: ViT-B/32")
    parser.add_argument("--works", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=20, help="0: the service alone")
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
