"""Cuts found in real clips against cuts looked at by eye: precision and recall of each detector, within one frame.

    python benchmarks/cuts.py FOLDER [--json FILE]

FOLDER has `big_buck_bunny_30s.mp4`, `bikes.mp4` and `fades.mp4`. The peer in the same run is PySceneDetect by itself:
its own `detect` over its OpenCV reader, with the same figures for the detectors. "s" is the time of one run, with
decoding.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from scenedetect import AdaptiveDetector, ContentDetector, ThresholdDetector, detect

from seemory.media.scenes import DETECTORS, CutFinder, Detector
from seemory.media.video import open_film

# Frames that begin a scene. Those of the first two were looked at; of a fade there is no such frame, and what counts is
# the middle of the black.
CHECKED = {
    "big_buck_bunny_30s.mp4": [285, 378, 553],
    "bikes.mp4": [30, 76, 137, 187, 242],
    "fades.mp4": [84, 167],
}
WITHIN = 1  # frames

PEERS: dict[str, Callable[[], object]] = {
    "adaptive": lambda: AdaptiveDetector(3.0, min_scene_len=1.0, window_width=2, min_content_val=15.0),
    "content": lambda: ContentDetector(27.0, min_scene_len=1.0),
    "threshold": lambda: ThresholdDetector(12, min_scene_len=1.0),
}


def ours(path: Path, detector: Detector) -> tuple[list[int], str]:
    with open_film(path) as film:
        views, finder = film.views(480), CutFinder(detector, film.rate)
        for frame in film.frames():
            finder.see(frame.time_s, views.small(frame.image))
        finder.end()
    return finder.cuts[finder.best()], finder.best()


def theirs(path: Path, detector: str) -> list[int]:
    scenes = detect(str(path), PEERS[detector](), start_in_scene=True)  # type: ignore[arg-type]
    return [start.frame_num for start, _ in scenes[1:]]


def hits(found: list[int], wanted: list[int]) -> int:
    """How many of the cuts that were found have a wanted one of their own within a frame."""
    left, right = list(wanted), 0
    for cut in found:
        near = next((one for one in left if abs(one - cut) <= WITHIN), None)
        if near is not None:
            left.remove(near)
            right += 1
    return right


def row(name: str, who: str, detector: str, found: list[int], seconds: float) -> dict[str, object]:
    right = hits(found, CHECKED[name])
    return {
        "clip": name,
        "who": who,
        "detector": detector,
        "precision": right / len(found) if found else None,
        "recall": right / len(CHECKED[name]),
        "found": found,
        "seconds": round(seconds, 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for name in CHECKED:
        if not (options.folder / name).is_file():
            print(f"{name} is not in {options.folder}", file=sys.stderr)
            return 2
        for detector in DETECTORS:
            start = time.perf_counter()
            found, chosen = ours(options.folder / name, detector)
            said = f"best: {chosen}" if detector == "best" else detector
            rows.append(row(name, "seemory", said, found, time.perf_counter() - start))
        for detector in PEERS:
            start = time.perf_counter()
            found = theirs(options.folder / name, detector)
            rows.append(row(name, "PySceneDetect", detector, found, time.perf_counter() - start))
    print("| clip | who | detector | precision | recall | found | s |\n| --- | --- | --- | --- | --- | --- | --- |")
    for one in rows:
        precision = "-" if one["precision"] is None else f"{one['precision']:.2f}"
        cuts = " ".join(map(str, one["found"])) or "none"  # type: ignore[call-overload]
        print(
            f"| {one['clip']} | {one['who']} | {one['detector']} | {precision} | {one['recall']:.2f} | {cuts} "
            f"| {one['seconds']} |"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
