"""What the four modes say of three photographs, one after the other, and how long each takes.

    python -m benchmarks.four_modes [--photos FILE …] [--url URL [--critic NAME]] [--pages DIR] [--json FILE]

The library is of scikit-image's photographs that are free of rights, with a catalogue and a biography; the photographs
are by default three of ../shared/data where that is there, else three of scikit-learn's and scikit-image's. Without
`--url` the critic is a server in this process that speaks as an OpenAI-compatible one does and **gives the same
critique, written by hand, to every picture**: what is shown is what becomes of a critic's words, not what a critic is
worth. Some of its scores are bold, so that disagreements are seen. `--pages` writes each combined answer as a page.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from textwrap import fill
from threading import Thread
from typing import Any, get_args

from seemory.advisors.advice import Advice, Mode
from seemory.demo_photographs import PHOTOGRAPHS
from seemory.memory import Memory
from seemory.settings import read_settings

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
THREE = (
    "ansel_adams/Adams_The_Tetons_and_the_Snake_River.jpg",
    "flickr8k_600/images/*.jpg",
    "coco_mini/images/*.jpg",
)
LIBRARY = ("astronaut", "cat", "rocket", "galaxies", "moon", "cameraman", "coins")
BIOGRAPHY = "Photographs of machines, animals and the sky that museums, agencies and their makers gave to everybody."
WRITTEN: dict[str, Any] = {
    "overall": "A calm picture that trusts its subject, and leaves the eye nowhere else to go.",
    "dimensions": {
        "composition": {"score": 6, "comment": "The subject sits where it can be found at once; its ground is wide."},
        "lighting": {"score": 7, "comment": "Soft light from one side, and shadows that still have drawing."},
        "focus_sharpness": {"score": 9, "comment": "Tack sharp where it matters."},
        "color_harmony": {"score": 6, "comment": "Few hues, near each other."},
        "subject_isolation": {"score": 7, "comment": "Nothing behind it asks for attention."},
        "depth_perspective": {"score": 3, "comment": "Flat: one plane, and nothing in front of it."},
        "visual_balance": {"score": 5, "comment": "Heavier on one side, which the empty ground half answers."},
        "emotional_impact": {"score": 4, "comment": "Pleasant, and soon forgotten."},
    },
    "advice": "Go nearer, and wait for something to happen in the space that is left.",
}


@contextmanager
def written_critic() -> Iterator[str]:
    """The address of a server that answers every question with `WRITTEN`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer({"data": [{"id": "written-by-hand"}]})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            choice = {"message": {"role": "assistant", "content": json.dumps(WRITTEN)}, "finish_reason": "stop"}
            self.answer({"choices": [choice], "usage": {"prompt_tokens": 0, "completion_tokens": 0}})

        def answer(self, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()


def library(folder: Path) -> tuple[Path, Path, Path]:
    """A folder of works, their catalogue and the biography, below `folder`."""
    works, catalogue, biography = folder / "works", folder / "catalogue.csv", folder / "biography.txt"
    works.mkdir()
    rows = [("file", "title", "source", "licence")]
    for photograph in PHOTOGRAPHS:
        if photograph.name in LIBRARY and (path := photograph.find()):
            file = works / f"{photograph.name}{path.suffix}"
            shutil.copy(path, file)
            made_by = (photograph.credit or "scikit-image").removesuffix(", CC0")
            rows.append((file.name, photograph.shows, made_by, "public domain or CC0"))
    with catalogue.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    biography.write_text(BIOGRAPHY)
    return works, catalogue, biography


def three() -> list[Path]:
    found = [path for pattern in THREE for path in sorted(DATA.glob(pattern))[:1]]
    if len(found) == len(THREE):
        return found
    return [path for one in PHOTOGRAPHS if one.name in ("temple", "flower", "motorcycle") and (path := one.find())]


def told(advice: Advice) -> list[str]:
    """What an answer says, in lines."""
    lines = [f"  nearest: {one.reference.name} ({one.reason})" for one in advice.similar]
    if advice.comparison is not None:
        scores = "  ".join(f"{one.dimension} {one.score:.1f}" for one in advice.comparison.standings)
        lines.append(f"  scores: {scores}")
    lines += [f"  - {one.text}" for one in advice.words]
    lines += [f"  missing: {one}" for one in advice.missing]
    return [fill(line, 118, subsequent_indent="    ") for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", nargs="+", type=Path)
    parser.add_argument("--url", help="a critic's server, in place of the one that is written by hand")
    parser.add_argument("--critic", default="written-by-hand", help="the critic's model there")
    parser.add_argument("--pages", type=Path, help="a folder for the combined answers as pages")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place, written_critic() as url:
        home = Path(place) / "home"
        critic = {"url": arguments.url or url, "model": arguments.critic}
        works, catalogue, biography = library(Path(place))
        with Memory(read_settings(home=home, critic=critic), model="seemory-mini") as memory:
            memory.advisors.add("commons", works, biography=biography, catalogue=catalogue)
            for photo in arguments.photos or three():
                memory.advise(photo, "commons", mode="dimensions")  # warm
                for mode in get_args(Mode):
                    start = time.perf_counter()
                    advice = memory.advise(photo, "commons", mode=mode)
                    taken = 1000 * (time.perf_counter() - start)
                    print(f"\n{photo.name}, {mode}: {taken:.0f} ms", *told(advice), sep="\n", flush=True)
                    found.append({"photograph": photo.name, "mode": mode, "ms": taken, "advice": advice.as_json()})
                if arguments.pages:
                    arguments.pages.mkdir(parents=True, exist_ok=True)
                    file = arguments.pages / f"{photo.stem}.html"
                    file.write_text(memory.advisors.page(advice, photo))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
