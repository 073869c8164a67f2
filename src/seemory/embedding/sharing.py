"""Passes of an encoder's towers that several callers have a part in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from seemory.batching import Batcher, Passed
from seemory.models.encoder import Run
from seemory.types import Modality, Vector, Vectors


class SharedPasses:
    """Makes a tower's pass one that is shared by those who come while it is busy (`Sharing`)."""

    def __init__(self, *, most: int, queue: int, listen: Callable[[Passed], None] = lambda _: None) -> None:
        """Nothing is started yet.

        Args:
            most: texts or pictures of one pass.
            queue: of them that may wait for a tower; one more is refused with `Busy`.
            listen: told of each pass.
        """
        self._most = most
        self._queue = queue
        self._listen = listen
        self._towers: dict[str, list[Batcher[Any, Vector]]] = {}

    def waiting(self) -> dict[str, int]:
        """How many texts and pictures wait for a tower of their kind."""
        return {name: sum(one.waiting for one in towers) for name, towers in list(self._towers.items())}

    def __call__(self, modality: Modality, run: Run) -> Run:
        """The pass, shared by callers who have one thing each; who comes with several has a batch already."""
        batcher: Batcher[Any, Vector] = Batcher(
            lambda things: list(run(things)),
            name=f"{modality} tower",
            most=self._most,
            queue=self._queue,
            size=_length if modality == "text" else lambda _: 1.0,
            listen=self._listen,
        )
        self._towers.setdefault(modality, []).append(batcher)

        def shared(things: Sequence[Any]) -> Vectors:
            return batcher(things[0])[np.newaxis] if len(things) == 1 else run(things)

        return shared


def _length(text: str) -> float:
    """About in proportion to what a text costs: a few tokens each, and the characters."""
    return 16.0 + len(text)
