"""Stage `targets`: many crops of every picture, each with what the teacher sees in that very crop.

Everything is written once to memory-mapped arrays, so that training never waits for a decoder or for the teacher.
"""

from __future__ import annotations

import multiprocessing
import pickle
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from . import teacher
from .sources import VIEWS, Picture, Split

SIDE = 128
SHAPES: dict[str, tuple[tuple[int, ...], str]] = {
    "image": ((SIDE, SIDE, 3), "uint8"),
    "logits": ((1001,), "float16"),
    "pooled": ((1280,), "float16"),
}


def crop_box(view: int, width: int, height: int, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """The whole picture (view 0), its centre square (view 1), else a random part of a third to all of its area."""
    if view == 0:
        return 0, 0, width, height
    if view == 1:
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        return left, top, left + side, top + side
    for _ in range(10):
        area = width * height * rng.uniform(0.3, 1)
        ratio = np.exp(rng.uniform(-0.3, 0.3))
        wide, high = np.sqrt(area * ratio), np.sqrt(area / ratio)
        if wide <= width and high <= height:
            left, top = rng.uniform(0, width - wide), rng.uniform(0, height - high)
            return left, top, left + wide, top + high
    return 0, 0, width, height


def jitter(crop: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The crop, at times with its brightness, contrast and colour moved, or without colour."""
    if rng.random() < 0.4:
        crop = ImageEnhance.Brightness(crop).enhance(rng.uniform(0.7, 1.3))
        crop = ImageEnhance.Contrast(crop).enhance(rng.uniform(0.7, 1.3))
        crop = ImageEnhance.Color(crop).enhance(rng.uniform(0.5, 1.4))
    if rng.random() < 0.05:
        crop = crop.convert("L").convert("RGB")
    return crop


def views(picture: Picture, count: int, seed: list[int]) -> list[tuple[Image.Image, Image.Image]]:
    """`count` pairs of the same crop at the teacher's and at the student's size."""
    rng = np.random.default_rng(seed)
    whole = picture.open()
    pairs = []
    for view in range(count):
        box = crop_box(view, whole.width, whole.height, rng)
        large = whole.resize((teacher.SIDE, teacher.SIDE), Image.Resampling.BICUBIC, box=box)
        small = whole.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box)
        if view > 1:
            state = rng.bit_generator.state
            large = jitter(large, rng)
            rng.bit_generator.state = state
            small = jitter(small, rng)
        pairs.append((large, small))
    return pairs


def open_arrays(work: Path, count: int | None = None) -> dict[str, np.ndarray]:
    """The memory-mapped arrays of all crops; made (empty) when `count` is given."""
    arrays = {}
    for name, (shape, kind) in SHAPES.items():
        path = work / f"{name}.npy"
        if count is not None and not path.exists():
            np.lib.format.open_memmap(path, "w+", kind, (count, *shape)).flush()
        arrays[name] = np.load(path, mmap_mode="r" if count is None else "r+")
    return arrays


def store(arrays: dict[str, np.ndarray], row: int, found: dict[str, np.ndarray]) -> None:
    """Write what the teacher saw into one row."""
    arrays["logits"][row] = found["logits"]
    arrays["pooled"][row] = found["pooled"]


def fill(data: Path, work: Path, jobs: list[tuple[int, int, int, Picture]], total: int) -> None:
    """Write the crops of the given pictures; each job is (picture number, first row, rows, picture)."""
    arrays = open_arrays(work, total)
    done = np.load(work / "done.npy", mmap_mode="r+")
    look = teacher.Teacher(data)
    for number, first, count, picture in jobs:
        if done[number]:
            continue
        for row, (large, small) in enumerate(views(picture, count, [0, number]), start=first):
            arrays["image"][row] = np.asarray(small)
            store(arrays, row, look(large))
        done[number] = 1


def usable(work: Path) -> tuple[list[Picture], np.ndarray, list[int]]:
    """All pictures, the first row of each (and the end), and the numbers of those that are done and not left out."""
    with (work / "pictures.pkl").open("rb") as file:
        pictures, starts = pickle.load(file)
    banned = set(np.load(work / "banned.npy").tolist()) if (work / "banned.npy").exists() else set()
    done = np.flatnonzero(np.load(work / "done.npy"))
    return pictures, starts, [int(i) for i in done if pictures[i].name not in banned]


def rows_of(starts: np.ndarray, numbers: list[int]) -> np.ndarray:
    """The rows of these pictures."""
    return np.concatenate([np.arange(starts[i], starts[i + 1]) for i in numbers])


def run(data: Path, work: Path, parts: Split, workers: int = 2) -> None:
    """Make all crops and targets; a second run continues where the first stopped."""
    work.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(0).permutation(len(parts.train))
    pictures = [parts.train[i] for i in order]
    counts = [VIEWS[picture.source] for picture in pictures]
    starts = np.concatenate([[0], np.cumsum(counts)])
    with (work / "pictures.pkl").open("wb") as file:
        pickle.dump((pictures, starts), file)
    if not (work / "done.npy").exists():
        np.save(work / "done.npy", np.zeros(len(pictures), np.uint8))
    open_arrays(work, int(starts[-1]))
    jobs = [(i, int(starts[i]), counts[i], picture) for i, picture in enumerate(pictures)]
    spawn = multiprocessing.get_context("spawn")
    running = [
        spawn.Process(target=fill, args=(data, work, jobs[worker::workers], int(starts[-1])))
        for worker in range(workers)
    ]
    for process in running:
        process.start()
    while any(process.is_alive() for process in running):
        time.sleep(10)
        print(f"targets: {int(np.load(work / 'done.npy').sum())} of {len(pictures)} pictures", flush=True)
