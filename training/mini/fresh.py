"""Stage `fresh`: new pictures made of stored crops, and what the teacher sees in them; may run beside `train`.

A net of this size knows eleven thousand pictures by heart long before it has learned enough: its loss on new pictures
stood still while it halved on known ones. The teacher can be asked about any picture, so it is asked about crops pasted
into one another, laid over one another, and enlarged (Beyer et al. 2022, "a good teacher is patient and consistent").
Guessing the targets of a pasted picture from those of its two parts did not do: the teacher's last map sees the whole.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from . import targets, teacher


def compose(first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(s, s, 3) uint8: a box of the second in the first, both over one another, or a part of the first enlarged."""
    side = len(first)
    if rng.random() < 0.5:
        second = second[:, ::-1]
    kind = rng.random()
    if kind < 0.4:
        high, wide = rng.integers(side // 4, 3 * side // 4, 2)
        top, left = rng.integers(0, side - high), rng.integers(0, side - wide)
        made = first.copy()
        made[top : top + high, left : left + wide] = second[top : top + high, left : left + wide]
        return made
    if kind < 0.7:
        share = rng.uniform(0.25, 0.75)
        return np.rint(share * first.astype(np.float32) + (1 - share) * second).astype(np.uint8)
    part = side * rng.uniform(0.4, 0.8)
    left, top = rng.uniform(0, side - part, 2)
    box = (left, top, left + part, top + part)
    return np.asarray(Image.fromarray(first).resize((side, side), Image.Resampling.BICUBIC, box=box))


def run(data: Path, work: Path, count: int) -> None:
    """Write up to `count` rows under work/fresh; made.npy says how many there are so far."""
    place = work / "fresh"
    place.mkdir(exist_ok=True)
    out = targets.open_arrays(place, count)
    if not (place / "made.npy").exists():
        np.save(place / "made.npy", np.zeros(1, np.int64))
    made = np.load(place / "made.npy", mmap_mode="r+")
    _, starts, numbers = targets.usable(work)
    rows = targets.rows_of(starts, numbers)
    crops = targets.open_arrays(work)["image"]
    look = teacher.Teacher(data)
    for row in range(int(made[0]), count):
        rng = np.random.default_rng([4, row])
        first, second = rng.choice(rows, 2)
        image = compose(np.array(crops[first]), np.array(crops[second]), rng)
        large = Image.fromarray(image).resize((teacher.SIDE, teacher.SIDE), Image.Resampling.BICUBIC)
        out["image"][row] = image
        targets.store(out, row, look(large))
        made[0] = row + 1
