"""The rooms behind a memory, each built at first use: database, encoder, search, indexing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from threading import RLock
from typing import TYPE_CHECKING, TypeVar

from seemory.describing.wordbook import Wordbook
from seemory.encoders import UNNAMED, Encoders
from seemory.errors import (
    CollectionMismatch,
    EncoderChanged,
    GenerationsChanged,
    ModelError,
    ModelUnavailable,
    UsageError,
)
from seemory.settings import Settings
from seemory.telemetry import ProgressListener
from seemory.types import Generation

if TYPE_CHECKING:
    from seemory.adding.adder import Adder
    from seemory.advisors.advising import Advising
    from seemory.advisors.critic.adapters import AdapterFolders
    from seemory.advisors.library import Advisors
    from seemory.advisors.scoring import Scoring
    from seemory.critics import Critics
    from seemory.embedding.local import LocalEmbedding
    from seemory.embedding.pictures import EmbedFiles, Targets
    from seemory.exchange.vectors import Importer
    from seemory.indexing import Indexer
    from seemory.media.image import ReadPicture
    from seemory.models.encoder import Sharing
    from seemory.models.speech import SpeechModel
    from seemory.reembedding.blue_green import Reembedding
    from seemory.remembering.rememberer import Rememberer
    from seemory.search.scenes import SceneFinder
    from seemory.search.searcher import Searcher
    from seemory.search.terms import Terms
    from seemory.store.connect import Database
    from seemory.store.generations import Generations
    from seemory.store.items import Items
    from seemory.store.libraries import Libraries
    from seemory.store.memories import Memories
    from seemory.store.query import Query
    from seemory.store.scenes import Scenes

T = TypeVar("T")

_DROPS = 3  # of generations, that one search lives through
_TOGETHER = 32  # pictures that are committed at once, where many add


LOCAL = "local"
"""The fingerprint that means: of the encoder of that name on this machine."""


class Rooms:
    """What one owner's view of one collection is made of."""

    def __init__(
        self,
        settings: Settings,
        insisted: str | None,
        listen: ProgressListener,
        share: Sharing | None = None,
        decoder: ReadPicture | None = None,
        beside: Rooms | None = None,
    ) -> None:
        """Nothing is started or loaded yet.

        Args:
            settings: whose, and which collection.
            insisted: an encoder that the collection must have been made with.
            listen: hears how far the fetch of an encoder is.
            share: how callers share an encoder's passes.
            decoder: reads pictures that are handed over as bytes; by default this process.
            beside: rooms of another owner of the same collection, whose connections and encoders are used.
        """
        self.settings = settings
        self.collection = settings.collection
        self._given = insisted, listen, share, decoder
        self._lock = RLock()
        self._beside = beside
        self._database: Database | None = None
        self._critics: Critics | None = None
        loaded = None if beside is None else beside.encoders.loaded
        self.encoders: Encoders = Encoders(settings, insisted, lambda: self.generations, listen, share, loaded)
        self._together = 1 if share is None else _TOGETHER
        self._decoder = decoder
        self.wordbook = Wordbook(settings, lambda: self.database, lambda: self.generations, self.encoders)
        self._unavailable: set[str] = set()  # fingerprints of encoders beside the live one that cannot be had here

    def of(self, owner: str) -> Rooms:
        """The same collection as another owner sees it, by the same connections and encoders."""
        return Rooms(self.settings.model_copy(update={"owner": owner}), *self._given, beside=self)

    @property
    def database(self) -> Database:
        """The connection pool; the embedded server is started by its first use."""
        if self._beside is not None:
            return self._beside.database
        with self._lock:
            if self._database is None:
                from seemory.store.connect import PoolSize, open_database

                self.settings.home.mkdir(parents=True, exist_ok=True)
                options = self.settings.database
                self._database = open_database(
                    self.settings.database_url,
                    home=self.settings.home,
                    keep_warm=options.keep_warm,
                    pool=PoolSize(options.connections, options.wait_s),
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

        return Items(self.database, self.settings.owner, self.settings.search.language)

    @cached_property
    def query(self) -> Query:
        """Searches in the owner's vectors."""
        from seemory.store.query import Query

        return Query(self.database, self.settings.owner, self.settings.search.resident_mb * 1_000_000)

    @cached_property
    def scenes(self) -> Scenes:
        """What is told of scenes beyond the search."""
        from seemory.store.scenes import Scenes

        return Scenes(self.database, self.settings.owner)

    @cached_property
    def terms(self) -> Terms:
        """Reads what a person gave to search by."""
        from seemory.search.terms import Terms

        return Terms(self.items, self.collection, self.settings.media.max_pixels, self._decoder)

    @cached_property
    def adder(self) -> Adder:
        """Adds pictures that are handed over as bytes."""
        from seemory.adding.adder import Acceptance, Adder
        from seemory.adding.folder import KeptFiles
        from seemory.media.image import read_here

        options = self.settings
        accepts = Acceptance(options.media.max_pixels, options.media.thumbnail_size, self._decoder or read_here)
        kept = KeptFiles(options.home, options.owner)
        return Adder(self.items, self.targets, kept, accepts, together=self._together)

    @cached_property
    def memories(self) -> Memories:
        """What the owner asked to be remembered."""
        from seemory.store.memories import Memories

        options = self.settings
        return Memories(self.database, options.owner, self.collection, options.search.language)

    @cached_property
    def rememberer(self) -> Rememberer:
        """Remembers texts."""
        from seemory.remembering.rememberer import Rememberer

        options = self.settings.memory
        return Rememberer(self.memories, self.wordbook.sentences, same=options.same, alike=options.alike)

    @cached_property
    def libraries(self) -> Libraries:
        """The owner's advisors and their works."""
        from seemory.store.libraries import Libraries

        return Libraries(self.database, self.settings.owner)

    @cached_property
    def scoring(self) -> Scoring:
        """Measures photographs in eight dimensions."""
        from seemory.advisors.scoring import Scoring

        return Scoring()

    @cached_property
    def advisors(self) -> Advisors:
        """Adds to the owner's libraries."""
        from seemory.advisors.library import Advisors
        from seemory.media.image import read_here
        from seemory.models.session import available_cores

        options = self.settings
        return Advisors(
            self.libraries,
            lambda: self.encoders.current,
            self.encoders.find,
            self.scoring,
            self.adapters,
            max_pixels=options.media.max_pixels,
            workers=options.index.workers or min(8, available_cores()),
            decoder=self._decoder or read_here,
        )

    @cached_property
    def advising(self) -> Advising:
        """Says what the libraries say of photographs."""
        from seemory.advisors.advising import Advising
        from seemory.media.image import read_here

        return Advising(
            self.libraries,
            self.advisors,
            lambda: self.encoders.current,
            self.scoring,
            lambda: self.critics.asking,
            max_pixels=self.settings.media.max_pixels,
            decoder=self._decoder or read_here,
        )

    @cached_property
    def adapters(self) -> AdapterFolders:
        """Where the owner's adapters lie."""
        from seemory.advisors.critic.adapters import AdapterFolders

        return AdapterFolders(self.settings.home, self.settings.owner)

    @property
    def critics(self) -> Critics:
        """Who criticises, and what makes critics speak as advisors; one only, for it may hold a large model."""
        with self._lock:
            if self._critics is None:
                from seemory.critics import Critics

                self._critics = Critics(
                    self.settings,
                    self.advisors,
                    self.libraries,
                    self.scoring,
                    self.adapters,
                    lambda: self.encoders.current,
                    None if self._beside is None else self._beside.critics,
                )
            return self._critics

    def live(self) -> Generation:
        """The generation to search.

        Raises:
            UsageError: nothing was ever indexed into this collection.
        """
        live = self.generations.live(self.collection, owner=self.settings.owner)
        if live is None:
            raise UsageError(f"collection {self.collection!r} is empty: run `seemory index PATH` first")
        return live

    def live_or_new(self) -> Generation:
        """The live generation, made if there is none.

        Raises:
            CollectionMismatch: another process has just made it with another encoder.
        """
        live = self.generations.live(self.collection, owner=self.settings.owner)
        if live is None:
            model, encoder = self.encoders.first()
            live = self.generations.create(
                self.collection, "visual", model=model, fingerprint=encoder.fingerprint, dim=encoder.dim, first=True
            )
            if live.fingerprint != encoder.fingerprint:
                raise CollectionMismatch(
                    f"collection {self.collection!r} was just made with another encoder: run again"
                )
        return live

    def searcher(self) -> Searcher:
        """Answers queries over the live generation of this moment, with its encoder. Raises as `live` and `encoder` do.

        It stays with that generation: an answer is of one generation, whatever is switched meanwhile.
        """
        from seemory.search.searcher import AbsentEncoder, Searcher

        live = self.live()
        try:
            return Searcher(self.query, live, self.encoders.of(live))
        except (ModelError, EncoderChanged) as error:  # what is stored can still be compared
            return Searcher(self.query, live, AbsentEncoder(error))

    def recaller(self) -> Searcher:
        """Like `searcher`; where nothing was ever indexed, one that finds what was said, and sees nothing."""
        from seemory.search.searcher import AbsentEncoder, Searcher

        if self.generations.live(self.collection, owner=self.settings.owner) is not None:
            return self.searcher()
        none = Generation(0, self.collection, "visual", "what was said", "none", "none", 1, "live")
        return Searcher(self.query, none, AbsentEncoder(ModelUnavailable("nothing was ever indexed")))

    def scene_finder(self, searcher: Searcher) -> SceneFinder:
        """Answers by all channels over the generation of a searcher, and tells of scenes what only they have."""
        from seemory.search.scenes import SceneFinder

        words = self.wordbook
        return SceneFinder(
            words.finder(searcher, self.query),
            searcher,
            self.query,
            self.scenes,
            lambda: {**words.default_weights, **words.preferences.weights()},
        )

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
        from seemory.embedding.pictures import Target, Targets

        found = self.generations.all(self.collection, owner=self.settings.owner)
        live = found[0] if found else self.live_or_new()
        beside = []
        for generation in found:
            if generation.id != live.id and generation.fingerprint not in self._unavailable:
                try:
                    beside.append(Target(generation, self.encoders.of(generation)))
                except (ModelError, CollectionMismatch) as error:
                    self._unavailable.add(generation.fingerprint)
                    self.encoders.notice = (
                        f"not kept up to date: the {generation.state} generation of {generation.model} ({error})"
                    )
        skipped = {generation.id for generation in found} - {target.generation.id for target in beside}
        return Targets(Target(live, self.encoders.of(live)), tuple(beside), frozenset(skipped))

    @property
    def encoder_name(self) -> str:
        """The encoder's name; of a collection whose encoder is not here, the name that was written down."""
        live = self.generations.live(self.collection, owner=self.settings.owner)
        if live is None:
            return self.encoders.current.name
        try:
            return self.encoders.of(live).name
        except (ModelError, EncoderChanged):
            return live.model

    def importer(self, model: str, fingerprint: str | None, dim: int) -> Importer:
        """Brings ready vectors into the live generation, which is made if there is none.

        Raises:
            CollectionMismatch: the collection was made by something else.
        """
        from seemory.exchange.vectors import Importer

        name, own = model.strip(), fingerprint
        if not name or (fingerprint is not None and (not fingerprint.strip() or fingerprint.startswith(UNNAMED))):
            raise UsageError("the encoder that made the vectors needs a name, and its fingerprint must be a real one")
        if fingerprint == LOCAL:
            from seemory.models.loading import remembered_name

            name = remembered_name(name, home=self.settings.home)
            own = self.encoders.load(name).fingerprint
        own = own or UNNAMED + name
        live = self.generations.live(self.collection, owner=self.settings.owner)
        live = live or self.generations.create(
            self.collection, "visual", model=name, fingerprint=own, dim=dim, first=True
        )
        if live.fingerprint != own:
            raise CollectionMismatch(
                f"collection {self.collection!r} holds vectors of {live.model} (fingerprint {live.fingerprint[:24]}), "
                f"not of {name} ({own[:24]}): import into another collection (--collection)"
            )
        covered = {generation.id for generation in self.generations.all(self.collection)}
        return Importer(self.items, live, covered, self.wordbook.descriptions)

    def _speech(self, name: str | None) -> SpeechModel | None:
        """The model that listens where nothing is written, if one is to. Raises UsageError if there is none such."""
        if name is None:
            return None
        from seemory.models.session import available_cores
        from seemory.models.speech import SpeechModel

        options = self.settings
        threads = options.models.threads or available_cores()
        return SpeechModel(name, home=options.home, threads=threads, offline=options.models.offline)

    def indexer(self, embedding: EmbedFiles, transcribe: str | None = None) -> Indexer:
        """Brings files into the live generation, which is made if there is none; `transcribe` names who listens.

        Raises as `encoder` does, and UsageError where there is no such speech model.
        """
        from seemory.embedding.films import FilmPlan
        from seemory.film_indexing import FilmIndexer
        from seemory.film_words import FilmWords
        from seemory.indexing import Indexer
        from seemory.media.film_opening import FilmLimits
        from seemory.store.films import Films

        options = self.settings
        plan = FilmPlan(
            detector=options.video.detector,
            shortest_s=options.video.shortest_scene_s,
            limits=FilmLimits(options.video.max_pixels, options.video.max_hours),
            thumbnail_size=options.media.thumbnail_size,
            batch_size=options.index.batch_size,
        )
        stored = Films(self.database, options.owner, options.search.language)
        words = FilmWords(plan.limits, options.search.language, self._speech(transcribe or options.video.transcribe))
        films = FilmIndexer(self.items, stored, self.targets, plan, words)
        return Indexer(self.items, self.targets, embedding, films)

    def reembedding(self, embedding: EmbedFiles) -> Reembedding:
        """Moves the collection from one encoder to another."""
        from seemory.reembedding.blue_green import Reembedding

        return Reembedding(
            self.database,
            self.collection,
            find=self.encoders.find,
            embedding=embedding,
            max_pixels=self.settings.media.max_pixels,
        )

    @contextmanager
    def embedding(self, ray: str | None, workers: int | None = None) -> Iterator[EmbedFiles]:
        """Who decodes and embeds: this process, or the Ray cluster at that address until the block ends."""
        if ray is None:
            yield self.local_embedding(workers)
            return
        from seemory.embedding.on_ray import RayEmbedding
        from seemory.embedding.ray_cluster import require
        from seemory.embedding.ray_worker import Duty

        require(ray)
        options = self.settings
        duty = Duty(
            home=options.home,
            offline=options.models.offline,
            max_pixels=options.media.max_pixels,
            thumbnail_size=options.media.thumbnail_size,
        )
        with RayEmbedding(ray, duty, batch_size=options.index.batch_size, cpus=options.index.ray_cpus) as cluster:
            yield cluster

    def local_embedding(self, workers: int | None = None) -> LocalEmbedding:
        """Decodes and embeds in this process."""
        from seemory.embedding.local import LocalEmbedding, Pace
        from seemory.models.session import available_cores

        options = self.settings
        threads = workers or options.index.workers or min(8, available_cores())
        return LocalEmbedding(
            Pace(threads, options.index.batch_size, options.media.max_pixels, options.media.thumbnail_size)
        )

    def close(self) -> None:
        """Let the database go; the embedded server stops with its last user, unless it is to stay warm."""
        with self._lock:
            if self._critics is not None:
                self._critics.close()
            if "query" in self.__dict__:
                self.query.close()
            if self._database is not None:
                self._database.close()
