"""Training a pair of heads on frozen features, so that a run that was stopped ends as if it had not been."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seemory.alignment.aligner import Aligner, captions_of, embedded, save_aligner
from seemory.alignment.checkpoint import CHECKPOINT, config_key, load_checkpoint, save_checkpoint
from seemory.alignment.config import OptimiserConfig, TrainConfig
from seemory.alignment.feature_set import FeatureSet, Rows
from seemory.alignment.heads import fitted_linear, parameters_of
from seemory.alignment.losses import backward_in_chunks, prefixes
from seemory.alignment.run_log import RunLog
from seemory.errors import UsageError
from seemory.evaluation.recall import both_ways
from seemory.telemetry import Progress, ProgressListener, ignore

HEAD = "head.safetensors"
SUMMARY = "summary.json"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    steps: int
    stopped: str | None
    """Why it was given up; None where it went to its end."""
    loss: float | None
    """Of the last steps that were logged; None for what is computed and not trained."""
    ln_batch: float
    """What InfoNCE gives when all embeddings are the same."""
    variance: float
    """Of the pictures' vectors in the last batch, of norm 1: 0 when all are the same, 1 at most."""
    image_parameters: int
    text_parameters: int
    validation: dict[str, float]
    """Recall in percent on the split `val`, both ways, at the full width."""
    seconds: float
    """Of this run's own steps."""


def train(
    config: TrainConfig,
    out: Path,
    *,
    fresh: bool = False,
    stop_after: int | None = None,
    listen: ProgressListener = ignore,
) -> Outcome:
    """Train the heads and write `head.safetensors`, `log.jsonl` and `summary.json` into the folder `out`.

    A run takes up its own checkpoint. On a CPU, with as many threads, it then ends with the very same bits.

    Args:
        config: what to train, on what.
        out: the run's folder; made if need be.
        fresh: begin anew, whatever there is.
        stop_after: end after so many steps in this call, with a checkpoint, as if stopped from outside.
        listen: called with the progress.

    Raises:
        UsageError: the features do not fit, the folder cannot be written, or its checkpoint is another run's.
    """
    features = FeatureSet(config.features)
    rows = features.rows("train")
    if len(rows) < config.optimiser.batch:
        raise UsageError(f"{len(rows)} pictures to train on are fewer than optimiser.batch ({config.optimiser.batch})")
    if config.run.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("run.device is 'cuda', and torch finds no CUDA device here")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{out} cannot be made: {error}") from error
    if fresh:
        (out / CHECKPOINT).unlink(missing_ok=True)
    with _threads(config.run.threads):
        torch.manual_seed(config.run.seed)
        aligner = Aligner(config, features.picture_width, features.text_width).to(config.run.device)
        outcome = (
            _fit(config, features, rows, aligner)
            if config.image.kind == "ridge"
            else _Run(config, features, rows, aligner, out, listen).go(stop_after)
        )
    if outcome is None:
        return _unfinished(aligner, config)
    if outcome.stopped is None:
        save_aligner(aligner, features, out / HEAD)
    _write_json(out / SUMMARY, asdict(outcome))
    return outcome


class _Run:
    """One run's loop and what it keeps between steps."""

    def __init__(
        self,
        config: TrainConfig,
        features: FeatureSet,
        rows: Rows,
        aligner: Aligner,
        out: Path,
        listen: ProgressListener,
    ) -> None:
        self.config, self.features, self.rows, self.aligner, self.out = config, features, rows, aligner, out
        self.listen = listen
        self.optimiser = torch.optim.AdamW(
            _groups(aligner, config.optimiser), lr=config.optimiser.rate, betas=(0.9, 0.98)
        )
        self.key = config_key(config)
        self.low = 0
        """For so many steps on end the variance was too low."""

    def go(self, stop_after: int | None) -> Outcome | None:
        """How it ended; None where it was stopped on the way."""
        plan, run = self.config.optimiser, self.config.run
        done, self.low = load_checkpoint(self.out, self.key, self.aligner, self.optimiser)
        began, stopped = time.perf_counter(), None
        last: dict[str, float] = {}
        self.aligner.train()
        with RunLog(self.out, done, tensorboard=run.tensorboard) as log:
            step = done
            while step < plan.steps:
                if stop_after is not None and step - done >= stop_after:
                    save_checkpoint(self.out, step, self.key, self.aligner, self.optimiser, self.low)
                    return None
                told = self._step(step)
                step += 1
                stopped = self._gives_up(step, told)
                if step % run.log_every == 0 or step == plan.steps or stopped:
                    last = told | {"ln_batch": math.log(plan.batch)}
                    log.write(step, last)
                    self.listen(Progress("training", step, plan.steps, "steps"))
                if stopped:
                    break
                if run.checkpoint_every and step % run.checkpoint_every == 0:
                    save_checkpoint(self.out, step, self.key, self.aligner, self.optimiser, self.low)
                if run.validate_every and step % run.validate_every == 0:
                    log.write(step, validation(self.aligner, self.features))
            found = validation(self.aligner, self.features)
            log.write(step, found)
        if run.checkpoint_every and not stopped:
            save_checkpoint(self.out, step, self.key, self.aligner, self.optimiser, self.low)
        return Outcome(
            steps=step,
            stopped=stopped,
            loss=last.get("loss"),
            ln_batch=math.log(plan.batch),
            variance=last.get("variance", float("nan")),
            image_parameters=parameters_of(self.aligner.pictures),
            text_parameters=parameters_of(self.aligner.texts),
            validation=found,
            seconds=time.perf_counter() - began,
        )

    def _step(self, step: int) -> dict[str, float]:
        plan = self.config.optimiser
        pictures, captions, drawn = batch_of(self.features, self.rows, plan.batch, step, self.config.run.seed)
        rate = rate_at(step, plan)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        size = plan.chunk or plan.batch

        def encode(number: int) -> tuple[Tensor, Tensor]:
            part = slice(number * size, (number + 1) * size)
            return (
                self.aligner.picture_vectors(self.features, pictures[part]),
                self.aligner.text_vectors(self.features, captions[part]),
            )

        loss, seen, said = backward_in_chunks(
            encode,
            plan.batch // size,
            lambda first, second: self.aligner.contrast(first, second, drawn=drawn),
            lambda: torch.autocast(self.aligner.device.type, torch.bfloat16, enabled=self.config.run.bf16),
        )
        norm = torch.nn.utils.clip_grad_norm_(self.aligner.parameters(), plan.clip)
        self.optimiser.step()
        return {
            "loss": float(loss),
            "rate": rate,
            "gradient_norm": float(norm),
            "scale": float(self.aligner.contrast.scale.detach()),
            "variance": variance(seen),
            "text_variance": variance(said),
        }

    def _gives_up(self, step: int, told: dict[str, float]) -> str | None:
        rule = self.config.collapse
        if not math.isfinite(told["loss"]) or not math.isfinite(told["gradient_norm"]):
            return f"the loss is no longer a number, at step {step}: a lower rate, or a warm-up, keeps it finite"
        smallest = min(told["variance"], told["text_variance"])
        self.low = self.low + 1 if smallest < rule.variance else 0
        if step < rule.after or self.low < rule.patience:
            return None
        side = "pictures" if told["variance"] <= told["text_variance"] else "captions"
        return (
            f"the embeddings have collapsed: for {self.low} steps the variance of the {side}' vectors was below "
            f"{rule.variance:g} (at step {step} {smallest:.2g}; the loss {told['loss']:.3f}, ln(batch) "
            f"{math.log(self.config.optimiser.batch):.3f}): all get the same vector, and nothing is learned from there"
        )


def batch_of(features: FeatureSet, rows: Rows, size: int, step: int, seed: int) -> tuple[Rows, Rows, float]:
    """The pictures of a step, one caption of each, and a number from 0 to 1; all of them by step and seed alone.

    An epoch has every picture once, in an order of its own; what is left at its end, fewer than a batch, is left out.
    """
    epoch, place = divmod(step, len(rows) // size)
    order = np.random.default_rng([seed, 1, epoch]).permutation(len(rows))
    pictures = rows[order[place * size : (place + 1) * size]]
    rng = np.random.default_rng([seed, 2, step])
    captions = [features.entries[row].captions for row in pictures]
    chosen = [said[int(draw * len(said))] for said, draw in zip(captions, rng.random(size), strict=True)]
    return pictures, np.array(chosen, np.int64), float(rng.random())


def rate_at(step: int, plan: OptimiserConfig) -> float:
    """The rate of a step: up in a line over the warm-up, then down along a cosine to nothing."""
    if step < plan.warm_up:
        return plan.rate * (step + 1) / plan.warm_up
    rest = max(1, plan.steps - plan.warm_up)
    return plan.rate * 0.5 * (1 + math.cos(math.pi * (step - plan.warm_up) / rest))


def variance(vectors: Tensor) -> float:
    """The total variance of `(b, d)` vectors brought to norm 1: 0 when all are the same, 1 when their mean is 0."""
    unit = prefixes(vectors, (vectors.shape[1],))[0]
    return float(unit.var(dim=0).sum())


def validation(aligner: Aligner, features: FeatureSet) -> dict[str, float]:
    """Recall in percent on the split `val`, both ways; nothing where that split has no picture."""
    pictures = features.rows("val")
    if not len(pictures):
        return {}
    captions, owner = captions_of(features, pictures)
    seen, said = embedded(aligner, features, pictures, captions)
    if not (np.isfinite(seen).all() and np.isfinite(said).all()):
        return {}
    found = both_ways(seen, said, owner.tolist(), draws=1)
    ways = {"text_to_image": found.text_to_image, "image_to_text": found.image_to_text}
    return {f"val_{way}_r{k}": 100 * share for way, recall in ways.items() for k, share in recall.at.items()}


def _fit(config: TrainConfig, features: FeatureSet, rows: Rows, aligner: Aligner) -> Outcome:
    """Ridge regression from the pictures' features to the mean of their captions' vectors, which are only centred."""
    began = time.perf_counter()
    width = features.text_width["pooled"]
    if config.out != width:
        raise UsageError(f"ridge regression aims at the captions' own vectors: out must be {width}, not {config.out}")
    captions, owner = captions_of(features, rows)
    said = torch.from_numpy(features.text_pooled(captions))
    centre = said.mean(dim=0)
    with torch.no_grad():
        aligner.texts.out.weight.copy_(torch.eye(width))
        aligner.texts.out.bias.copy_(-centre)
    counts = torch.from_numpy(np.bincount(owner, minlength=len(rows))).unsqueeze(1)
    sums = torch.zeros(len(rows), width).index_add_(0, torch.from_numpy(owner), said - centre)
    tokens = features.picture_tokens(rows) if config.image.input == "tokens" else features.picture_pooled(rows)[:, None]
    fitted_linear(aligner.pictures, torch.from_numpy(tokens), sums / counts, config.image.strength)
    found = validation(aligner.eval(), features)
    seen, _ = embedded(aligner, features, rows[: config.optimiser.batch], captions[:1])
    return Outcome(
        steps=0,
        stopped=None,
        loss=None,
        ln_batch=math.log(config.optimiser.batch),
        variance=variance(torch.from_numpy(seen)),
        image_parameters=parameters_of(aligner.pictures),
        text_parameters=0,
        validation=found,
        seconds=time.perf_counter() - began,
    )


def _groups(aligner: Aligner, plan: OptimiserConfig) -> list[dict[str, Any]]:
    """Matrices are kept small; offsets, norms, latents, queries and the loss's own numbers are not."""
    learned = [(name, value) for name, value in aligner.named_parameters() if value.requires_grad]
    free = [value for name, value in learned if value.ndim < 2 or name.endswith(("latents", "query"))]
    held = [value for name, value in learned if not (value.ndim < 2 or name.endswith(("latents", "query")))]
    return [{"params": held, "weight_decay": plan.weight_decay}, {"params": free, "weight_decay": 0.0}]


def _unfinished(aligner: Aligner, config: TrainConfig) -> Outcome:
    ln = math.log(config.optimiser.batch)
    counts = parameters_of(aligner.pictures), parameters_of(aligner.texts)
    return Outcome(0, "stopped on the way; the same command goes on", None, ln, float("nan"), *counts, {}, 0.0)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _write_json(path: Path, document: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error}") from error
