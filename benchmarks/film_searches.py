"""Searches in films with the frames that answered them as pictures, so that somebody can look whether they are right.

    python benchmarks/film_searches.py FOLDER OUT [--model NAME] [--words TEXT ...] [--picture FILE] [--limit N]

Indexes the films in FOLDER into a memory of its own, asks each of the TEXTs (and for FILE) among scenes, neighbours
apart, and writes for each answer one picture into OUT: a row of the hits, best first, each the frame at the hit's
moment, fetched out of the film again by its time, and under it the scene's thumbnail. A table of the hits is printed.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from seemory.media.video import frames_at
from seemory.memory import Memory
from seemory.settings import read_settings
from seemory.store.connect import stop_embedded
from seemory.timecode import clock
from seemory.types import Hit, Hits

WORDS = ("a tree on a green hill", "a bird on a branch", "a rabbit under a tree")
SIDE = 240


def panel(memory: Memory, hit: Hit) -> Image.Image:
    """The frame at the hit's moment, its thumbnail, and what is said of it."""
    assert hit.moment_s is not None
    (pixels,) = frames_at(Path(hit.uri), [hit.moment_s], side=SIDE)
    frame = Image.fromarray(pixels)
    thumbnail = Image.open(io.BytesIO(memory.thumbnail(hit.item_id) or b"")).convert("RGB")
    drawn = Image.new("RGB", (max(frame.width, thumbnail.width), frame.height + thumbnail.height + 20), "white")
    drawn.paste(frame, (0, 20))
    drawn.paste(thumbnail, (0, 20 + frame.height))
    said = f"{hit.rank}. {Path(hit.uri).name} at {clock(hit.moment_s)}  score {hit.score:.2f}"
    ImageDraw.Draw(drawn).text((4, 4), said, fill="black")
    return drawn


def sheet(memory: Memory, hits: Hits, file: Path) -> None:
    panels = [panel(memory, hit) for hit in hits if hit.moment_s is not None]
    drawn = Image.new("RGB", (sum(one.width + 8 for one in panels), max(one.height for one in panels)), "white")
    at = 0
    for one in panels:
        drawn.paste(one, (at, 0))
        at += one.width + 8
    drawn.save(file)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="seemory-mini")
    parser.add_argument("--words", nargs="+", default=WORDS)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--limit", type=int, default=4)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with Memory(read_settings(home=home, model=options.model)) as memory:
            report = memory.index(options.folder)
            asked: list[dict[str, Any]] = [{"words": words} for words in options.words]
            asked += [{"image": options.picture}] if options.picture else []
            print(f"{report.indexed} films, {sum(1 for _ in memory.items())} scenes")
            print("| asked | hit | scene | moment | score | cosine |\n| --- | --- | --- | --- | --- | --- |")
            for number, query in enumerate(asked, start=1):
                hits = memory.search(**query, kind="scene", group=False, limit=options.limit)
                for hit in hits:
                    scene = f"{clock(hit.start_s or 0)}-{clock(hit.end_s or 0)}"
                    moment = "-" if hit.moment_s is None else f"{hit.moment_s:.2f}"
                    print(
                        f"| {next(iter(query.values()))} | {hit.rank}. {Path(hit.uri).name} | {scene} | {moment} "
                        f"| {hit.score:.2f} | {hit.cosine:.3f} |"
                    )
                sheet(memory, hits, options.out / f"search-{number}.png")
        stop_embedded(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
