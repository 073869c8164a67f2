"""What runs on a Ray node: files → vectors, by encoders that are those of the collection or none.

Nothing here knows Ray. A worker is an object that a cluster keeps in a process of its own.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from seemory.embedding.pictures import Made, Squares, decode, embed_all
from seemory.errors import CollectionMismatch, ModelError, ModelUnavailable
from seemory.models.encoder import Encoder
from seemory.models.loading import load_encoder

State = tuple[int, int]
"""A file's size and its time of change: where they agree, a node sees the file that the indexer sees."""


@dataclass(frozen=True, slots=True)
class Duty:
    """What every worker of a run is told once."""

    home: Path
    """Where models lie, if the node has that folder; otherwise its own SEEMORY_HOME."""
    offline: bool = False
    max_pixels: int = 200_000_000
    thumbnail_size: int = 256
    cpus: int = 1
    """Cores of one worker: so many pictures are decoded at once, and so many threads has a forward pass."""


@dataclass(frozen=True, slots=True)
class Order:
    """One file as a worker is told of it."""

    path: Path
    key: Hashable
    state: State
    content: bytes | None = None
    """The file's bytes, for a node that does not see the file."""


@dataclass(frozen=True, slots=True)
class EncoderName:
    """An encoder by its name or folder, and what it must prove to be."""

    model: str
    fingerprint: str


class Worker:
    """Decodes and embeds batches on one node; each encoder is loaded once."""

    def __init__(self, duty: Duty) -> None:
        self._duty = duty
        self._home = duty.home if duty.home.is_dir() else Path(os.environ.get("SEEMORY_HOME", duty.home))
        self._encoders: dict[EncoderName, Encoder] = {}

    def hello(self) -> tuple[str, str]:
        """(version of Seemory, name of the node)."""
        return seemory_version(), socket.gethostname()

    def make(self, orders: Sequence[Order], names: Sequence[EncoderName]) -> list[Made | None]:
        """What was made of each file; None where the file is not seen here and its bytes did not come along.

        Raises:
            ModelUnavailable: an encoder cannot be had on this node.
            CollectionMismatch: it can, and is another one than the collection's.
        """
        encoders = [self._encoder(name) for name in names]
        there = [order for order in orders if order.content is not None or state_of(order.path) == order.state]
        with ThreadPoolExecutor(self._duty.cpus) as pool:
            squares = list(pool.map(lambda order: self._decode(order, encoders), there))
        made = iter(embed_all(squares, [order.key for order in there], encoders))
        seen = set(map(id, there))
        return [next(made) if id(order) in seen else None for order in orders]

    def _decode(self, order: Order, encoders: Sequence[Encoder]) -> Squares:
        limits = self._duty
        return decode(
            order.path,
            encoders,
            max_pixels=limits.max_pixels,
            thumbnail_size=limits.thumbnail_size,
            content=order.content,
        )

    def _encoder(self, name: EncoderName) -> Encoder:
        if name not in self._encoders:
            node = socket.gethostname()
            try:
                encoder = load_encoder(name.model, home=self._home, threads=self._duty.cpus, offline=self._duty.offline)
                found = encoder.fingerprint
            except ModelError as error:
                raise ModelUnavailable(
                    f"the encoder {name.model} cannot be had on the Ray node {node}: {error} "
                    f"(a folder must lie at the same path on every node)"
                ) from error
            if found != name.fingerprint:
                raise CollectionMismatch(
                    f"the files of {name.model} on the Ray node {node} are not those that the collection was made "
                    f"with (fingerprint {found[:12]}, not {name.fingerprint[:12]}): copy the right ones there"
                )
            self._encoders[name] = encoder
        return self._encoders[name]


def state_of(path: Path) -> State | None:
    """How the file is on this machine; None if there is no file here (a pipe or a device is none)."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def seemory_version() -> str:
    """The version of Seemory that is installed on this machine."""
    return version("seemory")
