"""Workers that die as the names of the files tell them, and say what they were given. They run on the Ray nodes."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from seemory.embedding.pictures import Made
from seemory.embedding.ray_worker import EncoderName, Order, Worker


class MortalWorker(Worker):
    """Dies of a file with `deadly` in its name always, and of one with `once` the first time.

    What it was given is written down, name by name, in `given.txt` above the files' folder.
    """

    def make(self, orders: Sequence[Order], names: Sequence[EncoderName]) -> list[Made | None]:
        for order in orders:
            with (order.path.parent.parent / "given.txt").open("a") as given:
                given.write(f"{order.path.name}\n")
            if "deadly" in order.path.name:
                os._exit(1)
            if "once" in order.path.name and not _marked(order.path):
                os.kill(os.getpid(), signal.SIGKILL)
        return super().make(orders, names)


class BlindWorker(Worker):
    """Sees no file: what it embeds, it was sent."""

    def make(self, orders: Sequence[Order], names: Sequence[EncoderName]) -> list[Made | None]:
        blind = [Order(order.path, order.key, (-1, -1), order.content) for order in orders]
        return super().make(blind, names)


def _marked(path: Path) -> bool:
    mark = path.parent.parent / f"{path.name}.mark"
    if mark.exists():
        return True
    mark.touch()
    return False
