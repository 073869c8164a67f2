"""Where a run stands, on disk: everything that its next step depends on, and never a pickle."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import nn

from seemory.alignment.config import TrainConfig
from seemory.errors import UsageError

CHECKPOINT = "checkpoint.safetensors"
_ADAM = ("step", "exp_avg", "exp_avg_sq")


def config_key(config: TrainConfig) -> str:
    """A hash of all that a run's result depends on."""
    free = {"log_every", "validate_every", "checkpoint_every", "tensorboard"}
    told = config.model_dump_json(exclude={"run": free})
    return hashlib.sha256(told.encode()).hexdigest()


def save_checkpoint(
    folder: Path, step: int, key: str, aligner: nn.Module, optimiser: torch.optim.Optimizer, low: int
) -> None:
    """The state after so many steps; `low` is for how many of them the variance was low. Raises UsageError."""
    from safetensors.torch import save_file

    tensors = {f"model.{name}": value.detach().cpu().contiguous() for name, value in aligner.state_dict().items()}
    for number, state in optimiser.state_dict()["state"].items():
        tensors |= {f"adam.{number}.{name}": state[name].detach().cpu().contiguous() for name in _ADAM}
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    path = folder / CHECKPOINT
    partial = path.with_name(f".{path.name}.partial")
    try:
        # Copied: two names for one tensor would be refused.
        save_file(
            {name: value.clone() for name, value in tensors.items()},
            str(partial),
            {"step": str(step), "key": key, "low": str(low)},
        )
        partial.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error}") from error


def load_checkpoint(folder: Path, key: str, aligner: nn.Module, optimiser: torch.optim.Optimizer) -> tuple[int, int]:
    """How many steps are done, and for how many the variance was low; (0, 0) where there is no checkpoint.

    Raises:
        UsageError: the checkpoint is damaged, or of another configuration.
    """
    import safetensors

    path = folder / CHECKPOINT
    if not path.is_file():
        return 0, 0
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            told = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if told["key"] != key:
            raise UsageError(
                f"{path} is of a run with another configuration: say another --out, or --fresh to begin anew"
            )
        aligner.load_state_dict({name[6:]: value for name, value in tensors.items() if name.startswith("model.")})
        state = optimiser.state_dict()
        numbers = sorted({int(name.split(".")[1]) for name in tensors if name.startswith("adam.")})
        state["state"] = {n: {name: tensors[f"adam.{n}.{name}"] for name in _ADAM} for n in numbers}
        optimiser.load_state_dict(state)
        torch.set_rng_state(tensors["random.cpu"])
        if "random.cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["random.cuda"])
        return int(told["step"]), int(told["low"])
    except (OSError, KeyError, ValueError, TypeError, IndexError, RuntimeError, safetensors.SafetensorError) as error:
        line = " ".join(str(error).split())[:300]
        raise UsageError(f"{path} is no checkpoint ({line}): delete it, or say --fresh to begin anew") from error
