"""Stage `near`: training pictures that look like a picture we measure on are left out of training.

Likeness is the cosine of the teacher's centred pooled features; 0.6 already separates another shot of one event
(0.79 in this data) from two pictures of one kind.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
from PIL import Image

from . import aims, demo, targets, teacher
from .sources import Picture, Split

LIMIT = 0.6


def banned(data: Path, work: Path, parts: Split, pictures: list[Picture]) -> list[str]:
    """Names of the pictures not to train on, from banned.npy, which is made of these where there is none."""
    if not (work / "banned.npy").exists():
        look = teacher.Teacher(data)
        found = [look(picture.open().resize((teacher.SIDE,) * 2, Image.Resampling.BICUBIC)) for picture in pictures]
        write(data, work, parts, [picture.name for picture in pictures], np.array([seen["pooled"] for seen in found]))
    return [str(name) for name in np.load(work / "banned.npy")]


def run(data: Path, work: Path, parts: Split) -> None:
    """Write banned.npy for all pictures that crops were made of."""
    with (work / "pictures.pkl").open("rb") as file:
        pictures, starts = pickle.load(file)
    write(data, work, parts, [picture.name for picture in pictures], targets.open_arrays(work)["pooled"][starts[:-1]])


def write(data: Path, work: Path, parts: Split, names: list[str], pooled: np.ndarray) -> None:
    """Write banned.npy: those of the names whose pooled features are like a measured picture's."""
    look = teacher.Teacher(data)
    measured = [picture.open() for picture in parts.reserved + parts.dev] + [
        picture for _, picture in demo.photographs()
    ]
    squares = [picture.resize((teacher.SIDE, teacher.SIDE), Image.Resampling.BICUBIC) for picture in measured]
    wanted = aims.feature(np.array([look(square)["pooled"] for square in squares]))
    there = aims.feature(pooled)
    centre = there.mean(0)
    likeness = (aims.unit(there - centre) @ aims.unit(wanted - centre).T).max(1)
    alike = [names[i] for i in np.flatnonzero(likeness > LIMIT)]
    np.save(work / "banned.npy", np.array(alike))
    print(f"near: {len(alike)} of {len(names)} pictures left out, likest {likeness.max():.3f}")
