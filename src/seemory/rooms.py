"""The rooms behind a memory, each built at first use: database, encoder, search, indexing."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, TypeVar

from seemory.errors import CollectionMismatch, GenerationsChanged, ModelError, TowerMissing, UsageError
from seemory.settings import AUTO, Settings
from seemory.telemetry import ProgressListener
from seemory.types import Generation

if TYPE_CHECKING:
    from seemory.catching_up import Pace
    from seemory.embedding import Targets
    from seemory.exchange import Importer
    from seemory.indexing import Indexer
    from seemory.models.encoder import Encoder
    from seemory.reembedding import Reembedding
    from seemory.search import Searcher
    from seemory.store.connect import Database
    from seemory.store.generations import Generations
    from seemory.store.items import Items
    from seemory.store.query import Query

T = TypeVar("T")

_DROPS = 3  # of generations, that one search lives through


LOCAL = "local"
"""The fingerprint that means: of the encoder of that name on this machine."""
UNNAMED = "imported:"
"""How the fingerprint of imported vectors begins whose encoder was only named."""


class Rooms:
    """What one owner's view of one collection is made of."""

    def __init__(self, settings: Settings, insisted: str | None, listen: ProgressListener) -> None:
        """Nothing is started or loaded yet; `insisted` is an encoder that the collection must have been made with."""
        self.settings = settings
        self.collection = settings.collection
        self.notice: str | None = None
        self._listen = listen
        self._insisted = None if insisted == AUTO else insisted
        self._lock = RLock()
        self._database: Database | None = None
        self._encoders: dict[str, Encoder] = {}  # of the collection's generations, by fingerprint
        self._first: Encoder | None = None  # of a collection that was new when it was asked for
        self._model = AUTO  # that encoder's name or folder, as a collection remembers it; known once it is loaded
        self._found: dict[str, Encoder] = {}  # those that re-embedding asked for, by name
        self._unavailable: set[str] = set()  # fingerprints of encoders beside the live one that cannot be had here

    @property
    def database(self) -> Database:
        """The connection pool; the embedded server is started by its first use."""
        with self._lock:
            if self._database is None:
                from seemory.store.connect import open_database

                self.settings.home.mkdir(parents=True, exist_ok=True)
                options = self.settings
                self._database = open_database(
                    options.database_url, home=self.settings.home, keep_warm=options.database.keep_warm
                )
            return self._database

    @cached_property
    def generations(self) -> Generations:
        """The collections and which of their generations is live."""
        from seemory.store.generations import Generations

        return Generations(self.database)

    @cached_property
    def items(self) -> Items:
        """The owner's files and items."""
        from seemory.store.items import Items

        return Items(self.database, self.settings.owner)

    @cached_property
    def query(self) -> Query:
        """Searches in the owner's vectors."""
        from seemory.store.query import Query

        return Query(self.database, self.settings.owner)

    @property
    def encoder(self) -> Encoder:
        """The encoder of the collection's live generation, or, for a new collection, the one that was asked for.

        Raises:
            CollectionMismatch: the collection was made with another encoder than the one insisted on, or its
                encoder's files have changed.
            ModelError: the encoder cannot be found or loaded.
        """
        live = self.generations.live(self.collection)
        if live is not None:
            return self.encoder_of(live)
        with self._lock:
            if self._first is None:
                self._model = self._chosen_model()
                self._first = self._load(self._model)
            return self._first

    def encoder_of(self, generation: Generation) -> Encoder:
        """The encoder that made a generation's vectors, loaded once; it is known by its fingerprint, not its name.

        A live generation may be another one tomorrow. Whoever asks for the encoder of the one that is being searched
        can never compare two encoders' vectors.

        Raises:
            CollectionMismatch: its files have changed, or the model insisted on is none of the collection's.
            ModelError: it cannot be found or loaded.
        """
        with self._lock:
            self._require_asked()
            self._require_named(generation)
            encoder = self._encoders.get(generation.fingerprint)
            if encoder is None:
                encoder = self._first or self._load(generation.model)
                if encoder.fingerprint != generation.fingerprint:
                    encoder = self._load(generation.model)
                self._require_unchanged(generation, encoder)
                here = {known.fingerprint for known in self.generations.all(self.collection)}
                self._encoders = {name: kept for name, kept in self._encoders.items() if name in here}
                self._encoders[generation.fingerprint] = encoder
            return encoder

    @property
    def model_name(self) -> str:
        """The catalogue name or folder of the collection's encoder, or of a new collection's; nothing is fetched."""
        live = self.generations.live(self.collection)
        return live.model if live else self._chosen_model()

    def _chosen_model(self) -> str:
        """What a new collection is made with: a catalogue name, or a folder's full path."""
        from seemory.models.loading import remembered_name, resolve_auto

        asked = self._insisted or self.settings.model
        if asked != AUTO:
            return remembered_name(asked, home=self.settings.home)
        home, options = self.settings.home, self.settings.models
        name, self.notice = resolve_auto(home=home, timeout_s=options.auto_wait_s, offline=options.offline)
        return name

    def _find(self, model: str) -> tuple[str, Encoder]:
        """How to remember that model, and its encoder, which may be a generation's already."""
        from seemory.models.loading import remembered_name

        name = remembered_name(model, home=self.settings.home)
        with self._lock:
            if name not in self._found:
                self._found[name] = self._load(name)
            return name, self._found[name]

    def _load(self, model: str) -> Encoder:
        from seemory.models.loading import load_encoder

        options = self.settings.models
        return load_encoder(
            model,
            home=self.settings.home,
            threads=options.threads,
            offline=options.offline,
            listen=self._listen,
        )

    def _require_asked(self) -> None:
        """The encoder insisted on is one the collection answers with, or did, or is about to (live, retired, ready).

        So a program that names its encoder goes on through a switch, and its name can be changed at leisure until the
        old generation is dropped. Asked once. By name or, where folders are meant, by fingerprint.
        """
        from seemory.models.loading import remembered_name

        if self._insisted is None:
            return
        asked = remembered_name(self._insisted, home=self.settings.home)
        made = [known for known in self.generations.all(self.collection) if known.state != "building"]
        if made and not any(asked == known.model for known in made):
            folders = any(Path(name).is_dir() for name in (asked, *(known.model for known in made)))
            # names alone need no files, and fetch none
            if not folders or self._load(asked).fingerprint not in {known.fingerprint for known in made}:
                raise CollectionMismatch(
                    f"collection {self.collection!r} was made with {made[0].model}, not with {self._insisted}: vectors "
                    f"of two encoders cannot be compared; index into another collection (--collection), leave the "
                    f"model out, or change the collection's (seemory reembed start --to {self._insisted})"
                )
        if made:
            self._insisted = None

    def _require_named(self, live: Generation) -> None:
        if live.fingerprint.startswith(UNNAMED):
            raise TowerMissing(
                f"the vectors of collection {self.collection!r} were imported under the name {live.model} and no "
                f"fingerprint, so that no encoder here can be known to be theirs: look by --like or a vector, or "
                f"import them into a new collection with --fingerprint"
            )

    def _require_unchanged(self, live: Generation, encoder: Encoder) -> None:
        if encoder.fingerprint != live.fingerprint:
            raise CollectionMismatch(
                f"the files of {live.model} are not those that collection {self.collection!r} was made with "
                f"(fingerprint {encoder.fingerprint[:12]}, not {live.fingerprint[:12]}): restore them, or index anew "
                f"into another collection (--collection)"
            )

    def live(self) -> Generation:
        """The generation to search.

        Raises:
            UsageError: nothing was ever indexed into this collection.
        """
        live = self.generations.live(self.collection)
        if live is None:
            raise UsageError(f"collection {self.collection!r} is empty: run `seemory index PATH` first")
        return live

    def live_or_new(self) -> Generation:
        """The live generation, made if there is none.

        Raises:
            CollectionMismatch: another process has just made it with another encoder.
        """
        encoder = self.encoder
        live = self.generations.live(self.collection)
        if live is None:
            live = self.generations.create(
                self.collection, "visual", model=self._model, fingerprint=encoder.fingerprint, dim=encoder.dim
            )
            if live.state != "live":
                from seemory.store.transitions import Transitions

                Transitions(self.database, self.collection).drop()  # what was just made beside the other's
                raise CollectionMismatch(
                    f"collection {self.collection!r} was just made with another encoder: run again"
                )
        return live

    def searcher(self) -> Searcher:
        """Answers queries over the live generation of this moment, with its encoder. Raises as `live` and `encoder` do.

        It stays with that generation: an answer is of one generation, whatever is switched meanwhile.
        """
        from seemory.search import AbsentEncoder, Searcher

        live = self.live()
        try:
            return Searcher(self.query, live, self.encoder_of(live))
        except ModelError as error:  # what is stored can still be compared
            return Searcher(self.query, live, AbsentEncoder(error))

    def steadily(self, answer: Callable[[], T]) -> T:
        """What `answer` gives; asked again where the generation it had begun with was switched off and dropped."""
        for _ in range(_DROPS):
            try:
                return answer()
            except GenerationsChanged:
                continue
        return answer()

    def targets(self) -> Targets:
        """Where new pictures go: the live generation, made if there is none, and the one beside it.

        A generation beside the live one whose encoder cannot be had here does not keep anybody from indexing: it is
        skipped, and has a backlog. Raises as `live_or_new` does.
        """
        from seemory.embedding import Target, Targets

        found = self.generations.all(self.collection)
        live = found[0] if found and found[0].state == "live" else self.live_or_new()
        beside = []
        for generation in found:
            if generation.id != live.id and generation.fingerprint not in self._unavailable:
                try:
                    beside.append(Target(generation, self.encoder_of(generation)))
                except (ModelError, CollectionMismatch) as error:
                    self._unavailable.add(generation.fingerprint)
                    self.notice = (
                        f"not kept up to date: the {generation.state} generation of {generation.model} ({error})"
                    )
        skipped = {generation.id for generation in found} - {target.generation.id for target in beside}
        return Targets(Target(live, self.encoder_of(live)), tuple(beside), frozenset(skipped))

    @property
    def encoder_name(self) -> str:
        """The encoder's name; of a collection whose encoder is not here, the name that was written down."""
        live = self.generations.live(self.collection)
        if live is None:
            return self.encoder.name
        try:
            return self.encoder_of(live).name
        except ModelError:
            return live.model

    def importer(self, model: str, fingerprint: str | None, dim: int) -> Importer:
        """Brings ready vectors into the live generation, which is made if there is none.

        Raises:
            CollectionMismatch: the collection was made by something else.
        """
        from seemory.exchange import Importer

        name, own = model.strip(), fingerprint
        if not name or (fingerprint is not None and (not fingerprint.strip() or fingerprint.startswith(UNNAMED))):
            raise UsageError("the encoder that made the vectors needs a name, and its fingerprint must be a real one")
        if fingerprint == LOCAL:
            from seemory.models.loading import remembered_name

            name = remembered_name(name, home=self.settings.home)
            own = self._load(name).fingerprint
        own = own or UNNAMED + name
        live = self.generations.live(self.collection)
        live = live or self.generations.create(self.collection, "visual", model=name, fingerprint=own, dim=dim)
        if live.fingerprint != own or live.state != "live":
            raise CollectionMismatch(
                f"collection {self.collection!r} holds vectors of {live.model} (fingerprint {live.fingerprint[:24]}), "
                f"not of {name} ({own[:24]}): import into another collection (--collection)"
            )
        return Importer(self.items, live, {generation.id for generation in self.generations.all(self.collection)})

    def indexer(self, workers: int | None = None) -> Indexer:
        """Brings files into the live generation, which is made if there is none. Raises as `encoder` does."""
        from seemory.indexing import Indexer

        options = self.settings
        return Indexer(
            self.items,
            self.targets,
            workers=workers or options.index.workers,
            batch_size=options.index.batch_size,
            max_pixels=options.media.max_pixels,
            thumbnail_size=options.media.thumbnail_size,
        )

    def reembedding(self) -> Reembedding:
        """Moves the collection from one encoder to another."""
        from seemory.reembedding import Reembedding

        return Reembedding(self.database, self.collection, find=self._find, pace=self.pace())

    def pace(self) -> Pace:
        """How much work is taken on at once."""
        from seemory.catching_up import Pace

        options = self.settings
        workers = options.index.workers or min(8, os.cpu_count() or 1)
        return Pace(workers, options.index.batch_size, options.media.max_pixels)

    def close(self) -> None:
        """Let the database go; the embedded server stops with its last user, unless it is to stay warm."""
        with self._lock:
            if self._database is not None:
                self._database.close()
