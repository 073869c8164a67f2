"""Blue/green: a new generation is built beside the live one, verified, switched to, rolled back from, and dropped.

Searches go on throughout: each is of one generation. So does indexing: from the moment the new generation exists, new
and changed pictures are written to both, and the backlog of older ones is worked off in batches that a kill cannot
take back. The one that answered before a switch is kept up to date until it is dropped, so that going back loses
nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from seemory.catching_up import work_off
from seemory.embedding import EmbedFiles, Target
from seemory.errors import CollectionMismatch, UsageError
from seemory.models.encoder import Encoder
from seemory.store.backlog import Backlog
from seemory.store.connect import Database
from seemory.store.figures import Figures, bytes_of
from seemory.store.generations import Generations
from seemory.store.items import Items
from seemory.store.owners import list_owners
from seemory.store.transitions import Transitions
from seemory.telemetry import Progress, ProgressListener, ignore
from seemory.types import Generation
from seemory.verification import Verification, cosines_of_pairs, verify

_ROUNDS = 3  # of working off and verifying, while programs that began before the generation still write
_PAIRED = 400  # vectors whose pairs show the distribution of cosines

FindEncoder = Callable[[str], tuple[str, Encoder]]
"""A model's name or folder → how to remember it, and the encoder."""


@dataclass(frozen=True, slots=True)
class ReembedReport:
    """What `start` did."""

    generation: Generation
    embedded: int
    failed: int
    """Items of this run that have no vector."""
    seconds: float
    verification: Verification

    def as_json(self) -> dict[str, Any]:
        """The report as `--json` prints it."""
        figures = {"embedded": self.embedded, "failed": self.failed, "seconds": round(self.seconds, 2)}
        return {"generation": asdict(self.generation)} | figures | {"verification": self.verification.as_json()}


class Reembedding:
    """Moves one collection, of all its owners, from one encoder to another."""

    def __init__(
        self, database: Database, collection: str, *, find: FindEncoder, embedding: EmbedFiles, max_pixels: int
    ) -> None:
        """Nothing is started yet.

        Args:
            database: where the collection is.
            collection: its name.
            find: finds and loads encoders.
            embedding: who decodes and embeds.
            max_pixels: of the pictures that the verification reads.
        """
        self._database = database
        self.collection = collection
        self._find = find
        self._embedding = embedding
        self._max_pixels = max_pixels
        self._generations = Generations(database)
        self._transitions = Transitions(database, collection)

    def start(
        self,
        to: str,
        *,
        owners: Sequence[str] | None = None,
        words: Sequence[str] = (),
        listen: ProgressListener = ignore,
    ) -> ReembedReport:
        """The report of building the generation of that encoder, or of going on with it, and of verifying it.

        It is ready, and can be switched to, once every item of every owner has a row and the verification passed.

        Args:
            to: a catalogue name or a folder.
            owners: whose backlog is worked off; by default everybody's.
            words: queries whose answers are compared between the generations.
            listen: called with the progress.

        Raises:
            UsageError: the collection is empty, has that encoder already, or another generation is in the way.
            ModelError: the encoder cannot be had, or has no image tower.
        """
        name, encoder = self._find(to)
        live = self._live()
        if encoder.fingerprint == live.generation.fingerprint:
            raise UsageError(f"collection {self.collection!r} is on {live.generation.model} already")
        if live.encoder.has_texts and not encoder.has_texts:
            raise UsageError(f"{name} has no text tower: after a switch to it, searches by words would fail")
        assert encoder.image_size, "raises TowerMissing without an image tower"
        began, embedded, failed = time.monotonic(), 0, 0
        target = Target(self._transitions.begin(model=name, fingerprint=encoder.fingerprint, dim=encoder.dim), encoder)
        for _ in range(_ROUNDS):
            everybody = list_owners(self._database, self.collection)
            done, without = self._catch_up(target, everybody if owners is None else owners, listen)
            embedded, failed = embedded + done, failed + without
            found = verify(self._database, everybody, self._live(), target, max_pixels=self._max_pixels, words=words)
            target = Target(self._transitions.ready(target.generation, found.as_json()), encoder)
            if found.rows >= found.items or owners is not None or not done:
                break
        return ReembedReport(target.generation, embedded, failed, time.monotonic() - began, found)

    def switch(self, *, force: bool = False) -> tuple[Generation, Generation]:
        """(now live, now retired), for everyone from this moment on. Raises UsageError unless ready, or `force`."""
        return self._transitions.switch(force=force)

    def rollback(self, *, force: bool = False) -> tuple[Generation, Generation]:
        """(live again, now ready), for everyone from this moment on. Raises UsageError if there is no way back."""
        return self._transitions.rollback(force=force)

    def drop(self) -> Generation:
        """The generation beside the live one, gone with its table. Raises UsageError if there is none."""
        return self._transitions.drop()

    def beside(self) -> Generation | None:
        """The generation beside the live one, whatever its state."""
        return next((known for known in self._generations.all(self.collection) if known.state != "live"), None)

    def status(self) -> dict[str, Any]:
        """Each generation's state, progress, failures, size and distribution of cosines, over all owners."""
        figures = [Figures(self._database, owner) for owner in list_owners(self._database, self.collection)]
        total = sum(one.items(self.collection) for one in figures)
        return {
            "collection": self.collection,
            "owners": len(figures),
            "generations": [self._status(known, figures, total) for known in self._generations.all(self.collection)],
        }

    def _status(self, generation: Generation, figures: Sequence[Figures], total: int) -> dict[str, Any]:
        failures: dict[str, int] = {}
        for one in figures:
            for reason, count in one.failures(generation).items():
                failures[reason] = failures.get(reason, 0) + count
        share = max(2, _PAIRED // max(1, len(figures)))
        vectors = [sample.vector for one in figures[:_PAIRED] for sample in one.sample(generation, share)]
        rates = [one.rate(generation) for one in figures] if generation.state == "building" else []
        return {
            "table": generation.table,
            "state": generation.state,
            "model": generation.model,
            "dim": generation.dim,
            "fingerprint": generation.fingerprint,
            "done": sum(one.rows(generation) for one in figures),
            "total": total,
            "rate": max((rate for rate in rates if rate is not None), default=None),
            "failures": dict(sorted(failures.items(), key=lambda pair: -pair[1])),
            "bytes": bytes_of(self._database, generation),
            "cosines": cosines_of_pairs(vectors),
            "verification": self._transitions.verification(generation),
        }

    def _catch_up(self, target: Target, owners: Sequence[str], listen: ProgressListener) -> tuple[int, int]:
        """(rows written, items without a vector) of working off these owners' backlogs."""
        backlogs = [Backlog(self._database, owner, target.generation) for owner in owners]
        total = sum(Figures(self._database, owner).items(self.collection) for owner in owners)
        at = total - sum(backlog.count() for backlog in backlogs)
        written = failed = 0
        listen(Progress("reembed", at, total, "items"))
        for backlog in backlogs:
            while backlog.count():
                before = written
                for done in work_off(backlog, target, self._embedding):
                    written, failed, at = written + done.written, failed + done.failed, at + done.written
                    listen(Progress("reembed", min(at, total), total, "items"))
                if written == before:
                    break  # others have done it, or keep changing what is left
            Items(self._database, backlog.owner).ensure_index(target.generation)
        return written, failed

    def _live(self) -> Target:
        generation = self._generations.live(self.collection)
        if generation is None:
            raise UsageError(f"collection {self.collection!r} is empty: run `seemory index PATH` first")
        _, encoder = self._find(generation.model)
        if encoder.fingerprint != generation.fingerprint:
            raise CollectionMismatch(
                f"the files of {generation.model} are not those that collection {self.collection!r} was made with"
            )
        return Target(generation, encoder)
