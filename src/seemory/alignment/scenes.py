"""Drawn scenes with captions, as many as are wanted: data of known content for comparing heads at scale.

A scene has one or two groups of like things: how many, how large, in which colour and form, and, of two groups, where
the first is as seen from the second. Its captions say all of that, each in other words.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from seemory.errors import UsageError
from seemory.telemetry import Progress, ProgressListener, ignore

CAPTIONS: Final = "captions.csv"
IMAGES: Final = "images"
SIDE: Final = 160
_FINE: Final = 2
"""Drawn so many times as large, and averaged: smooth edges."""

COLOURS: Final = {
    "red": (208, 42, 40),
    "green": (52, 158, 66),
    "blue": (44, 86, 200),
    "yellow": (236, 200, 44),
    "purple": (136, 62, 172),
    "orange": (236, 126, 34),
    "black": (28, 28, 30),
    "pink": (240, 140, 180),
}
GROUNDS: Final = {
    "white": (244, 244, 240),
    "grey": (150, 152, 156),
    "brown": (122, 88, 60),
    "light blue": (170, 206, 232),
}
FORMS: Final = ("circle", "square", "triangle", "star", "diamond", "cross", "ring", "heart")
SIZES: Final = ("small", "large")
COUNTS: Final = ("one", "two", "three", "four")
RELATIONS: Final = {
    "left": ("to the left of", "left of"),
    "right": ("to the right of", "right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
}


@dataclass(frozen=True, slots=True)
class Group:
    """Like things, side by side."""

    count: int
    size: str
    colour: str
    form: str


@dataclass(frozen=True, slots=True)
class Scene:
    """What is to be seen."""

    ground: str
    first: Group
    second: Group | None = None
    relation: str = ""


def scene(seed: int, number: int) -> Scene:
    """The scene of that number: the same for the same seed, whatever others there are."""
    rng = np.random.default_rng([seed, number])

    def group(most: int) -> Group:
        return Group(
            int(rng.integers(1, most + 1)),
            SIZES[rng.integers(len(SIZES))],
            list(COLOURS)[rng.integers(len(COLOURS))],
            FORMS[rng.integers(len(FORMS))],
        )

    ground = list(GROUNDS)[rng.integers(len(GROUNDS))]
    if rng.random() < 0.2:
        return Scene(ground, group(4))
    return Scene(ground, group(3), group(3), list(RELATIONS)[rng.integers(len(RELATIONS))])


def captions(shown: Scene) -> tuple[str, str]:
    """Two captions: a long one that says all, and a shorter one without sizes and ground."""
    first = _named(shown.first, sized=True)
    if shown.second is None:
        verb = "is" if shown.first.count == 1 else "are"
        return (
            f"{first} on a {shown.ground} background",
            f"there {verb} {_named(shown.first, sized=False)}",
        )
    long, short = RELATIONS[shown.relation]
    return (
        f"{first} {long} {_named(shown.second, sized=True)} on a {shown.ground} background",
        f"{_named(shown.first, sized=False)} {short} {_named(shown.second, sized=False)}",
    )


def drawn(shown: Scene, seed: int, number: int) -> Image.Image:
    """The picture, `SIDE` pixels square, RGB; places and turns are drawn from seed and number."""
    rng = np.random.default_rng([seed, number, 1])
    side = SIDE * _FINE
    # An uneven ground: a flat one would let a pixel's value stand for the picture.
    ramp = np.linspace(-14, 14, SIDE)
    slope = ramp[:, None, None] * rng.uniform(-1, 1) + ramp[None, :, None] * rng.uniform(-1, 1)
    pixels = np.clip(np.array(GROUNDS[shown.ground], float) + slope, 0, 255)
    image = Image.fromarray(pixels.astype(np.uint8)).resize((side, side), Image.Resampling.BILINEAR)
    pen = ImageDraw.Draw(image)
    boxes = _halves(shown.relation, side) if shown.second is not None else [(0.0, 0.0, float(side), float(side))]
    for group, box in zip((shown.first, shown.second), boxes, strict=False):
        if group is not None:
            _draw_group(pen, group, box, rng)
    return image.resize((SIDE, SIDE), Image.Resampling.BOX)


def write_scenes(out: Path, count: int, *, seed: int = 0, listen: ProgressListener = ignore) -> int:
    """How many pictures were drawn now, into `out/images`, with `out/captions.csv`; those that are there are kept.

    Raises:
        UsageError: the folder cannot be written.
    """
    try:
        (out / IMAGES).mkdir(parents=True, exist_ok=True)
        made = 0
        for number in range(count):
            path = out / IMAGES / _name(seed, number)
            if not path.is_file():
                partial = path.with_suffix(".partial")
                drawn(scene(seed, number), seed, number).save(partial, "PNG", compress_level=3)
                partial.replace(path)
                made += 1
            listen(Progress("scenes", number + 1, count, "pictures"))
        with (out / CAPTIONS).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("image", "caption"))
            writer.writerows(_rows(count, seed))
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error}") from error
    return made


def _rows(count: int, seed: int) -> Iterator[tuple[str, str]]:
    for number in range(count):
        for caption in captions(scene(seed, number)):
            yield _name(seed, number), caption


def _name(seed: int, number: int) -> str:
    return f"scene-{seed}-{number:06}.png"


def _named(group: Group, *, sized: bool) -> str:
    size = f"{group.size} " if sized else ""
    plural = {"cross": "crosses"}.get(group.form, f"{group.form}s")
    if group.count > 1:
        return f"{COUNTS[group.count - 1]} {size}{group.colour} {plural}"
    said = f"{size}{group.colour} {group.form}"
    return f"{'an' if said[0] in 'aeiou' else 'a'} {said}"


def _halves(relation: str, side: int) -> list[tuple[float, float, float, float]]:
    """The boxes of the first and of the second group."""
    near = (0.0, 0.0, side / 2, float(side)), (side / 2, 0.0, float(side), float(side))
    high = (0.0, 0.0, float(side), side / 2), (0.0, side / 2, float(side), float(side))
    halves = near if relation in ("left", "right") else high
    return list(halves if relation in ("left", "above") else halves[::-1])


def _draw_group(
    pen: ImageDraw.ImageDraw, group: Group, box: tuple[float, float, float, float], rng: np.random.Generator
) -> None:
    """The things in a row along the longer side, each moved a little, none over another."""
    left, top, right, bottom = box
    wide = right - left >= bottom - top
    length = (right - left if wide else bottom - top) / group.count
    breadth = bottom - top if wide else right - left
    room = min(length, breadth)
    radius = room * (0.24 if group.size == "small" else 0.42) * rng.uniform(0.92, 1.05)
    for place in range(group.count):
        free = max(0.0, length / 2 - radius * 1.08), max(0.0, breadth / 2 - radius * 1.08)
        along = (place + 0.5) * length + rng.uniform(-free[0], free[0])
        across = breadth / 2 + rng.uniform(-free[1], free[1])
        x, y = (left + along, top + across) if wide else (left + across, top + along)
        colour = tuple(int(np.clip(c + rng.uniform(-14, 14), 0, 255)) for c in COLOURS[group.colour])
        _draw_form(pen, group.form, x, y, radius, (colour[0], colour[1], colour[2]), rng.uniform(-0.2, 0.2))


def _draw_form(
    pen: ImageDraw.ImageDraw, form: str, x: float, y: float, r: float, colour: tuple[int, int, int], turn: float
) -> None:
    if form == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    elif form == "ring":
        pen.ellipse((x - r, y - r, x + r, y + r), outline=colour, width=max(2, round(r * 0.36)))
    else:
        pen.polygon([(x + r * math.cos(a) * d, y + r * math.sin(a) * d) for a, d in _outline(form, turn)], fill=colour)


def _outline(form: str, turn: float) -> list[tuple[float, float]]:
    """(angle, distance) of the corners, the distance in radii."""
    up = -math.pi / 2 + turn
    if form == "triangle":
        return [(up + 2 * math.pi * n / 3, 1.0) for n in range(3)]
    if form == "square":
        return [(up + math.pi / 4 + math.pi * n / 2, 1.0) for n in range(4)]
    if form == "diamond":
        return [(up + math.pi * n / 2, 1.0 if n % 2 == 0 else 0.55) for n in range(4)]
    if form == "star":
        return [(up + math.pi * n / 5, 1.0 if n % 2 == 0 else 0.42) for n in range(10)]
    if form == "cross":
        arm = [(1, 3), (1, 1), (3, 1), (3, -1), (1, -1), (1, -3)]
        corners = [*arm, *((-a, -b) for a, b in arm)]
        return [(math.atan2(b, a) + turn, math.hypot(a, b) / math.hypot(1, 3)) for a, b in corners]
    # A heart: the curve x = 16 sin³t, y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t, upside down as pictures are.
    ts = np.linspace(0, 2 * math.pi, 60)
    xs, ys = 16 * np.sin(ts) ** 3, -(13 * np.cos(ts) - 5 * np.cos(2 * ts) - 2 * np.cos(3 * ts) - np.cos(4 * ts))
    return [(math.atan2(b, a) + turn, math.hypot(a, b) / 17) for a, b in zip(xs, ys, strict=True)]
