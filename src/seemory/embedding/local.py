"""Decoding and embedding in this process: a pool of decode threads keeps ahead of the forward passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

from seemory.embedding.pictures import MadeBatch, S, Squares, Targets, decode, embed_all
from seemory.lookahead import ahead, batches
from seemory.models.encoder import Encoder


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is taken on at once, and what is accepted."""

    workers: int
    """Decode threads."""
    batch_size: int = 32
    """Pictures a forward pass."""
    max_pixels: int = 200_000_000
    """Larger pictures are refused."""
    thumbnail_size: int = 256
    """Longest side of the small picture."""


class LocalEmbedding:
    """Embeds on this machine's cores (`EmbedFiles`)."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    def stream(self, files: Iterable[S], targets: Callable[[], Targets]) -> Iterator[MadeBatch[S]]:
        """The files in their order, in batches, each for the generations there are when it is embedded."""
        pace, latest = self._pace, targets()  # a guess of what the next batch needs

        def read(file: S) -> tuple[S, Squares]:
            return file, self._decode(file, [target.encoder for target in latest.all])

        with (
            ThreadPoolExecutor(pace.workers, "seemory-decode") as decoders,
            closing(ahead(decoders, read, files, pace.batch_size + 2 * pace.workers)) as decoded,
        ):
            for batch in batches(decoded, pace.batch_size):
                latest = targets()
                encoders = [target.encoder for target in latest.all]
                needed = {encoder.fingerprint for encoder in encoders}
                # A file decoded before a generation began lacks its squares, and its picture was let go: read again.
                squares = [
                    one if one.error or needed <= one.pixels.keys() else self._decode(file, encoders)
                    for file, one in batch
                ]
                keys = [file.key for file, _ in batch]
                yield MadeBatch([file for file, _ in batch], latest, embed_all(squares, keys, encoders))

    def _decode(self, file: S, encoders: Sequence[Encoder]) -> Squares:
        if file.path is None:
            return Squares(error="there is no file to read")
        return decode(file.path, encoders, max_pixels=self._pace.max_pixels, thumbnail_size=self._pace.thumbnail_size)
