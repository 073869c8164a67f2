"""Whether describing motion finds scenes better than what they show: mean and differences of frame vectors, compared.

    python benchmarks/motion.py FOLDER [--model NAME] [--frames N] [--json FILE]

FOLDER has films. Each is cut into scenes by the detectors, and each scene of 0.8 s and more into pieces of equal
length, of about a second, each described by N frames. Three descriptions of a piece, of unit vectors of its frames:

* `mean`: their mean, which is what a scene's vector is;
* `difference`: the mean of the later half minus the mean of the earlier half (signed: it knows a direction);
* `change`: the mean of the absolute differences from frame to frame (how much moves along each dimension).

All are brought to norm 1; two of them together are compared by the weighted sum of their cosines. The tasks:

* half: the second half of each scene, by its first, among the second halves of all scenes;
* piece: a piece of the same scene, among all other pieces of all scenes (scenes with several);
* film: another scene of the same film, among all other scenes;
* way: of the second half as it was and played backwards, the one that goes on as the first half does;
* pan, zoom: photographs (those in scikit-image's and scikit-learn's wheels) moved across or gone into, one way or the
  other, as a camera does: the same movement over another photograph, against the opposite one over the same.

R@1 is the share of queries whose first answer is right; `±` is twice the standard error over scenes or photographs.
"chance" is what drawing lots would give. `way`, `pan` and `zoom` are lots for `mean` and `change` by construction:
backwards they are the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seemory.demo_photographs import PHOTOGRAPHS
from seemory.media.scenes import CutFinder
from seemory.media.video import open_film
from seemory.models.encoder import Encoder
from seemory.models.loading import load_encoder

Array = NDArray[np.float64]
Description = Callable[[Array], Array]
SHORTEST_S = 0.8
PIECE_S = 1.0


@dataclass(frozen=True)
class Scene:
    film: str
    start_s: float
    end_s: float


def scenes_of(path: Path) -> list[Scene]:
    with open_film(path) as film:
        views, finder = film.views(480), CutFinder("best", film.rate)
        for frame in film.frames():
            finder.see(frame.time_s, views.small(frame.image))
        finder.end()
        cuts = [0.0, *(finder.time_of(cut) for cut in finder.cuts[finder.best()]), film.end_s]
    found = [Scene(path.name, start, end) for start, end in pairwise(cuts)]
    return [scene for scene in found if scene.end_s - scene.start_s >= SHORTEST_S]


def unit(vector: Array) -> Array:
    norm = np.linalg.norm(vector, axis=-1, keepdims=True)
    return vector / np.maximum(norm, 1e-12)


def mean(frames: Array) -> Array:
    return unit(frames.mean(axis=0))


def difference(frames: Array) -> Array:
    half = len(frames) // 2
    return unit(frames[-half:].mean(axis=0) - frames[:half].mean(axis=0))


def change(frames: Array) -> Array:
    return unit(np.abs(np.diff(frames, axis=0)).mean(axis=0))


# name: (description, weight) pairs whose weighted cosines are added
WAYS: dict[str, list[tuple[Description, float]]] = {
    "mean": [(mean, 1.0)],
    "difference": [(difference, 1.0)],
    "change": [(change, 1.0)],
    "mean + 0.1 difference": [(mean, 1.0), (difference, 0.1)],
    "mean + 0.3 difference": [(mean, 1.0), (difference, 0.3)],
    "mean + 0.1 change": [(mean, 1.0), (change, 0.1)],
    "mean + 0.3 change": [(mean, 1.0), (change, 0.3)],
    "mean + change": [(mean, 1.0), (change, 1.0)],
}


def alike(way: str, queries: Sequence[Array], candidates: Sequence[Array]) -> Array:
    """`(q, c)`: how alike, each of `(n, d)` frames."""
    total = np.zeros((len(queries), len(candidates)))
    for describe, weight in WAYS[way]:
        rows, columns = (np.stack([describe(one) for one in frames]) for frames in (queries, candidates))
        total += weight * rows @ columns.T
    return total


def score(right: Sequence[float], groups: Sequence[object]) -> dict[str, float]:
    """The mean over queries, and twice its standard error over the groups they are of."""
    by_group = [np.mean([r for r, g in zip(right, groups, strict=True) if g == one]) for one in set(groups)]
    spread = np.std(by_group, ddof=1) / np.sqrt(len(by_group)) if len(by_group) > 1 else 0.0
    return {"R@1": float(np.mean(right)), "error": float(2 * spread), "queries": len(right)}


def first_is(likeness: Array, right: NDArray[np.bool_], excluded: NDArray[np.bool_]) -> list[float]:
    best = np.where(excluded, -np.inf, likeness).argmax(axis=1)
    return [float(right[n, one]) for n, one in enumerate(best)]


def nowhere(rows: int, columns: int) -> NDArray[np.bool_]:
    return np.zeros((rows, columns), bool)


class Clips:
    """Vectors of frames at chosen times."""

    def __init__(self, folder: Path, encoder: Encoder, count: int) -> None:
        self._folder = folder
        self._encoder = encoder
        self._count = count

    def between(self, film: str, spans: Sequence[tuple[float, float]]) -> list[Array]:
        """`(count, d)` for each span of seconds: frames spread over it, away from its ends."""
        places = (np.arange(self._count) + 0.5) / self._count
        times = [start + (end - start) * place for start, end in spans for place in places]
        pixels: list[Image.Image] = []
        with open_film(self._folder / film) as opened:
            views = opened.views(480)
            for frame in opened.frames():  # spans and the places in them come in the film's order
                while len(pixels) < len(times) and frame.time_s >= times[len(pixels)]:
                    pixels.append(Image.fromarray(views.upright(frame.image)))
        pixels += pixels[-1:] * (len(times) - len(pixels))
        return list(self.embed(pixels).reshape(len(spans), self._count, -1))

    def embed(self, pictures: Sequence[Image.Image]) -> Array:
        made = [self._encoder.embed_images(pictures[n : n + 32]) for n in range(0, len(pictures), 32)]
        return np.concatenate(made).astype(np.float64)

    def moved(self, picture: Image.Image, zoom: bool) -> Array:
        """`(count, d)`: a window that goes across a photograph from left to right, or into its middle."""
        width, height = picture.size
        side = min(width, height)
        frames = []
        for place in np.linspace(0.0, 1.0, self._count):
            size = side * (1 - 0.5 * place) if zoom else side * 0.6
            left = (width - size) / 2 if zoom else place * (width - size)
            top = (height - size) / 2
            frames.append(picture.crop((round(left), round(top), round(left + size), round(top + size))))
        return self.embed(frames)


def retrieval(clips: Clips, scenes: Sequence[Scene]) -> dict[str, dict[str, dict[str, float]]]:
    first: list[Array] = []
    second: list[Array] = []
    pieces: list[Array] = []
    whole: list[Array] = []
    owners: list[int] = []
    for film in sorted({scene.film for scene in scenes}):
        of_it = [one for one in scenes if one.film == film]
        middles = [(one.start_s + one.end_s) / 2 for one in of_it]
        halves = clips.between(
            film,
            [
                span
                for one, middle in zip(of_it, middles, strict=True)
                for span in ((one.start_s, middle), (middle, one.end_s))
            ],
        )
        counts = [max(1, round((one.end_s - one.start_s) / PIECE_S)) for one in of_it]
        edges = [np.linspace(one.start_s, one.end_s, count + 1) for one, count in zip(of_it, counts, strict=True)]
        pieces += clips.between(film, [(a, b) for some in edges for a, b in pairwise(some)])
        owners += [len(first) + n for n, count in enumerate(counts) for _ in range(count)]
        first += halves[0::2]
        second += halves[1::2]
        whole += [np.concatenate(pair) for pair in zip(halves[0::2], halves[1::2], strict=True)]
    films = sorted(scene.film for scene in scenes)
    owner = np.array(owners)
    same = owner[:, None] == owner[None]
    itself = np.eye(len(owner), dtype=bool)
    several = [n for n in range(len(owner)) if same[n].sum() > 1]
    film_of = np.array(films)
    of_film = film_of[:, None] == film_of[None]
    every, numbers = np.eye(len(first), dtype=bool), list(range(len(first)))
    found: dict[str, dict[str, dict[str, float]]] = {}
    for way in WAYS:
        by_half = first_is(alike(way, first, second), every, nowhere(len(first), len(second)))
        in_pieces = first_is(alike(way, pieces, pieces), same, itself)
        in_films = first_is(alike(way, whole, whole), of_film, every)
        on = np.diag(alike(way, first, second)) - np.diag(alike(way, first, [one[::-1] for one in second]))
        found[way] = {
            "half": score(by_half, numbers),
            "piece": score([in_pieces[n] for n in several], [owners[n] for n in several]),
            "film": score(in_films, numbers),
            "way": score([1.0 if gap > 1e-9 else 0.5 if gap > -1e-9 else 0.0 for gap in on], numbers),
        }
    found["chance"] = {
        "half": {"R@1": 1 / len(first)},
        "piece": {"R@1": float(np.mean([(same[n].sum() - 1) / (len(owner) - 1) for n in several]))},
        "film": {"R@1": float(np.mean([(of_film[n].sum() - 1) / (len(first) - 1) for n in numbers]))},
        "way": {"R@1": 0.5},
    }
    return found


def movements(clips: Clips, photographs: Sequence[Image.Image]) -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = {way: {} for way in WAYS}
    for name, zoom in (("pan", False), ("zoom", True)):
        there = [clips.moved(picture, zoom) for picture in photographs]
        back = [frames[::-1] for frames in there]
        for way in WAYS:
            gap = alike(way, there, there) - alike(way, there, back)
            right: list[float] = []
            photos: list[int] = []
            for one in range(len(there)):
                for other in range(len(there)):
                    if one != other:
                        right.append(1.0 if gap[one, other] > 1e-9 else 0.5 if gap[one, other] > -1e-9 else 0.0)
                        photos.append(one)
            found[way][name] = score(right, photos)
    found["chance"] = {"pan": {"R@1": 0.5}, "zoom": {"R@1": 0.5}}
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="seemory-mini")
    parser.add_argument("--frames", type=int, default=8, help="of each piece")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    scenes = [scene for path in sorted(options.folder.glob("*.mp4")) for scene in scenes_of(path)]
    if not scenes:
        print(f"no .mp4 with scenes in {options.folder}", file=sys.stderr)
        return 2
    encoder = load_encoder(options.model, home=Path.home() / ".cache" / "seemory-bench")
    clips = Clips(options.folder, encoder, options.frames)
    photographs = [Image.open(path).convert("RGB") for one in PHOTOGRAPHS if (path := one.find())]
    table = retrieval(clips, scenes)
    for way, answers in movements(clips, photographs).items():
        table[way] |= answers
    print(f"{len(scenes)} scenes of {len({one.film for one in scenes})} films, {len(photographs)} photographs")
    tasks = list(table["mean"])
    print(f"| description | {' | '.join(tasks)} |\n| --- |{' --- |' * len(tasks)}")
    for way, answers in table.items():
        cells = [
            f"{answers[task]['R@1']:.2f}" + (f" ± {answers[task]['error']:.2f}" if "error" in answers[task] else "")
            for task in tasks
        ]
        print(f"| {way} | {' | '.join(cells)} |")
    if options.json:
        options.json.write_text(json.dumps(table, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
