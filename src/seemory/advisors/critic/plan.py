"""How an adapter is trained: figures that a published adapter for this was trained with, unless said otherwise."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import Final

from seemory.errors import UsageError

TARGETS: Final = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The linear layers of the language model that are adapted; the picture's tower stays as it is."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, how fast, how wide."""

    epochs: int = 3
    rate: float = 2e-4
    batch: int = 8
    """Critiques of one step."""
    together: int = 2
    """Critiques of one pass: less needs less memory and gives the same."""
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.05
    hold_out: float = 0.1
    """Share of the photographs that is learned nothing from, and tells when to stop; 0: none, and no early end."""
    patience: int = 1
    """So many epochs may go by without a better loss on those."""
    seed: int = 0
    keep_every: int = 20
    """After so many steps all is written down, for a run that is killed."""

    def __post_init__(self) -> None:
        least = {"epochs": 1, "batch": 1, "together": 1, "rank": 1, "alpha": 1, "patience": 0, "seed": 0}
        for name, bound in (least | {"keep_every": 1}).items():
            if getattr(self, name) < bound:
                raise UsageError(f"{name} must be at least {bound}, not {getattr(self, name)}")
        if not 0 < self.rate < 1:
            raise UsageError(f"rate must be above 0 and below 1, not {self.rate}")
        if not 0 <= self.dropout < 1 or not 0 <= self.hold_out <= 0.5:
            raise UsageError("dropout must be below 1, hold_out at most 0.5, and neither below 0")

    def digest(self, *more: str) -> str:
        """Of all that the outcome depends on: a run that was begun with another one is not gone on with."""
        own = [f"{field.name}={getattr(self, field.name)!r}" for field in fields(self) if field.name != "keep_every"]
        return hashlib.sha256("\n".join([*own, *more]).encode()).hexdigest()


def held_out(pictures: list[str], share: float) -> set[str]:
    """Which of these pictures (hashes) nothing is learned from: at least one where a share is asked for, never all."""
    known = sorted(set(pictures), key=lambda one: hashlib.sha256(b"held out" + one.encode()).digest())
    if not share or len(known) < 2:
        return set()
    return set(known[: min(len(known) - 1, max(1, round(share * len(known))))])
