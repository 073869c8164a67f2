"""Items that a generation lacks → their files, decoded and embedded anew, in batches that are kept whatever happens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from uuid import UUID

from seemory.embedding.pictures import Embedded, EmbedFiles, Made, MadeBatch, Target, Targets
from seemory.lookahead import ahead, batches
from seemory.reembedding.scenes_anew import Anew, scenes_anew
from seemory.store.backlog import Backlog, Waiting
from seemory.types import SceneVectors

PAGE = 1000  # items looked up in one query
LOOK = 32  # items whose bytes the generation may have already, looked up in one query


@dataclass(frozen=True, slots=True)
class Done:
    """How many rows a batch wrote, and how many items of it have no vector."""

    items: int
    written: int
    failed: int


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An item that waits, and what is known before its file is read."""

    waiting: Waiting
    path: Path | None
    """None where nothing is to be embedded."""
    key: bytes | UUID
    """The bytes' hash where it still holds, or else only the item itself."""
    twin: Embedded | None = None
    """What the generation has of the same bytes under another name."""


def work_off(backlog: Backlog, target: Target, embedding: EmbedFiles, *, retry: bool = False) -> Iterator[Done]:
    """One pass over the items that wait: embed each, and commit batch by batch.

    The same bytes are embedded once. A picture that can no longer be read gets a row without a vector, and its reason.
    An item that is gone, or was indexed anew meanwhile, is passed over; the next pass finds what it still needs.
    """
    targets = Targets(target)
    with ThreadPoolExecutor(1) as writer:
        pictures = (waiting for page in _pages(backlog, retry, scenes=False) for waiting in page)
        made = map(partial(_embedded, target), embedding.stream(_wanted(backlog, pictures), lambda: targets))
        scenes = (batch for page in _pages(backlog, retry, scenes=True) for batch in scenes_anew(page, target.encoder))
        yield from ahead(writer, partial(_write, backlog), chain(made, scenes), 2)


def _pages(backlog: Backlog, retry: bool, *, scenes: bool) -> Iterator[list[Waiting]]:
    after = UUID(int=0)
    while page := backlog.page(after, PAGE, retry=retry, scenes=scenes):
        yield page
        after = page[-1].item_id


def _wanted(backlog: Backlog, items: Iterable[Waiting]) -> Iterator[_Wanted]:
    """The items with what can be known of them without reading their files."""
    for group in batches(map(_look, items), LOOK):
        twins = dict(backlog.twins([one.key for one in group if isinstance(one.key, bytes)]))
        for one in group:
            twin = twins.get(one.key) if isinstance(one.key, bytes) else None
            yield one if twin is None else replace(one, path=None, twin=twin)


def _look(waiting: Waiting) -> _Wanted:
    if waiting.kind != "image":
        return _Wanted(waiting, None, waiting.item_id)
    path = Path(waiting.uri)
    try:
        state = path.stat()
        same = (state.st_size, state.st_mtime_ns) == (waiting.bytes, waiting.mtime_ns)
    except (OSError, ValueError):
        same = False
    return _Wanted(waiting, path, waiting.sha256 if same and waiting.sha256 is not None else waiting.item_id)


def _embedded(target: Target, batch: MadeBatch[_Wanted]) -> list[Anew]:
    """Each item's vector and record."""
    done: list[Anew] = []
    for one, made in zip(batch.files, batch.made, strict=True):
        found = one.twin or made.embedded.get(target.encoder.fingerprint)
        vector, record = found or (None, target.encoder.record(error=_reason(one, made)))
        done.append((one.waiting, vector, replace(record, frame_path=Path(one.waiting.uri).name)))
    return done


def _reason(one: _Wanted, made: Made) -> str:
    if one.waiting.kind != "image":
        return f"UnsupportedMedia: a {one.waiting.kind} cannot be embedded anew"
    return (made.error or "the picture could not be read")[:200]


def _write(backlog: Backlog, done: Sequence[Anew]) -> Done:
    written = backlog.write(done)
    failed = sum(made is None or (isinstance(made, SceneVectors) and made.vector is None) for _, made, _ in done)
    return Done(len(done), written, failed)
