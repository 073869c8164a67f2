"""What a step of training costs each head of a sweep, turn by turn on one thread."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from seemory.alignment.aligner import Aligner
from seemory.alignment.feature_set import FeatureSet
from seemory.alignment.sweep import read_sweep
from seemory.alignment.training import _Run

_STEPS, _WARM = 60, 10


def step_times(sweep: Path) -> Iterator[str]:
    """A table: the median over 50 steps, the shortest of them, and its ratio to the first head's."""
    torch.set_num_threads(1)
    _, runs = read_sweep(sweep)
    features = FeatureSet(runs[0][1].features)
    rows = features.rows("train")
    with tempfile.TemporaryDirectory() as folder:
        going: dict[str, _Run] = {}
        for cell, config in runs:
            if cell.head not in going:
                aligner = Aligner(config, features.picture_width, features.text_width)
                going[cell.head] = _Run(config, features, rows, aligner, Path(folder), lambda _: None)
        times: dict[str, list[float]] = {head: [] for head in going}
        for step in range(_STEPS):
            for head, run in going.items():
                start = time.perf_counter()
                run._step(step)
                times[head].append(1000 * (time.perf_counter() - start))
    least = {head: min(all_[_WARM:]) for head, all_ in times.items()}
    first = next(iter(least.values()))
    yield "| head | ms a step (median) | least | beside the first |"
    yield "| --- | --- | --- | --- |"
    for head, all_ in times.items():
        yield f"| {head} | {statistics.median(all_[_WARM:]):.1f} | {least[head]:.1f} | {least[head] / first:.2f} |"
