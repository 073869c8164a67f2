"""Progress events: what long work tells whoever wants to show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one stage of a piece of work is; `total` is None while it is not known."""

    stage: str
    done: int
    total: int | None = None
    unit: str = "files"


ProgressListener = Callable[[Progress], None]
"""Called from the working thread, often: a listener must be quick and must not raise."""


def ignore(_: Progress) -> None:
    """Listen to nothing."""
