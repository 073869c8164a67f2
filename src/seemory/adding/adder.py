"""The bytes of one picture → an item with its vector, found as soon as it is answered; many callers at once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final
from uuid import UUID

from seemory.adding.folder import KeptFiles
from seemory.batching import Batcher
from seemory.embedding.pictures import Targets, completed, embed_all, unpack
from seemory.errors import (
    DatabaseBusy,
    DatabaseUnreachable,
    DiskFull,
    GenerationsChanged,
    ModelError,
    StoreError,
)
from seemory.media.image import ReadPicture, read_here
from seemory.metrics import WORK
from seemory.store.items import Items
from seemory.types import FileOutcome, Generation

_TRIES: Final = 20  # of one picture, while operators change the generations
_LOOK: Final = 500  # pictures after which it is asked whether there are enough for an index


@dataclass(frozen=True, slots=True)
class Added:
    """What became of a picture."""

    item_id: UUID
    new: bool
    """Whether it was not in the memory before."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What is accepted, and how much is kept of it."""

    max_pixels: int
    thumbnail_size: int
    decoder: ReadPicture = read_here


@dataclass(frozen=True, slots=True)
class _Ready:
    outcome: FileOutcome
    targets: Targets


class Adder:
    """Adds pictures to one collection. Its methods may be called from several threads."""

    def __init__(
        self, items: Items, targets: Callable[[], Targets], kept: KeptFiles, accepts: Acceptance, *, together: int
    ) -> None:
        """Nothing is read or written yet.

        Args:
            items: the owner's files and items.
            targets: where new pictures go at this moment.
            kept: where their bytes are kept.
            accepts: what a picture may be.
            together: pictures that come at once and are committed in one transaction, at most.
        """
        self._items = items
        self._targets = targets
        self._kept = kept
        self._accepts = accepts
        self._unlooked, self._lock = 0, Lock()
        self._commit: Callable[[_Ready], None] = self._write_one
        if together > 1:
            everyones = (DatabaseUnreachable, DatabaseBusy, DiskFull)
            self._commit = Batcher(self._write, name="commit", most=together, queue=16 * together, everyones=everyones)

    def add(self, content: bytes) -> Added:
        """The item of a picture file's bytes; bytes that the memory has cost a hash and a look.

        Raises:
            MediaError: it is no picture that can be read here; nothing of it is kept.
            ModelError: it could not be embedded.
            StoreError: it could not be written, or its bytes could not be kept.
        """
        sha256 = hashlib.sha256(content).digest()
        for tries_left in reversed(range(_TRIES)):
            targets = self._targets()
            try:
                known = self._known(targets.live.generation, sha256)
                return Added(known, new=False) if known else self._made(content, sha256, targets)
            except GenerationsChanged:
                if not tries_left:
                    raise
        raise AssertionError("the last try returns or raises")

    def keeps(self, uri: str) -> bool:
        """Whether a file is one that was handed over, and not one of the user's own elsewhere."""
        return self._kept.has(uri)

    def forget(self, item_ids: Sequence[UUID]) -> int:
        """How many items were removed; kept files go with their last item, no other file is ever touched."""
        files = {item.uri for item in self._items.many(item_ids).values() if self._kept.has(item.uri)}
        gone = self._items.delete(item_ids)
        for uri in files:
            self._kept.drop(uri, lambda uri=uri: self._items.uses(uri))  # type: ignore[misc]
        return gone

    def _known(self, live: Generation, sha256: bytes) -> UUID | None:
        return self._items.of_bytes(live, sha256)

    def _made(self, content: bytes, sha256: bytes, targets: Targets) -> Added:
        encoders = [target.encoder for target in targets.all]
        accepts = self._accepts
        squares = unpack(
            content,
            encoders,
            max_pixels=accepts.max_pixels,
            thumbnail_size=accepts.thumbnail_size,
            decoder=accepts.decoder,
        )
        assert squares.facts is not None
        made = embed_all([squares], [sha256], encoders)[0]
        vector, record = made.embedded[targets.live.encoder.fingerprint]
        if vector is None:
            raise ModelError(record.error or "it could not be embedded")
        place = self._kept.place(sha256, squares.facts.format)
        outcome = FileOutcome(str(place), len(content), self._keep(place, content), sha256)
        with WORK.timed("seemory_stage_seconds", stage="write"):
            self._commit(_Ready(completed(outcome, targets, made), targets))
        self._keep(place, content)  # it may have been dropped between the first look and the commit
        item_id = self._known(targets.live.generation, sha256)
        if item_id is None:
            raise StoreError("the picture was forgotten by somebody else in the moment in which it was added")
        return Added(item_id, new=True)

    def _keep(self, place: Path, content: bytes) -> int:
        """When the file that is there now was written, in nanoseconds."""
        try:
            for _ in range(_TRIES):
                self._kept.keep(place, content)
                with suppress(FileNotFoundError):  # somebody forgets the same bytes at this very moment
                    return place.stat().st_mtime_ns
        except OSError as error:
            raise StoreError(f"{place}: its bytes cannot be kept ({error.strerror or error})") from error
        raise StoreError(f"{place}: its bytes are forgotten by somebody else again and again")

    def _write_one(self, ready: _Ready) -> None:
        self._write([ready])

    def _write(self, batch: Sequence[_Ready]) -> list[None]:
        """Commit what was made for the same generations together."""
        groups: dict[tuple[int, frozenset[int]], list[_Ready]] = {}
        for ready in batch:
            groups.setdefault((ready.targets.live.generation.id, ready.targets.covered), []).append(ready)
        for group in groups.values():
            live = group[0].targets.live.generation
            outcomes = [ready.outcome for ready in group]
            self._items.write(live.collection, live, outcomes, group[0].targets.covered)
            self._look_at_index(live, len(group))
        return [None] * len(batch)

    def _look_at_index(self, live: Generation, written: int) -> None:
        with self._lock:
            self._unlooked += written
            if self._unlooked < _LOOK:
                return
            self._unlooked = 0
        self._items.ensure_index(live)
