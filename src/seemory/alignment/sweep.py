"""The same training over a grid of heads, initial latents, rates, warm-ups and seeds: same features, same batches."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from seemory.alignment.aligner import captions_of, embedded, load_aligner, made_head
from seemory.alignment.checkpoint import config_key
from seemory.alignment.config import Above, Count, HeadConfig, TrainConfig, as_config, described, read_toml
from seemory.alignment.feature_set import FeatureSet
from seemory.alignment.heads import parameters_of
from seemory.alignment.training import HEAD, train
from seemory.errors import UsageError
from seemory.evaluation.recall import BothWays, both_ways
from seemory.telemetry import Progress, ProgressListener, ignore

RESULTS = "results.json"

# The 97.5th percentile of Student's t by degrees of freedom: of few seeds the normal's 1.96 would promise too much.
_T = (math.nan, 12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


class SweepHead(HeadConfig):
    """A head of the comparison."""

    steps: Annotated[int, Field(ge=0)] = 0
    """Its own number of steps, for comparing at equal time; 0: the base's."""
    as_large_as: str | None = None
    """Widen its hidden layer until it has as many parameters as that other head."""


class SweepConfig(BaseModel):
    """A whole comparison."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: dict[str, Any]
    """What all runs have in common: a run's configuration, without what the grid says."""
    heads: Annotated[dict[str, SweepHead], Field(min_length=1)]
    rates: Annotated[tuple[Above, ...], Field(min_length=1)] = (2e-4, 2e-3)
    warm_ups: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (50, 0)
    latent_inits: Annotated[tuple[Literal["randn", "small", "xavier"], ...], Field(min_length=1)] = (
        "randn",
        "small",
        "xavier",
    )
    seeds: Count = 3


@dataclass(frozen=True, slots=True)
class Cell:
    """One place of the grid."""

    head: str
    latent_init: str
    """Empty for heads without latents."""
    rate: float
    warm_up: int

    @property
    def name(self) -> str:
        """For folders and people."""
        parts = (self.head, self.latent_init, f"{self.rate:g}", f"warm{self.warm_up}")
        return "-".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Result:
    """What the seeds of a cell gave."""

    cell: Cell
    parameters: int
    stopped: tuple[str, ...]
    """Of runs that were given up, the reason."""
    recall: dict[int, dict[str, tuple[float, ...]]]
    """By width, and by `text_to_image_r1` …, in percent, a value a seed; a run that was given up has 0."""
    loss: tuple[float, ...]
    variance: tuple[float, ...]
    ms_a_step: float


def read_sweep(path: Path) -> tuple[SweepConfig, list[tuple[Cell, TrainConfig]]]:
    """The comparison that a TOML file describes, and all its runs, those of the first seed first.

    Raises:
        UsageError: the file cannot be read, or something in it is unknown or wrong.
    """
    document = read_toml(path)
    try:
        sweep = SweepConfig.model_validate(document)
    except ValidationError as error:
        raise UsageError(f"{path}: {described(error)}") from error
    base = as_config(sweep.base, path)
    heads = _sized(sweep, base, path)
    runs = [
        (cell, _configured(base, heads[cell.head], sweep.heads[cell.head].steps, cell, seed))
        for seed in range(sweep.seeds)
        for cell in _cells(sweep)
    ]
    return sweep, runs


def run_sweep(path: Path, out: Path, *, listen: ProgressListener = ignore) -> list[Result]:
    """Train all cells, measure each on the split `test`, and write `results.json`; what is done already is kept.

    Args:
        path: the TOML file.
        out: the folder of the runs.
        listen: called with the progress.

    Raises:
        UsageError: the file or its features do not fit, or the folder cannot be written.
    """
    _, runs = read_sweep(path)
    features = FeatureSet(runs[0][1].features)
    if not len(features.rows("test")):
        raise UsageError(f"{path}: the features have no picture in the split 'test' to compare with")
    measured: dict[Cell, list[dict[str, Any]]] = {}
    for number, (cell, config) in enumerate(runs):
        measured.setdefault(cell, []).append(_one(cell, config, out, features))
        listen(Progress("runs", number + 1, len(runs), "runs"))
    results = [_result(cell, rows) for cell, rows in measured.items()]
    document = {
        "format": 1,
        "ln_batch": math.log(runs[0][1].optimiser.batch),
        "cells": [_as_json(one) for one in results],
    }
    try:
        (out / RESULTS).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{out / RESULTS} cannot be written: {error}") from error
    return results


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half the width of its 95 % interval over the seeds (Student's t); the half is NaN for one seed."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, math.nan
    t = _T[len(values) - 1] if len(values) <= len(_T) else 2.0
    return mean, t * float(np.std(values, ddof=1)) / math.sqrt(len(values))


def measure(aligner_file: Path, features: FeatureSet, *, draws: int = 1) -> dict[int, BothWays]:
    """Recall both ways on the split `test`, at each of the head's widths."""
    aligner, _, _ = load_aligner(aligner_file)
    pictures = features.rows("test")
    captions, owner = captions_of(features, pictures)
    seen, said = embedded(aligner, features, pictures, captions)
    widths = aligner.config.widths
    return {width: both_ways(seen[:, :width], said[:, :width], owner.tolist(), draws=draws) for width in widths}


def _cells(sweep: SweepConfig) -> Iterator[Cell]:
    for name, head in sweep.heads.items():
        inits = sweep.latent_inits if head.kind == "perceiver" else ("",)
        # What is computed and not trained has neither a rate nor a warm-up.
        rates, warm_ups = (sweep.rates, sweep.warm_ups) if head.kind != "ridge" else (sweep.rates[:1], (0,))
        for init in inits:
            for rate in rates:
                for warm_up in warm_ups:
                    yield Cell(name, init, rate, warm_up)


def _configured(base: TrainConfig, head: HeadConfig, steps: int, cell: Cell, seed: int) -> TrainConfig:
    image = head.model_copy(update={"latent_init": cell.latent_init} if cell.latent_init else {})
    plan = {"rate": cell.rate, "warm_up": cell.warm_up} | ({"steps": steps} if steps else {})
    return base.model_copy(
        update={
            "image": image,
            "optimiser": base.optimiser.model_copy(update=plan),
            "run": base.run.model_copy(update={"seed": seed}),
        }
    )


def _sized(sweep: SweepConfig, base: TrainConfig, path: Path) -> Mapping[str, HeadConfig]:
    """The heads as they are trained, widened to another's number of parameters where that is asked for."""
    plain = {
        name: HeadConfig.model_validate(head.model_dump(exclude={"steps", "as_large_as"}))
        for name, head in sweep.heads.items()
    }
    width = FeatureSet(base.features).picture_width
    found = dict(plain)
    for name, head in sweep.heads.items():
        if head.as_large_as is None:
            continue
        if head.as_large_as not in plain or head.kind in ("linear", "ridge"):
            raise UsageError(f"{path}: heads.{name} cannot be as large as {head.as_large_as!r}")
        wanted = _parameters(plain[head.as_large_as], width, base.out)
        one, two = (_parameters(head.model_copy(update={"hidden": hidden}), width, base.out) for hidden in (1, 2))
        hidden = max(1, min(16_000, round(1 + (wanted - one) / (two - one))))
        found[name] = plain[name].model_copy(update={"hidden": hidden})
    return found


def _parameters(head: HeadConfig, width: Mapping[str, int], out: int) -> int:
    return parameters_of(made_head(head, width[head.input], out))


def _one(cell: Cell, config: TrainConfig, out: Path, features: FeatureSet) -> dict[str, Any]:
    """The figures of one run, trained now or before."""
    folder = out / cell.name / f"seed{config.run.seed}"
    kept, key = folder / "measured.json", config_key(config)
    try:
        known = json.loads(kept.read_text(encoding="utf-8"))
        if known["key"] == key:
            return dict(known)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    outcome = train(config, folder, fresh=True)
    found = {} if outcome.stopped else measure(folder / HEAD, features)
    recall = {
        str(width): {
            f"{way}_r{k}": 100 * share
            for way, side in (("text_to_image", one.text_to_image), ("image_to_text", one.image_to_text))
            for k, share in side.at.items()
        }
        for width, one in found.items()
    }
    told = asdict(outcome) | {"key": key, "recall": recall, "widths": list(config.widths)}
    kept.write_text(json.dumps(told) + "\n", encoding="utf-8")
    return told


def _result(cell: Cell, rows: Sequence[dict[str, Any]]) -> Result:
    names = [f"{way}_r{k}" for way in ("text_to_image", "image_to_text") for k in (1, 5, 10)]
    recall = {
        width: {name: tuple(row["recall"].get(str(width), {}).get(name, 0.0) for row in rows) for name in names}
        for width in rows[0]["widths"]
    }
    return Result(
        cell=cell,
        parameters=rows[0]["image_parameters"],
        stopped=tuple(row["stopped"] for row in rows if row["stopped"]),
        recall=recall,
        loss=tuple(math.nan if row["loss"] is None else row["loss"] for row in rows),
        variance=tuple(row["variance"] for row in rows),
        ms_a_step=1000 * float(np.median([row["seconds"] / max(1, row["steps"]) for row in rows])),
    )


def _as_json(result: Result) -> dict[str, Any]:
    told = asdict(result) | {"name": result.cell.name}
    told |= {name: [_number(value) for value in getattr(result, name)] for name in ("loss", "variance")}
    return told | {"recall": {str(width): values for width, values in result.recall.items()}}


def _number(value: float) -> float | None:
    """As JSON can have it: of what is computed and not trained there is no loss."""
    return value if math.isfinite(value) else None
