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

from seemory.embedding.pictures import EmbedFiles, Target
from seemory.errors import ModelError, UsageError
from seemory.models.encoder import Encoder
from seemory.reembedding.catching_up import work_off
from seemory.reembedding.side_by_side import look
from seemory.reembedding.space_report import Label, SpaceReport, by_folder, report_on
from seemory.reembedding.verification import Verification, verify
from seemory.store.backlog import Backlog
from seemory.store.connect import Database
from seemory.store.figures import Figures
from seemory.store.generations import Generations
from seemory.store.items import Items
from seemory.store.owners import list_owners
from seemory.store.rollout import in_share
from seemory.store.saved_queries import save_queries, saved_queries
from seemory.store.transitions import Swap, Transitions
from seemory.telemetry import Progress, ProgressListener, ignore
from seemory.types import Generation

_ROUNDS = 3  # of working off and verifying, while programs that began before the generation still write

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
    note: str | None = None
    """What waits until the switch, where the live generation's encoder is not here."""

    def as_json(self) -> dict[str, Any]:
        """The report as `--json` prints it."""
        figures = {"embedded": self.embedded, "failed": self.failed, "seconds": round(self.seconds, 2)}
        found = {"verification": self.verification.as_json(), "note": self.note}
        return {"generation": asdict(self.generation)} | figures | found


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
        words: Sequence[str] | None = None,
        listen: ProgressListener = ignore,
    ) -> ReembedReport:
        """The report of building the generation of that encoder, or of going on with it, and of verifying it.

        It is ready, and can be switched to, once every item of every owner has a row and the verification passed.

        Args:
            to: a catalogue name or a folder.
            owners: whose backlog is worked off; by default everybody's.
            words: queries whose answers are compared between the generations; by default the saved ones.
            listen: called with the progress.

        Raises:
            UsageError: the collection is empty, has that encoder already, or another generation is in the way.
            ModelError: the encoder cannot be had, or has no image tower.
        """
        name, encoder = self._find(to)
        live, live_encoder, gone = self._live()
        if encoder.fingerprint == live.fingerprint:
            raise UsageError(
                f"collection {self.collection!r} is on {live.model} already; another precision of it stands behind "
                f"its name, as in {to}@int8"
            )
        if live_encoder is not None and live_encoder.has_texts and not encoder.has_texts:
            raise UsageError(f"{name} has no text tower: after a switch to it, searches by words would fail")
        assert encoder.image_size, "raises TowerMissing without an image tower"
        began, embedded, failed = time.monotonic(), 0, 0
        target = Target(self._transitions.begin(model=name, fingerprint=encoder.fingerprint, dim=encoder.dim), encoder)
        for _ in range(_ROUNDS):
            everybody = list_owners(self._database, self.collection)
            done, without = self._catch_up(target, everybody if owners is None else owners, listen)
            embedded, failed = embedded + done, failed + without
            live, live_encoder, _ = self._live()
            found = verify(
                self._database,
                everybody,
                live,
                live_encoder,
                target,
                max_pixels=self._max_pixels,
                words=self.queries() if words is None else words,
            )
            target = Target(self._transitions.ready(target.generation, found.as_json()), encoder)
            if found.rows >= found.items or owners is not None or not done:
                break
        note = f"searches by words and indexing wait until the switch: {gone}" if gone else None
        return ReembedReport(target.generation, embedded, failed, time.monotonic() - began, found, note)

    def switch(self, owners: Sequence[str] | None = None, *, force: bool = False) -> Swap:
        """What answers from now on, for everyone or these owners. Raises UsageError unless it is ready, or `force`."""
        return self._transitions.switch(owners, force=force)

    def rollback(self, owners: Sequence[str] | None = None, *, force: bool = False) -> Swap:
        """What answers again from now on, for everyone or these owners. Raises UsageError if there is no way back."""
        return self._transitions.rollback(owners, force=force)

    def owners_in(self, percent: float) -> list[str]:
        """The owners among the first so many percent by a hash of their names: those of 10 are among those of 25.

        Raises:
            UsageError: it is no share, or nobody is in it.
        """
        if not 0 < percent <= 100:
            raise UsageError(f"a share is more than 0 and at most 100 percent, not {percent}")
        everybody = list_owners(self._database, self.collection)
        chosen = [owner for owner in everybody if in_share(owner, percent)]
        if not chosen:
            raise UsageError(f"of {len(everybody):,} owners none is among the first {percent:g} percent: take more")
        return chosen

    def drop(self) -> Generation:
        """The generation beside the live one, gone with its table. Raises UsageError if there is none."""
        return self._transitions.drop()

    def is_live(self, model: str) -> bool:
        """Whether that model's encoder answers already. Raises UsageError for an empty collection, or ModelError."""
        return self._find(model)[1].fingerprint == self._live()[0].fingerprint

    def beside(self) -> Generation | None:
        """The generation beside the live one, whatever its state."""
        return next((known for known in self._generations.all(self.collection) if known.state != "live"), None)

    def status(self) -> dict[str, Any]:
        """Each generation's state, progress, failures, size, owners, searching times and distribution of cosines."""
        live, encoder, _ = self._live() if self._generations.live(self.collection) else (None, None, "")
        if live is None:
            return {"collection": self.collection, "owners": 0, "generations": [], "overlap": None}
        return look(self._database, self.collection, encoder, self._beside_encoder(), self.queries())

    def report(
        self, *, label: Label = by_folder, labelled_by: str = "folder", words: Sequence[str] | None = None
    ) -> SpaceReport:
        """How the space changes from the older generation to the newer, before a switch or after it.

        Args:
            label: which group an item belongs to.
            labelled_by: how to call what the groups were made by.
            words: queries whose answers are compared; by default the saved ones.

        Raises:
            UsageError: there is no second generation, or it has no vectors yet.
        """
        live, live_encoder, _ = self._live()
        beside = self.beside()
        if beside is None:
            raise UsageError(
                f"collection {self.collection!r} has one generation, and nothing to compare it with: `seemory reembed "
                f"start --to MODEL` builds another"
            )
        other = self._encoder_of(beside)[0]
        sides = [(live, live_encoder), (beside, other)]
        (first, one), (second, two) = sides if beside.state != "retired" else sides[::-1]
        return report_on(
            self._database,
            list_owners(self._database, self.collection),
            (first, second),
            None if one is None or two is None else (one, two),
            words=self.queries() if words is None else words,
            label=label,
            labelled_by=labelled_by,
        )

    def queries(self) -> list[str]:
        """The words that generations are compared by, as they were saved with the collection."""
        return saved_queries(self._database, self.collection)

    def save_queries(self, words: Sequence[str]) -> None:
        """Keep these words with the collection, in place of those before. Raises UsageError for an empty collection."""
        save_queries(self._database, self.collection, words)

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

    def _live(self) -> tuple[Generation, Encoder | None, str]:
        """(the live generation, its encoder if it is here, or else why not). Raises UsageError for an empty collection.

        Only searching by words needs it: a collection whose encoder is gone can still be moved to another.
        """
        generation = self._generations.live(self.collection)
        if generation is None:
            raise UsageError(f"collection {self.collection!r} is empty: run `seemory index PATH` first")
        return generation, *self._encoder_of(generation)

    def _beside_encoder(self) -> Encoder | None:
        beside = self.beside()
        return None if beside is None else self._encoder_of(beside)[0]

    def _encoder_of(self, generation: Generation) -> tuple[Encoder | None, str]:
        try:
            _, encoder = self._find(generation.model)
            if encoder.fingerprint == generation.fingerprint:
                return encoder, ""
        except ModelError as error:
            return None, str(error)
        return None, f"the files of {generation.model} are not those that {generation.table} was made with"
