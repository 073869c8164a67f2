"""The rooms behind a memory, each built at first use: database, encoder, search, indexing."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

from seemory.errors import CollectionMismatch, ModelError, TowerMissing, UsageError
from seemory.settings import AUTO, Settings
from seemory.telemetry import ProgressListener
from seemory.types import Generation

if TYPE_CHECKING:
    from seemory.exchange import Importer
    from seemory.indexing import Indexer
    from seemory.models.encoder import Encoder
    from seemory.search import Searcher
    from seemory.store.connect import Database
    from seemory.store.generations import Generations
    from seemory.store.items import Items
    from seemory.store.query import Query


LOCAL = "local"
"""The fingerprint that means: of the encoder of that name on this machine."""


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
        self._encoder: Encoder | None = None
        self._model = AUTO  # the encoder's name or folder, as a collection remembers it; known once it is loaded

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
        """The collection's own encoder, or, for a new collection, the one that was asked for.

        Raises:
            CollectionMismatch: the collection was made with another encoder than the one insisted on, or its
                encoder's files have changed.
            ModelError: the encoder cannot be found or loaded.
        """
        with self._lock:
            if self._encoder is None:
                live = self.generations.live(self.collection)
                if live is not None:
                    self._require_asked(live)
                    self._require_named(live)
                self._model = live.model if live else self._chosen_model()
                encoder = self._load(self._model)
                if live is not None:
                    self._require_unchanged(live, encoder)
                self._encoder = encoder
            return self._encoder

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

    def _require_asked(self, live: Generation) -> None:
        """The collection's encoder is the one insisted on, by name or, where folders are meant, by fingerprint."""
        from seemory.models.loading import remembered_name

        if self._insisted is None:
            return
        asked = remembered_name(self._insisted, home=self.settings.home)
        folders = Path(asked).is_dir() or Path(live.model).is_dir()  # names alone need no files, and fetch none
        if asked != live.model and not (folders and self._load(asked).fingerprint == live.fingerprint):
            raise CollectionMismatch(
                f"collection {self.collection!r} was made with {live.model}, not with {self._insisted}: vectors of two "
                f"encoders cannot be compared; index into another collection (--collection), or leave the model out"
            )

    def _require_named(self, live: Generation) -> None:
        from seemory.exchange import UNNAMED

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
                raise CollectionMismatch(
                    f"collection {self.collection!r} was just made with another encoder: run again"
                )
        return live

    def searcher(self) -> Searcher:
        """Answers queries over the live generation. Raises as `live` and `encoder` do."""
        from seemory.search import AbsentEncoder, Searcher

        live = self.live()
        try:
            return Searcher(self.query, live, self.encoder)
        except ModelError as error:  # what is stored can still be compared
            return Searcher(self.query, live, AbsentEncoder(error))

    @property
    def encoder_name(self) -> str:
        """The encoder's name; of a collection whose encoder is not here, the name that was written down."""
        try:
            return self.encoder.name
        except ModelError:
            if (live := self.generations.live(self.collection)) is None:
                raise
            return live.model

    def importer(self, model: str, fingerprint: str | None, dim: int) -> Importer:
        """Brings ready vectors into the live generation, which is made if there is none.

        Raises:
            CollectionMismatch: the collection was made by something else.
        """
        from seemory.exchange import UNNAMED, Importer

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
        return Importer(self.items, live)

    def indexer(self, workers: int | None = None) -> Indexer:
        """Brings files into the live generation, which is made if there is none. Raises as `encoder` does."""
        from seemory.indexing import Indexer

        options = self.settings
        return Indexer(
            self.items,
            self.live_or_new(),
            self.encoder,
            workers=workers or options.index.workers,
            batch_size=options.index.batch_size,
            max_pixels=options.media.max_pixels,
            thumbnail_size=options.media.thumbnail_size,
        )

    def close(self) -> None:
        """Let the database go; the embedded server stops with its last user, unless it is to stay warm."""
        with self._lock:
            if self._database is not None:
                self._database.close()
