"""Where a training stands, in one file that is whole at any moment."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Standing:
    """How far a training is."""

    digest: str
    """Of plan, data and model."""
    step: int = 0
    losses: list[float] = field(default_factory=list)
    """Mean loss of each epoch's steps."""
    held_out: list[float] = field(default_factory=list)
    """Loss on the photographs held out, after each epoch."""
    running: list[float] = field(default_factory=list)
    """Losses of the steps of the epoch under way."""

    @property
    def best(self) -> int | None:
        """The epoch with the lowest loss on the photographs held out, from 0."""
        return None if not self.held_out else min(range(len(self.held_out)), key=lambda n: self.held_out[n])

    @property
    def since_best(self) -> int:
        """Epochs since then."""
        return 0 if self.best is None else len(self.held_out) - 1 - self.best


def write_down(path: Path, standing: Standing, tensors: dict[str, Any]) -> None:
    """Replace the file by this standing and these tensors; a kill leaves the one or the other."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".fresh")
    save_file(tensors, str(fresh), metadata={"standing": json.dumps(asdict(standing))})
    with fresh.open("rb+") as stream:
        os.fsync(stream.fileno())
    fresh.replace(path)


def read_down(path: Path, digest: str) -> tuple[Standing, dict[str, Any]] | None:
    """What was written last of that very training; None where there is nothing, or of another one."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(str(path), framework="pt") as stored:
            standing = Standing(**json.loads((stored.metadata() or {})["standing"]))
            if standing.digest != digest:
                return None
            return standing, {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError, TypeError, OSError):
        return None
