"""From an answer of the service to the first grid of pictures on the page, in a real browser, at 10,000 items.

    python -m benchmarks.page_grid [--items 10000] [--searches 12] [--browser /usr/bin/chromium] [--json FILE]

The server is the real one, in a process of its own; the pictures are crops of the demo's photographs with their
thumbnails, the vectors theirs with a little noise. The clock starts where the answer has come whole (as the browser's
own timing of the request has it) and stops at the frame after the tiles have their places, and again when every picture
in sight is there and decoded. Before it, the time from the request to the answer is given as well. The peer is the
least that shows the same: the same thumbnails of the same hits, put into a bare document by ten lines of script that
compute no rows. Each measurement has a browser of its own, whose cache is empty.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seemory.demo_photographs import PHOTOGRAPHS
from seemory.media.image import load_picture
from seemory.memory import Memory
from seemory.settings import read_settings
from seemory.store.connect import stop_embedded
from seemory.types import EmbeddingRecord, FileOutcome, PictureFacts

CROPS = 240
WORDS = ("a cat", "a temple", "red", "stars at night", "coffee", "stones", "a woman", "a machine", "grass", "the moon")

# Beside the page's own scripts: when the list changed last, the next frame after that, and when all in sight was there.
WATCH = """
() => {
  const list = document.querySelector("#grid"), told = (window.told = { painted: 0, seen: 0 });
  const shown = (one) => {
    const { top, bottom, width } = one.getBoundingClientRect();
    return width && bottom > 0 && top < innerHeight;
  };
  const look = async () => {
    const all = [...list.querySelectorAll("img")].filter(shown);
    if (!all.length || !all.every((one) => one.complete)) return setTimeout(look, 4);
    await Promise.all(all.map((one) => one.decode().catch(() => 0)));
    requestAnimationFrame(() => { told.seen = performance.now(); });
  };
  new MutationObserver(() => {
    if (told.painted || !list.children.length) return;
    told.painted = -1;
    requestAnimationFrame(() => setTimeout(() => { told.painted = performance.now(); look(); }));
  }).observe(list, { childList: true });
}
"""

BARE = """
async (asked) => {
  const told = (window.told = { painted: 0, seen: 0 });
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch("/page/search", { method: "POST", headers, body: JSON.stringify(asked) });
  const { hits } = await answer.json();
  const pictures = hits.map((hit) => {
    const made = new Image((hit.width / hit.height) * 180, 180);
    made.src = `/v1/items/${hit.id}/thumbnail`;
    return made;
  });
  document.body.replaceChildren(...pictures);
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  told.painted = performance.now();
  const sight = pictures.filter((one) => one.getBoundingClientRect().top < innerHeight);
  await Promise.all(sight.map((one) => one.decode().catch(() => 0)));
  requestAnimationFrame(() => { told.seen = performance.now(); });
}
"""


def fill(memory: Memory, count: int) -> None:
    """So many items, each with a thumbnail, a size and a vector; no file of them is on disk."""
    draw = random.Random(0)
    photographs = [path for one in PHOTOGRAPHS if (path := one.find())]
    crops = []
    for n in range(CROPS):
        picture = load_picture(photographs[n % len(photographs)], target=512).image
        shape = draw.choice((1.5, 1.33, 0.75, 1.0, 1.78))
        width = min(picture.width, picture.height * shape) * draw.uniform(0.7, 1)
        left, top = draw.uniform(0, picture.width - width), draw.uniform(0, max(0, picture.height - width / shape))
        crops.append(picture.crop((int(left), int(top), int(left + width), int(top + width / shape))))
    vectors = memory.encoder.embed_images(crops)
    targets = memory._rooms.targets().live  # what a program of measurement may
    noise = np.random.default_rng(0)
    record = EmbeddingRecord("seemory-mini", "bundled", vectors.shape[1])
    small = [_jpeg(crop) for crop in crops]
    outcomes = []
    for n in range(count):
        vector = vectors[n % CROPS] + 0.02 * noise.normal(size=vectors.shape[1])
        vector = (vector / np.linalg.norm(vector)).astype(np.float32)
        crop = crops[n % CROPS]
        facts = PictureFacts(crop.width * 4, crop.height * 4, "JPEG")
        outcomes.append(
            FileOutcome(
                f"/{n:06}.jpg", 1, n, n.to_bytes(32, "big"), facts=facts, thumbnail=small[n % CROPS], vector=vector,
                record=record,
            )
        )  # fmt: skip
    for start in range(0, count, 500):
        memory._rooms.items.write(memory.collection, targets.generation, outcomes[start : start + 500])
    memory._rooms.items.ensure_index(targets.generation)
    memory._rooms.items.analyze(targets.generation)


def _jpeg(crop: Any) -> bytes:
    import io

    small, buffer = crop.copy(), io.BytesIO()
    small.thumbnail((256, 256))
    small.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()


@contextlib.contextmanager
def served(home: Path) -> Iterator[str]:
    """The address of a server in a process of its own."""
    code = "from seemory.cli import main; main()"
    environment = os.environ | {"SEEMORY_HOME": str(home), "SEEMORY_SERVICE__LOG_REQUESTS": "false"}
    process = subprocess.Popen(
        [sys.executable, "-c", code, "serve", "--port", "0"], env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.search(r"at (http://\S+);", line)
        if not found:
            raise SystemExit(line + process.stderr.read())
        yield found[1]
    finally:
        process.terminate()
        process.wait(30)


def answer_of(page: Any) -> tuple[float, float]:
    """When the search was asked, and when its answer had come whole, in the page's milliseconds."""
    entry = page.evaluate(
        "performance.getEntriesByType('resource').filter((one) => /page.search/.test(one.name)).at(0).toJSON()"
    )
    return entry["startTime"], entry["responseEnd"]


def since_answer(page: Any) -> tuple[float, float, float]:
    """Milliseconds from the request to its answer, and from there until the tiles stand and all in sight is there."""
    while not (found := page.evaluate("window.told"))["seen"]:
        page.wait_for_timeout(20)
    began, came = answer_of(page)
    return came - began, found["painted"] - came, found["seen"] - came


def row(name: str, asked: Sequence[tuple[float, float, float]]) -> dict[str, Any]:
    columns = list(zip(*asked, strict=True))
    shown = [f"{statistics.median(one):9.0f} {max(one):6.0f}" for one in columns]
    print(f"{name:34}{''.join(shown)}", flush=True)
    names = ("answer_ms", "grid_ms", "pictures_ms")
    return {"what": name} | {key: list(one) for key, one in zip(names, columns, strict=True)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--searches", type=int, default=12)
    parser.add_argument("--browser", default=shutil.which("chromium") or shutil.which("google-chrome"))
    parser.add_argument("--keep", type=Path, help="a folder for the database, for the next run")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    from playwright.sync_api import sync_playwright

    words = [f"{WORDS[n % len(WORDS)]} {n}" for n in range(arguments.searches + 2)]
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        home = arguments.keep or Path(scratch)
        with Memory(read_settings(home=home), model="seemory-mini") as memory:
            if memory.stats()["items"] != arguments.items:
                fill(memory, arguments.items)
            with served(home) as address:
                browser = playwright.chromium.launch(executable_path=arguments.browser, args=["--no-sandbox"])
                report = measure(browser, address, words)
                browser.close()
        stop_embedded(home)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1))


def measure(browser: Any, address: str, words: Sequence[str]) -> list[dict[str, Any]]:
    """The page and the peer, in turns, with the same words."""
    ours, bare = [], []
    for said in words:
        with contextlib.closing(browser.new_page(viewport={"width": 1360, "height": 860})) as page:
            page.goto(f"{address}/?q=nothing+like+it")
            page.locator(".tile").first.wait_for()
            page.wait_for_timeout(500)
            page.evaluate("performance.clearResourceTimings()")
            page.evaluate(f"({WATCH})()")
            page.locator("#words").fill(said)
            ours.append(since_answer(page))
        with contextlib.closing(browser.new_page(viewport={"width": 1360, "height": 860})) as page:
            page.goto(f"{address}/?q=nothing+like+it")
            page.locator(".tile").first.wait_for()
            page.wait_for_timeout(500)
            page.evaluate("performance.clearResourceTimings()")
            asked = {"words": said, "limit": 60, "group": False}
            page.evaluate(f"(asked) => {{ ({BARE})(asked); }}", asked)
            bare.append(since_answer(page))
    ours, bare = ours[2:], bare[2:]  # the first two warm the server and the browser
    print(f"{'milliseconds, median and worst':34}{'answer':>16}{'grid':>16}{'pictures':>16}")
    return [row("the page", ours), row("bare pictures, no rows", bare)]


if __name__ == "__main__":
    main()
