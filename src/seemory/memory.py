"""Memory: the object a user holds. Thin: it joins the rooms below, and builds each of them at first use."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING
from uuid import UUID

from seemory.errors import CollectionMismatch, MediaError, UsageError
from seemory.settings import Settings, read_settings
from seemory.telemetry import ProgressListener, ignore
from seemory.types import Filter, Generation, Hit, Item, Kind

if TYPE_CHECKING:
    from PIL.Image import Image

    from seemory.duplicates import Duplicates
    from seemory.indexing import FileResult, Indexer, IndexReport
    from seemory.models.encoder import Encoder
    from seemory.search import Example, Searcher
    from seemory.store.connect import Database
    from seemory.store.generations import Generations
    from seemory.store.items import Items
    from seemory.store.query import Query
    from seemory.zero_shot import LabelScore

Paths = str | os.PathLike[str]


def open_memory(
    url: str | None = None,
    *,
    home: Paths | None = None,
    owner: str | None = None,
    collection: str | None = None,
    model: str | None = None,
) -> Memory:
    """A memory: on the embedded Postgres in `home`, or on the server at `url`. Nothing is started before first use.

    What is not given comes from the environment and the data folder's `config.toml`.

    Raises:
        UsageError: a setting is wrong.
    """
    home_path = None if home is None else Path(home)
    return Memory(read_settings(database_url=url, home=home_path, owner=owner, collection=collection, model=model))


class Memory:
    """One owner's view of one collection: index, search, compare, classify."""

    def __init__(self, settings: Settings, *, say: ProgressListener = ignore) -> None:
        self.settings = settings
        self.home: Path = settings.home
        self.owner: str = settings.owner
        self.collection: str = settings.collection
        self.notice: str | None = None
        """One line about a choice that was made for the user (which encoder `auto` became), once it was made."""
        self._listen = say
        self._lock = RLock()
        self._encoder: Encoder | None = None

    # -- rooms ---------------------------------------------------------------------------------------------------

    @cached_property
    def database(self) -> Database:
        """The connection pool; the embedded server is started by its first use."""
        from seemory.store.connect import open_database

        self.home.mkdir(parents=True, exist_ok=True)
        return open_database(self.settings.database_url, home=self.home, keep_warm=self.settings.database.keep_warm)

    @cached_property
    def _generations(self) -> Generations:
        from seemory.store.generations import Generations

        return Generations(self.database)

    @cached_property
    def _items(self) -> Items:
        from seemory.store.items import Items

        return Items(self.database, self.owner)

    @cached_property
    def _query(self) -> Query:
        from seemory.store.query import Query

        return Query(self.database, self.owner)

    @property
    def encoder(self) -> Encoder:
        """The collection's own encoder, or, for a new collection, the one the settings name.

        Raises:
            CollectionMismatch: the settings ask for another encoder than the collection was made with.
            ModelError: the encoder cannot be found or loaded.
        """
        with self._lock:
            if self._encoder is None:
                live = self._generations.live(self.collection)
                self._encoder = self._load(live.model if live else self._chosen_model())
                if live:
                    self._require_same(live, self._encoder)
            return self._encoder

    @property
    def encoder_name(self) -> str:
        """The name of the collection's encoder."""
        return self.encoder.name

    def _chosen_model(self) -> str:
        if self.settings.model != "auto":
            return self.settings.model
        from seemory.models.encoder import resolve_auto

        options = self.settings.models
        name, self.notice = resolve_auto(home=self.home, timeout_s=options.auto_wait_s, offline=options.offline)
        return name

    def _load(self, model: str) -> Encoder:
        from seemory.models.encoder import load_encoder

        options = self.settings.models
        return load_encoder(model, home=self.home, threads=options.threads, offline=options.offline)

    def _require_same(self, live: Generation, encoder: Encoder) -> None:
        asked = self.settings.model
        if asked not in ("auto", live.model) and self._load(asked).fingerprint != live.fingerprint:
            raise CollectionMismatch(
                f"collection {self.collection!r} was made with {live.model}, not with {asked}: vectors of two encoders "
                f"cannot be compared; index into another collection (--collection), or leave the model out"
            )
        if encoder.fingerprint != live.fingerprint:
            raise CollectionMismatch(
                f"the files of {live.model} are not those that collection {self.collection!r} was made with "
                f"(fingerprint {encoder.fingerprint[:12]}, not {live.fingerprint[:12]}): restore them, or index anew "
                f"into another collection (--collection)"
            )

    def _live(self) -> Generation:
        """The generation to search.

        Raises:
            UsageError: nothing was ever indexed into this collection.
        """
        live = self._generations.live(self.collection)
        if live is None:
            raise UsageError(f"collection {self.collection!r} is empty: run `seemory index PATH` first")
        return live

    def _live_or_new(self) -> Generation:
        encoder = self.encoder
        return self._generations.live(self.collection) or self._generations.create(
            self.collection, "visual", model=encoder.name, fingerprint=encoder.fingerprint, dim=encoder.dim
        )

    def _searcher(self) -> Searcher:
        from seemory.search import Searcher

        return Searcher(self._query, self._live(), self.encoder)

    def _indexer(self, workers: int | None = None) -> Indexer:
        from seemory.indexing import Indexer

        options = self.settings
        return Indexer(
            self._items,
            self._live_or_new(),
            self.encoder,
            workers=workers or options.index.workers,
            batch_size=options.index.batch_size,
            max_pixels=options.media.max_pixels,
            thumbnail_size=options.media.thumbnail_size,
        )

    # -- what a user does ----------------------------------------------------------------------------------------

    def index(
        self,
        *paths: Paths,
        recursive: bool = True,
        prune: bool = False,
        workers: int | None = None,
        retry_failed: bool = False,
        listen: ProgressListener = ignore,
    ) -> IndexReport:
        """The report of bringing files and folders into the collection; a bad file is counted, never raised.

        Args:
            paths: files or folders.
            recursive: look into folders inside folders.
            prune: mark files under `paths` that are gone from disk, so that searches leave them out.
            workers: decode threads.
            retry_failed: try files again that failed before and have not changed since.
            listen: called with the progress.

        Raises:
            UsageError: a path does not exist.
            CollectionMismatch, ModelError, StoreError: nothing could be indexed at all.
        """
        roots = [Path(path).expanduser() for path in paths]
        return self._indexer(workers).run(
            roots, recursive=recursive, prune=prune, retry_failed=retry_failed, listen=listen
        )

    def index_each(
        self, *paths: Paths, recursive: bool = True, workers: int | None = None, retry_failed: bool = False
    ) -> Iterator[FileResult]:
        """Like `index`, but each file's result as soon as it is committed."""
        roots = [Path(path).expanduser() for path in paths]
        return self._indexer(workers).stream(roots, recursive=recursive, retry_failed=retry_failed)

    def search(
        self,
        words: str | None = None,
        *,
        image: Paths | None = None,
        like: UUID | str | None = None,
        plus: Sequence[str] = (),
        minus: Sequence[str] = (),
        limit: int = 10,
        offset: int = 0,
        min_score: float | None = None,
        kind: Kind | None = None,
        where: Sequence[Filter | str] = (),
    ) -> list[Hit]:
        """The best hits for words, a picture file, a stored item, or a sum of several, best first.

        Args:
            words: what the picture shows.
            image: a picture file to be alike.
            like: an item's id, a unique beginning of it, or its path; the item itself is left out.
            plus, minus: more terms to add or take away; each is an existing file, an item id, or else words.
            limit, offset: which part of the ranking.
            min_score: the least calibrated score, 0 to 1.
            kind: only images, scenes or texts.
            where: conditions such as `"width>=1000"`, `"taken=2021-05"`, `"camera~canon"`.

        Raises:
            UsageError: nothing was asked for, or something of it is wrong.
            MediaError: the picture cannot be read.
        """
        searcher = self._searcher()
        examples: list[Example] = []
        if words is not None and words.strip():
            examples.append(searcher.words(words))
        if image is not None:
            examples.append(searcher.picture(self._read(image)))
        if like is not None:
            examples.append(searcher.item(self._id(like)))
        examples += [self._term(searcher, term, 1.0) for term in plus]
        examples += [self._term(searcher, term, -1.0) for term in minus]
        filters = [Filter.parse(condition) if isinstance(condition, str) else condition for condition in where]
        return searcher.hits(examples, limit=limit, offset=offset, min_score=min_score, kind=kind, filters=filters)

    def similar(self, item: UUID | str | Paths, *, limit: int = 10) -> list[Hit]:
        """Items that look like a stored item (by id, beginning of an id, or path) or like any picture file."""
        if isinstance(item, UUID):
            return self.search(like=item, limit=limit)
        try:
            return self.search(like=str(item), limit=limit)
        except UsageError:
            if not Path(item).expanduser().is_file():
                raise
            return self.search(image=item, limit=limit)

    def classify(
        self, image: Paths, labels: Sequence[str], *, templates: Sequence[str] | None = None
    ) -> list[LabelScore]:
        """The labels with their probabilities for one picture file, likeliest first; the picture is not stored."""
        from seemory.zero_shot import PHOTO_TEMPLATES, ZeroShotClassifier

        encoder = self.encoder
        classifier = ZeroShotClassifier(encoder, labels, templates or PHOTO_TEMPLATES)
        return classifier.classify(encoder.embed_images([self._read(image)]))[0]

    def duplicates(self, *, threshold: float = 0.95) -> Duplicates:
        """Files with the same bytes, and pictures whose vectors have at least this cosine, as two tiers."""
        from seemory.duplicates import find_duplicates

        if not 0.0 < threshold <= 1.0:
            raise UsageError(f"threshold is a cosine between 0 and 1, not {threshold}")
        return find_duplicates(self._query, self._items, self._live(), threshold=threshold)

    def get(self, item: UUID | str) -> Item:
        """One item, by id, unique beginning of an id, or path.

        Raises:
            ItemNotFound: there is none, or several begin so.
        """
        return self._items.get(self._id(item))

    def items(self, *, where: Sequence[Filter | str] = (), batch: int = 500) -> Iterator[Item]:
        """Every item of the collection that meets the conditions, in a stable order."""
        filters = [Filter.parse(condition) if isinstance(condition, str) else condition for condition in where]
        offset = 0
        while page := self._items.listing(self.collection, limit=batch, offset=offset, filters=filters):
            yield from page
            offset += len(page)

    def thumbnail(self, item_id: UUID) -> bytes | None:
        """The stored small picture, as JPEG bytes, if there is one."""
        return self._items.thumbnail(item_id)

    def forget(self, items: Iterable[UUID | str]) -> int:
        """How many items were removed from the memory; files on disk are never touched."""
        return self._items.delete([self._id(item) for item in items])

    def stats(self) -> dict[str, object]:
        """Counts and sizes of the collection, with its encoder."""
        live = self._generations.live(self.collection)
        return {
            "collection": self.collection,
            "owner": self.owner,
            "model": live.model if live else None,
            "dim": live.dim if live else None,
            "generation": live.table if live else None,
            **self._items.stats(self.collection),
        }

    def errors(self, *, limit: int = 100) -> list[tuple[str, str, int]]:
        """Files that could not be used: path, reason, number of attempts."""
        return self._items.errors(self.collection, limit)

    def _id(self, item: UUID | str) -> UUID:
        return item if isinstance(item, UUID) else self._items.resolve(item, self.collection)

    def _read(self, path: Paths) -> Image:
        """A picture file the user named, upright and no larger than the encoder needs."""
        from seemory.media.image import load_picture

        options = self.settings.media
        try:
            picture = load_picture(
                Path(path).expanduser(), target=self.encoder.image_size, max_pixels=options.max_pixels
            )
        except MediaError as error:
            raise type(error)(f"{path}: {error}") from error
        return picture.image

    def _term(self, searcher: Searcher, term: str, weight: float) -> Example:
        path = Path(term).expanduser()
        if path.is_file():
            return searcher.picture(self._read(path), weight)
        if _looks_like_id(term):
            return searcher.item(self._id(term), weight)
        return searcher.words(term, weight)

    # -- life ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let the database go; the embedded server stops with its last user, unless it is to stay warm."""
        if "database" in self.__dict__:
            self.database.close()
            del self.database

    def __enter__(self) -> Memory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _looks_like_id(term: str) -> bool:
    """Whether a term is meant as an item's id: hexadecimal, long enough not to be a word."""
    try:
        return len(term) >= 8 and int(term.replace("-", ""), 16) >= 0 and any(c.isdigit() for c in term)
    except ValueError:
        return False
