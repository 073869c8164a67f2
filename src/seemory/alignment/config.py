"""What a training run is told, as a TOML file: typed, and nothing in it unknown."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from seemory.errors import UsageError

Count = Annotated[int, Field(ge=1, le=1_000_000)]
Width = Annotated[int, Field(ge=1, le=16_000)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Above = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HeadConfig(_Part):
    """The head of one side; see `heads`. What a kind has no use for is ignored."""

    kind: Literal["linear", "ridge", "scores", "attention", "perceiver"] = "attention"
    input: Literal["tokens", "pooled"] = "tokens"
    front: Literal["none", "norm", "root"] = "norm"
    inner: Width = 256
    hidden: Width = 512
    heads: Count = 4
    latents: Count = 32
    layers: Count = 2
    latent_attention: bool = True
    latent_init: Literal["randn", "small", "xavier"] = "small"
    dropout: Share = 0.0
    strength: Above = 10.0
    """Of ridge regression."""

    @model_validator(mode="after")
    def _divides(self) -> HeadConfig:
        if self.kind in ("attention", "perceiver") and self.inner % self.heads:
            raise ValueError(f"inner ({self.inner}) must be a multiple of heads ({self.heads})")
        return self


class LossConfig(_Part):
    """See `losses.Contrast`."""

    kind: Literal["infonce", "sigmoid"] = "infonce"
    temperature: Above = 0.07
    learned: bool = True
    widths: tuple[Width, ...] = ()
    """Matryoshka prefixes; none: the whole vectors alone."""
    matryoshka: Literal["all", "one"] = "all"


class OptimiserConfig(_Part):
    """AdamW, a linear warm-up and a cosine down to nothing."""

    rate: Above = 5e-4
    weight_decay: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.05
    warm_up: Annotated[int, Field(ge=0)] = 50
    """Steps until the rate is whole; 0: from the first step on."""
    steps: Count = 500
    batch: Annotated[int, Field(ge=2, le=1_000_000)] = 128
    chunk: Annotated[int, Field(ge=0)] = 0
    """Pictures a pass, where the batch is larger than memory (gradient caching); 0: the whole batch."""
    clip: Above = 1.0
    """The largest norm of the gradient."""


class CollapseConfig(_Part):
    """When a run is given up: the embeddings' variance stays below `variance` for `patience` steps after `after`."""

    variance: Above = 1e-3
    patience: Count = 25
    after: Annotated[int, Field(ge=0)] = 50


class RunConfig(_Part):
    """How it runs; nothing of this but the precision and the seed changes the result."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    device: Literal["cpu", "cuda"] = "cpu"
    bf16: bool = False
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """Of the processor; 0: torch's own choice."""
    log_every: Count = 10
    validate_every: Annotated[int, Field(ge=0)] = 0
    """Steps between measurements on the pictures of the split `val`; 0: only at the end."""
    checkpoint_every: Annotated[int, Field(ge=0)] = 100
    """Steps between checkpoints; 0: none, and a run that is stopped begins anew."""
    tensorboard: bool = False


class TrainConfig(_Part):
    """A whole run."""

    features: Annotated[tuple[Path, ...], Field(min_length=1)]
    """Folders that `seemory align features` made; paths are from the file's own folder."""
    out: Width = 256
    """How wide the space is."""
    image: HeadConfig = HeadConfig()
    text: HeadConfig = HeadConfig(kind="linear", input="pooled", front="none")
    loss: LossConfig = LossConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    collapse: CollapseConfig = CollapseConfig()
    run: RunConfig = RunConfig()

    @model_validator(mode="after")
    def _widths_fit(self) -> TrainConfig:
        if any(width > self.out for width in self.loss.widths):
            raise ValueError(f"loss.widths {list(self.loss.widths)} go beyond out ({self.out})")
        if self.optimiser.chunk and self.optimiser.batch % self.optimiser.chunk:
            raise ValueError("optimiser.batch must be a multiple of optimiser.chunk")
        if self.text.kind == "ridge":
            raise ValueError("ridge regression is the picture's side: it aims at the captions' own vectors")
        return self

    @property
    def widths(self) -> tuple[int, ...]:
        """All widths that vectors are used at, the widest first."""
        return tuple(sorted({self.out, *self.loss.widths}, reverse=True))


def read_config(path: Path) -> TrainConfig:
    """The run that a TOML file describes; its paths are from the file's own folder.

    Raises:
        UsageError: the file cannot be read, or something in it is unknown or wrong, each thing with its name.
    """
    return as_config(read_toml(path), path)


def read_toml(path: Path) -> dict[str, Any]:
    """The document. Raises UsageError where it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read as TOML: {error}") from error


def as_config(document: Mapping[str, Any], path: Path) -> TrainConfig:
    """The run that a document from this file describes. Raises UsageError as `read_config` does."""
    try:
        config = TrainConfig.model_validate(document)
    except ValidationError as error:
        raise UsageError(f"{path}: {described(error)}") from error
    folders = tuple((path.parent / folder).absolute() for folder in config.features)
    return config.model_copy(update={"features": folders})


def described(error: ValidationError) -> str:
    """Everything that is wrong, each with its place in the file."""
    told = [(".".join(map(str, one["loc"])), one["msg"].removeprefix("Value error, ")) for one in error.errors()]
    return "; ".join(f"{place}: {what}" if place else what for place, what in told)
