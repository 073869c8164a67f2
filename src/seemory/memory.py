"""Memory: the object a user holds. Thin: it joins the rooms below, and builds each of them at first use."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from copy import copy
from datetime import datetime
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, get_args
from uuid import UUID

from seemory.errors import ItemNotFound, ModelUnavailable, TowerMissing, UsageError
from seemory.rooms import Rooms
from seemory.settings import Settings, read_settings
from seemory.telemetry import ProgressListener, ignore
from seemory.types import Description, Filter, Hits, Item, Kind

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from seemory.adding.adder import Added
    from seemory.advisors.advice import Advice, Mode
    from seemory.advisors.library import Advisors
    from seemory.critics import Critics
    from seemory.describing.describer import DescribeReport
    from seemory.duplicates import Duplicates
    from seemory.embedding.pictures import EmbedFiles
    from seemory.evaluation.remedies import RemedyName
    from seemory.exchange.vectors import ImportReport
    from seemory.index_report import FileResult, IndexReport
    from seemory.measuring.geometry import GeometryReport
    from seemory.measuring.index_quality import IndexReport as IndexQuality
    from seemory.measuring.index_quality import Plan
    from seemory.media.image import ReadPicture
    from seemory.models.encoder import Encoder, Sharing
    from seemory.reembedding.backfilling import BackfillReport
    from seemory.reembedding.blue_green import Reembedding
    from seemory.remembering.recalling import Recalled
    from seemory.remembering.rememberer import MemoryReport
    from seemory.search.routing import RouteName
    from seemory.store.connect import Database
    from seemory.store.explaining import Explanation
    from seemory.store.memories import Remembered
    from seemory.types import Vectors
    from seemory.zero_shot import LabelScore

Paths = str | os.PathLike[str]


def open_memory(
    url: str | None = None,
    *,
    home: Paths | None = None,
    owner: str | None = None,
    collection: str | None = None,
    model: str | None = None,
    listen: ProgressListener = ignore,
) -> Memory:
    """A memory: on the embedded Postgres in `home`, or on the server at `url`. Nothing is started before first use.

    What is not given comes from the environment and the data folder's `config.toml`. `listen` hears how far the fetch
    of an encoder is, if one is needed.

    Raises:
        UsageError: a setting is wrong.
    """
    home_path = None if home is None else Path(home)
    settings = read_settings(database_url=url, home=home_path, owner=owner, collection=collection)
    return Memory(settings, model=model, listen=listen)


class Memory:
    """One owner's view of one collection: index, search, compare, classify."""

    def __init__(
        self,
        settings: Settings,
        *,
        model: str | None = None,
        listen: ProgressListener = ignore,
        share: Sharing | None = None,
        decoder: ReadPicture | None = None,
    ) -> None:
        """Nothing is started or loaded yet.

        Args:
            settings: whose memory, where; `settings.model` is the encoder of a new collection.
            model: an encoder to insist on: a collection made with another one is refused.
            listen: hears how far the fetch of an encoder is.
            share: how callers from many threads share an encoder's passes (`seemory.embedding.sharing`); by default
                each has its own.
            decoder: reads pictures that are handed over as bytes (`seemory.contained`); by default this process.
        """
        self.settings = settings
        self.home: Path = settings.home
        self.owner: str = settings.owner
        self.collection: str = settings.collection
        self._rooms = Rooms(settings, model, listen, share, decoder)

    def of(self, owner: str) -> Memory:
        """The same collection as another owner sees it, for programs that serve several.

        It uses this memory's connections and encoders, so it is of use until this one is closed.
        """
        rooms = self._rooms.of(owner)
        other = copy(self)
        other.settings, other.owner, other._rooms = rooms.settings, owner, rooms
        return other

    @property
    def notice(self) -> str | None:
        """One line about a choice that was made for the user (which encoder `auto` became), once it was made."""
        return self._rooms.encoders.notice

    @property
    def database(self) -> Database:
        """The connection pool; the embedded server is started by its first use."""
        return self._rooms.database

    @property
    def encoder(self) -> Encoder:
        """The live generation's encoder, or, for a new collection, the one that was asked for.

        Raises:
            CollectionMismatch: the collection was made with another encoder than the one insisted on, or its
                encoder's files have changed.
            ModelError: the encoder cannot be found or loaded.
        """
        return self._rooms.encoders.current

    @property
    def model_name(self) -> str:
        """The catalogue name or folder of the collection's encoder, or of a new collection's; nothing is fetched."""
        return self._rooms.encoders.model_name

    @property
    def encoder_name(self) -> str:
        """The name of the collection's encoder."""
        return self._rooms.encoder_name

    def index(
        self,
        *paths: Paths,
        recursive: bool = True,
        prune: bool = False,
        workers: int | None = None,
        retry_failed: bool = False,
        reprocess: bool = False,
        transcribe: str | None = None,
        ray: str | None = None,
        within: Sequence[Path] | None = None,
        listen: ProgressListener = ignore,
    ) -> IndexReport:
        """The report of bringing files and folders into the collection; a bad file is counted, never raised.

        Args:
            paths: files or folders.
            recursive: look into folders inside folders.
            prune: mark files under `paths` that are gone from disk, so that searches leave them out.
            workers: decode threads.
            retry_failed: try files again that failed before and have not changed since.
            reprocess: read known and unchanged files again as well; the same comes out, and no frame of a film is
                embedded a second time.
            transcribe: the Whisper model (a size, or a folder) that listens to films without subtitles, by default the
                settings'; needs the extra `speech`.
            ray: the Ray cluster that decodes and embeds pictures (see `embedding`), by default the settings'; films
                are read by this process.
            within: only files that really lie in these folders, links followed: of links that lead elsewhere, nothing.
            listen: called with the progress; its `Stopped` ends the run, with `interrupted` set.

        Raises:
            UsageError: a path does not exist, or there is no such speech model.
            ClusterUnreachable: there is no such cluster, or no worker of it is left.
            CollectionMismatch, ModelError, StoreError: nothing could be indexed at all.
        """
        roots = [Path(path).expanduser() for path in paths]
        with self.embedding(ray, workers) as embedding:
            report = self._rooms.indexer(embedding, transcribe).run(
                roots,
                recursive=recursive,
                prune=prune,
                retry_failed=retry_failed,
                reprocess=reprocess,
                within=within,
                listen=listen,
            )
        if report.told and not report.interrupted:
            report.waiting = self._rooms.wordbook.catch_up(listen=listen).waiting
        return report

    def index_each(
        self, *paths: Paths, recursive: bool = True, workers: int | None = None, retry_failed: bool = False
    ) -> Iterator[FileResult]:
        """Like `index`, but each file's result as soon as it is committed."""
        roots = [Path(path).expanduser() for path in paths]
        with self.embedding(workers=workers) as embedding:
            told = False
            for result in self._rooms.indexer(embedding).stream(roots, recursive=recursive, retry_failed=retry_failed):
                told = told or result.told
                yield result
        if told:
            self._rooms.wordbook.catch_up()

    def add(self, picture: bytes) -> Added:
        """The item that a picture file's bytes became; bytes that are in the collection already cost a hash.

        The bytes are kept in the data folder until the item is forgotten. May be called from several threads.

        Raises:
            MediaError: it is no picture that can be read here; nothing of it is kept.
            CollectionMismatch, ModelError, StoreError: it could not be embedded or written.
        """
        return self._rooms.adder.add(picture)

    def search(
        self,
        words: str | None = None,
        *,
        image: Paths | bytes | None = None,
        like: UUID | str | None = None,
        vector: ArrayLike | None = None,
        plus: Sequence[str] = (),
        minus: Sequence[str] = (),
        limit: int = 10,
        offset: int = 0,
        min_score: float | None = None,
        kind: Kind | None = None,
        where: Sequence[Filter | str] = (),
        weights: Mapping[str, float] | None = None,
        fusion: str | None = None,
        language: str | None = None,
        film: Paths | None = None,
        route: RouteName | None = None,
        group: bool | None = None,
    ) -> Hits:
        """The best hits for words, a picture file, a stored item, or a sum of several, best first (docs/search.md).

        Args:
            words: what the picture shows, or what was said of it; `"words in quotes"` and `-word` exclude.
            image: a picture to be alike: a file, or the bytes of one.
            like: an item's id, a unique beginning of it, or its path; the item itself is left out.
            vector: `(d,)`, made elsewhere by the collection's encoder; scored as a picture's.
            plus, minus: more terms to add or take away; each is an existing file, an item id, or else words.
            limit, offset: which part of the ranking.
            min_score: the least calibrated score, 0 to 1.
            kind: only images, scenes or texts.
            where: conditions such as `"width>=1000"`, `"taken=2021-05"`, `"camera~canon"`.
            weights: of the channels `visual`, `text` and `words`, over the saved ones and the settings'.
            fusion: `"rrf"` or `"minmax"`.
            language: to read the words in; by default all languages in which anything was said in the collection.
            film: only scenes of this film: its path, or the id of its asset.
            route: what sight is there for: `"visual"` (it leads), `"rerank"` (it changes the order of what words
                found), `"words"` (it is left out) or `"auto"`, the default among scenes (docs/video.md).
            group: whether neighbouring scenes of a film are one hit, so that `limit` counts such groups; by default
                where nothing but scenes is asked for.

        Raises:
            UsageError: nothing was asked for, or something of it is wrong.
            ItemNotFound: there is no such item or film.
            MediaError: the picture cannot be read.
        """
        from seemory.search.channels import Page
        from seemory.search.scenes import Wanted

        if kind is not None and kind not in get_args(Kind):
            raise UsageError(f"kind is one of {', '.join(get_args(Kind))}, not {kind!r}")
        filters = self._conditions(where, film)
        page = Page(limit, offset, min_score, kind, filters)
        wanted = Wanted(page, weights or {}, fusion, language, route, group)

        def answer() -> Hits:
            searcher = self._rooms.searcher()
            examples = self._rooms.terms.examples(
                searcher, image=image, like=like, vector=vector, plus=plus, minus=minus
            )
            return self._rooms.scene_finder(searcher).find(words or "", examples, wanted)

        return self._rooms.steadily(answer)

    def explain(
        self,
        words: str | None = None,
        *,
        image: Paths | None = None,
        like: UUID | str | None = None,
        vector: ArrayLike | None = None,
        plus: Sequence[str] = (),
        minus: Sequence[str] = (),
        limit: int = 10,
        offset: int = 0,
        kind: Kind | None = None,
        where: Sequence[Filter | str] = (),
        film: Paths | None = None,
    ) -> Explanation:
        """How the channel `visual` answers such a search: whether all rows are compared, the filter goes first, or the
        index is asked; what that was chosen by; Postgres's plan with times and buffers. Nothing in it counts other
        owners' rows.

        Arguments and errors are those of `search`.
        """
        filters = self._conditions(where, film)

        def answer() -> Explanation:
            searcher = self._rooms.searcher()
            examples = list(
                self._rooms.terms.examples(searcher, image=image, like=like, vector=vector, plus=plus, minus=minus)
            )
            if words:
                examples.append(searcher.words(words))
            return searcher.explain(examples, limit=limit, offset=offset, kind=kind, filters=filters)

        return self._rooms.steadily(answer)

    def _conditions(self, where: Sequence[Filter | str], film: Paths | None = None) -> list[Filter]:
        filters = [Filter.parse(condition) if isinstance(condition, str) else condition for condition in where]
        return filters if film is None else [*filters, self._rooms.scenes.film(self.collection, os.fspath(film))]

    def similar(self, item: UUID | str | Paths, *, limit: int = 10) -> Hits:
        """Items that look like a stored item (by id, beginning of an id, or path) or like any picture file."""
        if isinstance(item, UUID):
            return self.search(like=item, limit=limit)
        try:
            return self.search(like=str(item), limit=limit)
        except ItemNotFound as error:
            if Path(item).expanduser().is_file():
                return self.search(image=item, limit=limit)
            raise ItemNotFound(f"{error}; and there is no such file") from error

    def classify(
        self, image: Paths | bytes, labels: Sequence[str], *, templates: Sequence[str] | None = None
    ) -> list[LabelScore]:
        """The labels with their probabilities for a picture file, or the bytes of one, likeliest first; nothing of it
        is stored."""
        from seemory.zero_shot import PHOTO_TEMPLATES, ZeroShotClassifier

        encoder = self.encoder
        classifier = ZeroShotClassifier(encoder, labels, templates or PHOTO_TEMPLATES)
        return classifier.classify(encoder.embed_images([self._rooms.terms.picture(image, encoder)]))[0]

    def embed(self, things: Sequence[str | bytes]) -> Vectors:
        """`(n, d)` float32 of norm 1 by the collection's encoder, of texts and of the bytes of picture files, in order.

        Raises:
            TowerMissing: the encoder takes no texts, or no pictures.
            MediaError: a picture cannot be read.
        """
        import numpy as np

        encoder = self.encoder
        vectors = np.empty((len(things), encoder.dim), dtype=np.float32)
        texts = [n for n, thing in enumerate(things) if isinstance(thing, str)]
        pictures = [(n, thing) for n, thing in enumerate(things) if isinstance(thing, bytes)]
        if texts:
            vectors[texts] = encoder.embed_texts([str(things[n]) for n in texts])
        for n, picture in pictures:  # one by one: of pictures as large as they may be, no two are held at once
            vectors[n] = encoder.embed_images([self._rooms.terms.picture(picture, encoder)])[0]
        return vectors

    @property
    def advisors(self) -> Advisors:
        """The owner's libraries of reference photographs: added to, listed, removed (docs/advisors.md)."""
        return self._rooms.advisors

    @property
    def critics(self) -> Critics:
        """What makes a critic speak in an advisor's manner: trained, and measured (docs/advisors.md)."""
        return self._rooms.critics

    def advise(
        self,
        photograph: Paths | bytes,
        advisor: str,
        *,
        mode: Mode = "combined",
        limit: int = 3,
        name: str = "photograph",
        regions: bool = True,
        listen: Callable[[Advice], None] = lambda _: None,
    ) -> Advice:
        """What an advisor's library says of a picture file, or of the bytes of one, called `name`; nothing is kept.

        Arguments and errors are those of `seemory.advisors.advising.Advising.advise`.
        """
        return self._rooms.advising.advise(
            photograph, advisor, mode=mode, limit=limit, name=name, regions=regions, listen=listen
        )

    def duplicates(self, *, threshold: float = 0.95) -> Duplicates:
        """Files with the same bytes, and pictures whose vectors have at least this cosine, as two tiers."""
        from seemory.duplicates import find_duplicates

        if not 0.0 < threshold <= 1.0:
            raise UsageError(f"threshold is a cosine between 0 and 1, not {threshold}")
        rooms = self._rooms
        return rooms.steadily(lambda: find_duplicates(rooms.query, rooms.items, rooms.live(), threshold=threshold))

    def reembedding(self, embedding: EmbedFiles | None = None) -> Reembedding:
        """What moves this collection, of all its owners, from one encoder to another while searches go on.

        `embedding` is who decodes and embeds (see `embedding`), by default this process.
        """
        return self._rooms.reembedding(embedding or self._rooms.local_embedding())

    def embedding(self, ray: str | None = None, workers: int | None = None) -> AbstractContextManager[EmbedFiles]:
        """Who decodes and embeds while a `with` block lasts: this process, or the Ray cluster at that address.

        Args:
            ray: `host:port`, `auto` (the cluster this machine belongs to) or `local` (a Ray of its own); nothing is
                connected before the first file. By default what the settings say.
            workers: decode threads of this process.

        Raises:
            UsageError: Ray is not installed, or the address is of the wrong form.
        """
        return self._rooms.embedding(ray or self.settings.index.ray, workers)

    def backfill(self, *, retry: bool = False, limit: int = 100, listen: ProgressListener = ignore) -> BackfillReport:
        """Which items have no vector, counted by reason, and, with `retry`, what became of embedding them again.

        Args:
            retry: read their files and embed them again, for every generation.
            limit: how many of them are named in the report; all are counted.
            listen: called with the progress.

        Raises:
            UsageError: nothing was ever indexed into this collection.
        """
        from seemory.reembedding.backfilling import backfill

        options = self.settings
        self._rooms.live()  # or it is said that nothing was ever indexed
        targets = self._rooms.targets()
        here = self._rooms.local_embedding()
        return backfill(self.database, options.owner, targets, here, retry=retry, limit=limit, listen=listen)

    def describe(
        self,
        item: UUID | str,
        *,
        caption: str | None = None,
        tags: Sequence[str] | None = None,
        notes: str | None = None,
        transcript: str | None = None,
        language: str | None = None,
    ) -> DescribeReport:
        """The report of saying something of an item: what is given replaces what was there, an empty text removes it.

        Args:
            item: its id, a unique beginning of it, or its path.
            caption, tags, notes, transcript: the words, weighing the less the later they are named here.
            language: the text search configuration of the words, such as `german`.

        Raises:
            UsageError: nothing was said, or there is no such language.
            ItemNotFound: there is no such item.
        """
        said = Description(caption, None if tags is None else tuple(tags), notes, transcript, language)
        return self._rooms.wordbook.describe(self._rooms.terms.item(item), said)

    def describe_from(self, file: Paths, *, listen: ProgressListener = ignore) -> DescribeReport:
        """The report of a table of words (CSV or JSON lines, docs/search.md); bad rows are counted and named.

        Raises:
            UsageError: the file is no such table.
        """
        return self._rooms.wordbook.describe_from(Path(file).expanduser(), listen)

    def catch_up(self, *, listen: ProgressListener = ignore) -> DescribeReport:
        """The report of giving every described item that lacks it its sentence vector."""
        return self._rooms.wordbook.catch_up(listen=listen)

    @property
    def default_weights(self) -> dict[str, float]:
        """The channel weights of the settings."""
        return self._rooms.wordbook.default_weights

    def prefer(self, **weights: float) -> dict[str, float]:
        """The owner's saved channel weights, after these were put over them: `prefer(words=0)`.

        Raises:
            UsageError: there is no such channel, or a weight is negative.
        """
        return self._rooms.wordbook.prefer(weights) if weights else self._rooms.wordbook.preferences.weights()

    def prefer_defaults(self) -> None:
        """Forget the saved channel weights: the settings' count again."""
        self._rooms.wordbook.preferences.save({})

    def remember(self, text: str, *, tags: Sequence[str] = (), when: datetime | None = None) -> Remembered:
        """What became of a text that is to be remembered (docs/memory.md): a new memory, or one said once more.

        Args:
            text: what to remember.
            tags: keywords.
            when: when it was; without a time zone, UTC.

        Raises:
            UsageError: there is no text, or it is too long.
        """
        from seemory.store.memories import Saying

        return self._rooms.rememberer.remember(Saying(text, tuple(tags), when))

    def remember_from(self, *files: Paths, listen: ProgressListener = ignore) -> MemoryReport:
        """The report of remembering all texts of .txt, .md and .jsonl files; bad ones are counted and named.

        Raises:
            UsageError: a file cannot be read, or is none of these.
        """
        from seemory.remembering.texts import read_texts

        texts = [read_texts(Path(file).expanduser()) for file in files]
        return self._rooms.rememberer.remember_all(chain.from_iterable(texts), listen)

    def recall(
        self,
        words: str,
        *,
        limit: int = 10,
        kind: Kind | None = None,
        where: Sequence[Filter | str] = (),
    ) -> list[Recalled]:
        """What is remembered of words, best first: texts, pictures and scenes, fused by rank, with what was said.

        Args:
            words: as for `search`, quotes and `-word` too.
            limit: how many.
            kind: only images, scenes or texts.
            where: conditions, as for `search`.

        Raises:
            UsageError: nothing was asked for, or something of it is wrong.
        """
        from seemory.remembering.recalling import together, told
        from seemory.search.channels import Page
        from seemory.search.scenes import Wanted

        if kind is not None and kind not in get_args(Kind):
            raise UsageError(f"kind is one of {', '.join(get_args(Kind))}, not {kind!r}")
        page = Page(limit, 0, None, kind, self._conditions(where))
        rooms = self._rooms

        def answer() -> list[Recalled]:
            searcher = rooms.recaller()
            finder = rooms.scene_finder(searcher)
            weights = {**rooms.wordbook.default_weights, **rooms.wordbook.preferences.weights()}
            said = seen = Hits(())
            if weights["text"] or weights["words"]:
                said = finder.find(words, (), Wanted(page, {"visual": 0.0}, group=False, route="visual"))
            try:
                if kind != "text" and weights["visual"]:
                    seen = finder.find(
                        words, (), Wanted(page, {"text": 0.0, "words": 0.0}, group=False, route="visual")
                    )
            except (ModelUnavailable, TowerMissing):
                if not said and rooms.generations.live(self.collection, owner=self.owner) is not None:
                    raise
            return told(together(said, seen, weights, limit), rooms.query, rooms.memories)

        return self._rooms.steadily(answer)

    def get(self, item: UUID | str) -> Item:
        """One item, by id, unique beginning of an id, or path.

        Raises:
            ItemNotFound: there is none, or several begin so.
        """
        return self._rooms.items.get(self._rooms.terms.item(item))

    def items(self, *, where: Sequence[Filter | str] = (), batch: int = 500) -> Iterator[Item]:
        """Every item of the collection that meets the conditions, in a stable order."""
        filters = self._conditions(where)
        for page in self._rooms.items.pages(self.collection, batch=batch, filters=filters):
            yield from page

    def listing(self, *, limit: int = 100, offset: int = 0, where: Sequence[Filter | str] = ()) -> list[Item]:
        """A page of the collection's items that meet the conditions, in the order in which they came."""
        return self._rooms.items.listing(self.collection, limit=limit, offset=offset, filters=self._conditions(where))

    def original(self, item: UUID | str, *, roots: Sequence[Path] = ()) -> Path:
        """The file of an item, links followed: one that `add` has kept, or one that lies under one of the `roots`.

        Raises:
            ItemNotFound: there is no such item, its file is gone, or it lies elsewhere.
        """
        found = self.get(item)
        path = Path(found.uri)
        if found.kind != "text" and self._rooms.adder.keeps(found.uri):
            roots = [self.home / "pictures"]
        try:
            real = path.resolve(strict=True)
            if real.is_file() and any(real.is_relative_to(root.resolve()) for root in roots):
                return real
        except (OSError, ValueError, RuntimeError):
            pass
        raise ItemNotFound(f"item {found.item_id} has no file that may be handed out")

    def thumbnail(self, item_id: UUID) -> bytes | None:
        """The stored small picture, as JPEG bytes, if there is one."""
        return self._rooms.items.thumbnail(item_id)

    def import_vectors(
        self,
        *files: Paths,
        model: str,
        fingerprint: str | None = None,
        column: str | None = None,
        listen: ProgressListener = ignore,
    ) -> ImportReport:
        """The report of bringing in vectors that the encoder `model` made elsewhere (docs/exchange.md).

        Args:
            files: .npy, .parquet, .safetensors, or folders of clip-retrieval.
            model: the name of the encoder.
            fingerprint: its fingerprint; `"local"`: that of the encoder of that name on this machine.
            column: the column or tensor that has the vectors, if its name is not a usual one.
            listen: called with the progress.

        Raises:
            UsageError: a file has no vectors, or of another width than the collection's.
            CollectionMismatch: the collection was made by another encoder.
        """
        from seemory.exchange.files import read_vectors
        from seemory.exchange.vectors import width_of

        paths = [Path(file).expanduser() for file in files]
        widths = [width_of(path, column) for path in paths]
        if len(set(widths)) != 1:
            raise UsageError(f"the files have vectors of {sorted(set(widths))} dimensions: one width is needed")
        importer = self._rooms.importer(model, fingerprint, widths[0])
        report = importer.run((batch for path in paths for batch in read_vectors(path, column)), listen)
        if report.described:
            report.without_sentences = self._rooms.wordbook.catch_up().waiting
        return report

    def export_vectors(self, file: Paths, *, listen: ProgressListener = ignore) -> int:
        """How many vectors were written to a parquet file, with ids, paths and metadata."""
        from seemory.exchange.vectors import export_vectors

        return export_vectors(self._rooms.query, self._rooms.items, self._rooms.live(), Path(file), listen)

    def geometry(
        self,
        *,
        by: str = "folder",
        labels: Paths | None = None,
        sample: int = 5000,
        remedies: Sequence[RemedyName] | None = None,
        listen: ProgressListener = ignore,
    ) -> GeometryReport:
        """How the collection's space is shaped, and what remedies make of it and of finding (docs/evaluation.md).

        Args:
            by: groups are made by the items' `folder`, `tag`, or a key of their metadata.
            labels: a CSV file that says the groups instead: path (or id), label.
            sample: at most so many vectors, at random.
            remedies: which, by default all.
            listen: called with the progress.

        Raises:
            UsageError: the owner has no vectors here, or the labels cannot be read.
        """
        from seemory.evaluation.remedies import REMEDIES
        from seemory.measuring.collection import measure_collection

        rooms = self._rooms
        chosen = REMEDIES if remedies is None else remedies
        return rooms.steadily(
            lambda: measure_collection(
                rooms.query,
                rooms.items,
                rooms.live(),
                rooms.encoders,
                by=by,
                labels=None if labels is None else Path(labels),
                sample=sample,
                remedies=chosen,
                listen=listen,
            )
        )

    def index_quality(
        self, *, plan: Plan | None = None, words: Sequence[str] | None = None, listen: ProgressListener = ignore
    ) -> IndexQuality:
        """How much of what is really nearest each kind of index finds of the collection's vectors (docs/evaluation.md).

        Args:
            plan: what is measured.
            words: queries of the other kind; by default the items' captions and some that people search with.
            listen: called with the progress.

        Raises:
            UsageError: the owner has too few vectors, or the plan is out of pgvector's reach.
        """
        from seemory.measuring.collection import index_of_collection

        rooms = self._rooms
        return rooms.steadily(
            lambda: index_of_collection(
                rooms.database,
                rooms.query,
                rooms.items,
                rooms.live(),
                rooms.encoders,
                plan=plan,
                words=words,
                listen=listen,
            )
        )

    def forget(self, items: Iterable[UUID | str]) -> int:
        """How many items were removed from the memory; no file is touched but those that `add` has kept.

        The path of a film means all its scenes.
        """
        return self._rooms.adder.forget([found for item in items for found in self._rooms.terms.all_items(item)])

    def stats(self) -> dict[str, Any]:
        """Counts and sizes of the collection, with its encoder, and how embedding went (`health`)."""
        live = self._rooms.generations.live(self.collection, owner=self.owner)
        return {
            "collection": self.collection,
            "owner": self.owner,
            "model": live.model if live else None,
            "dim": live.dim if live else None,
            "generation": live.table if live else None,
            **self._rooms.items.stats(self.collection),
        }

    def errors(self, *, limit: int = 100) -> list[tuple[str, str, int]]:
        """Files that could not be used: path, reason, number of attempts."""
        return self._rooms.items.errors(self.collection, limit)

    def close(self) -> None:
        """Let the database go; the embedded server stops with its last user, unless it is to stay warm."""
        self._rooms.close()

    def __enter__(self) -> Memory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
