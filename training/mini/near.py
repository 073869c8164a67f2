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
from .sources import Split

LIMIT = 0.6


def run(data: Path, work: Path, parts: Split) -> None:
    """Write banned.npy: names of the pictures not to train on."""
    with (work / "pictures.pkl").open("rb") as file:
        pictures, starts = pickle.load(file)
    look = teacher.Teacher(data)
    measured = [picture.open() for picture in parts.reserved + parts.dev] + [
        picture for _, picture in demo.photographs()
    ]
    squares = [picture.resize((teacher.SIDE, teacher.SIDE), Image.Resampling.BICUBIC) for picture in measured]
    wanted = aims.feature(np.array([look(square)["pooled"] for square in squares]))
    there = aims.feature(targets.open_arrays(work)["pooled"][starts[:-1]])
    centre = there.mean(0)
    likeness = (aims.unit(there - centre) @ aims.unit(wanted - centre).T).max(1)
    banned = [pictures[i].name for i in np.flatnonzero(likeness > LIMIT)]
    np.save(work / "banned.npy", np.array(banned))
    print(f"near: {len(banned)} of {len(pictures)} pictures left out, likest {likeness.max():.3f}")
