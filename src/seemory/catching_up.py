"""Items that a generation lacks → their files, decoded and embedded anew, in batches that are kept whatever happens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from uuid import UUID

from seemory.embedding import Embedded, Squares, Target, decode, embed
from seemory.lookahead import ahead, batches
from seemory.store.backlog import Backlog, Waiting

PAGE = 1000  # items looked up in one query


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is taken on at once, and what is accepted."""

    workers: int
    batch_size: int = 32
    max_pixels: int = 200_000_000


@dataclass(frozen=True, slots=True)
class Done:
    """How many rows a batch wrote, and how many items of it have no vector."""

    items: int
    written: int
    failed: int


@dataclass(frozen=True, slots=True)
class _Read:
    waiting: Waiting
    squares: Squares
    known: bool
    """Whether the file is still the one that was indexed (size and time of change), so that its hash holds."""


def work_off(backlog: Backlog, target: Target, pace: Pace, *, retry: bool = False) -> Iterator[Done]:
    """One pass over the items that wait: embed each, and commit batch by batch.

    The same bytes are embedded once. A picture that can no longer be read gets a row without a vector, and its reason.
    An item that is gone, or was indexed anew meanwhile, is passed over; the next pass finds what it still needs.
    """
    # Kept apart: the writer must not stand in line behind decoding.
    with ThreadPoolExecutor(pace.workers) as decoders, ThreadPoolExecutor(1) as writer:
        waiting = _waiting(backlog, retry)
        read = ahead(decoders, partial(_read, target, pace), waiting, pace.batch_size + 2 * pace.workers)
        embedded = (_embed(backlog, target, batch) for batch in batches(read, pace.batch_size))
        yield from ahead(writer, partial(_write, backlog), embedded, 2)


def _waiting(backlog: Backlog, retry: bool) -> Iterator[Waiting]:
    after = UUID(int=0)
    while page := backlog.page(after, PAGE, retry=retry):
        yield from page
        after = page[-1].item_id


def _read(target: Target, pace: Pace, waiting: Waiting) -> _Read:
    if waiting.kind != "image":
        return _Read(waiting, Squares(error=f"UnsupportedMedia: a {waiting.kind} cannot be embedded anew"), False)
    path = Path(waiting.uri)
    try:
        state = path.stat()
        known = (state.st_size, state.st_mtime_ns) == (waiting.bytes, waiting.mtime_ns)
    except (OSError, ValueError):
        known = False
    return _Read(waiting, decode(path, [target.encoder], max_pixels=pace.max_pixels), known)


def _embed(backlog: Backlog, target: Target, batch: Sequence[_Read]) -> list[tuple[Waiting, Embedded]]:
    """Each item's vector and record, of which the generation may have some already under another name."""
    hashes = {one.waiting.sha256 for one in batch if one.known and one.waiting.sha256 is not None}
    by_key: dict[bytes | UUID, Embedded] = {}
    by_key.update(backlog.twins(list(hashes)))
    pixels = {
        _key(one): one.squares.pixels[target.encoder.fingerprint]
        for one in batch
        if one.squares.pixels and _key(one) not in by_key
    }
    by_key |= zip(pixels, embed(target.encoder, list(pixels.values())), strict=True)
    done = []
    for one in batch:
        vector, record = by_key.get(_key(one)) or (None, target.encoder.record(error=_reason(one)))
        done.append((one.waiting, (vector, replace(record, frame_path=Path(one.waiting.uri).name))))
    return done


def _key(one: _Read) -> bytes | UUID:
    """What has the same key has the same vector: the same bytes, or else only the item itself."""
    return one.waiting.sha256 if one.known and one.waiting.sha256 is not None else one.waiting.item_id


def _reason(one: _Read) -> str:
    return (one.squares.error or "the picture could not be read")[:200]


def _write(backlog: Backlog, done: Sequence[tuple[Waiting, Embedded]]) -> Done:
    written = backlog.write([(waiting, vector, record) for waiting, (vector, record) in done])
    return Done(len(done), written, sum(vector is None for _, (vector, _) in done))
