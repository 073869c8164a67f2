"""Seconds of film a second of work, and peak memory, for a long film made by joining and re-encoding real clips.

    python benchmarks/film.py FOLDER [--minutes M] [--detector NAME] [--film FILE] [--json FILE]

The clips in FOLDER are brought to one size (854 x 480, 24 frames a second), joined over and over, and encoded anew
(H.264); a pattern in a corner changes with every repetition, so that no frame comes twice and every chosen one is
embedded. FILE keeps the film, and is used if it is there. Each line is a process of its own: memory is its peak
resident size, of which the line "python and libraries" is the ground. Peers in the same run: decoding alone (PyAV), and
PySceneDetect's own `detect`. Without --minutes it is an hour, of which making the film takes the most: FILE keeps it
for the next time.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import queue
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

WIDTH, HEIGHT, RATE = 854, 480, 24


def clips(folder: Path) -> list[np.ndarray]:
    """The frames of all clips as `(h * 3 / 2, w)` planes (yuv420p)."""
    frames = []
    for path in sorted(folder.glob("*.mp4")):
        scaler = av.video.reformatter.VideoReformatter()
        with av.open(str(path)) as film:
            frames += [
                scaler.reformat(frame, width=WIDTH, height=HEIGHT, format="yuv420p").to_ndarray()
                for frame in film.decode(video=0)
            ]
    return frames


def marked(frames: list[np.ndarray], count: int) -> Iterator[np.ndarray]:
    for n in range(count):
        planes = frames[n % len(frames)].copy()
        again = n // len(frames)
        bits = np.array([(again >> bit) & 1 for bit in range(12)], np.uint8) * 200 + 20
        planes[8:24, 8 : 8 + 12 * 16] = np.repeat(bits, 16)[None]
        yield planes


def make(folder: Path, path: Path, minutes: float) -> None:
    frames = clips(folder)
    if not frames:
        raise SystemExit(f"no .mp4 in {folder}")
    partial = path.with_suffix(".partial.mp4")
    with av.open(str(partial), "w") as film:
        stream = film.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for n, planes in enumerate(marked(frames, round(minutes * 60 * RATE))):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = n, Fraction(1, RATE)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    partial.replace(path)


def ground(path: Path, _: str, home: Path) -> str:
    from scenedetect import detect  # noqa: F401

    from seemory.memory import open_memory

    with open_memory(home=home, model="seemory-mini") as memory:
        memory.encoder.load()
        memory.stats()
    return f"{path.stat().st_size / 1e6:.0f} MB film"


def decode(path: Path, _: str, __: Path) -> str:
    with av.open(str(path)) as film:
        film.streams.video[0].thread_type = "AUTO"
        return f"{sum(1 for _ in film.decode(video=0)):,} frames"


def scenedetect(path: Path, _: str, __: Path) -> str:
    from scenedetect import AdaptiveDetector, detect

    return f"{len(detect(str(path), AdaptiveDetector(3.0, min_scene_len=1.0))):,} scenes"


def index(path: Path, detector: str, home: Path) -> str:
    from seemory.memory import Memory
    from seemory.settings import read_settings

    settings = read_settings(home=home, collection=f"film-{detector}", video={"detector": detector})
    with Memory(settings, model="seemory-mini") as memory:
        report = memory.index(path)
        frames = sum(len(item.metadata["frames"]) for item in memory.items())
        return f"{memory.stats()['items']:,} scenes, {frames:,} frames embedded, {dict(report.counts)}"


WORK: dict[str, Callable[[Path, str, Path], str]] = {
    "python and libraries": ground,
    "decoding alone (PyAV)": decode,
    "PySceneDetect, adaptive": scenedetect,
    "seemory index": index,
}


def measured(name: str, path: Path, detector: str, home: Path, answers: Any) -> None:
    start = time.perf_counter()
    said = WORK[name](path, detector, home)
    seconds = time.perf_counter() - start
    answers.put((said, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def answer_of(child: Any, answers: Any, name: str) -> tuple[str, float, float]:
    """What a child measured; one that dies, of memory say, ends the run instead of leaving it waiting."""
    while True:
        try:
            return answers.get(timeout=1)
        except queue.Empty:
            if not child.is_alive():
                raise SystemExit(f"{name}: ended with {child.exitcode} and no answer") from None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--detector", default="best")
    parser.add_argument("--film", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--make-only", action="store_true", help="make the film and measure nothing")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        path = options.film or Path(scratch) / "long.mp4"
        processes = multiprocessing.get_context("spawn")
        if not path.exists():
            # In a process of its own as well: its peak would pass for that of its parent, and of those started later.
            maker = processes.Process(target=make, args=(options.folder, path, options.minutes))
            maker.start()
            maker.join()
            if maker.exitcode:
                return 1
        if options.make_only:
            return 0
        with av.open(str(path)) as film:
            length = (film.duration or 0) / 1e6
        for name in WORK:
            answers = processes.Queue()
            work = (name, path, options.detector, Path(scratch) / "home", answers)
            child = processes.Process(target=measured, args=work)
            child.start()
            said, seconds, memory = answer_of(child, answers, name)
            child.join()
            told = {"what": name, "said": said, "seconds": round(seconds, 1), "peak_mb": round(memory)}
            rows.append(told | {"film_seconds_a_second": round(length / seconds, 1)})
    print(f"{length / 60:.1f} minutes of {WIDTH} x {HEIGHT}, {RATE} frames a second; {os.cpu_count()} cores\n")
    print("| what | s | film s / s | peak MB | |\n| --- | --- | --- | --- | --- |")
    for one in rows:
        rate = "" if one["what"] == "python and libraries" else one["film_seconds_a_second"]
        print(f"| {one['what']} | {one['seconds']} | {rate} | {one['peak_mb']:,} | {one['said']} |")
    if options.json:
        told = {"film_seconds": length, "size": [WIDTH, HEIGHT], "rate": RATE, "cores": os.cpu_count(), "rows": rows}
        options.json.write_text(json.dumps(told, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
