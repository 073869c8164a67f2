"""The rooms behind what is said of items: describing, sentence vectors, preferences, and searches by all channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from seemory.encoders import Encoders
from seemory.errors import ItemNotFound, ModelError, TowerMissing, UsageError
from seemory.settings import Settings
from seemory.telemetry import ProgressListener, ignore
from seemory.types import Description, Generation

if TYPE_CHECKING:
    from seemory.describing.describer import Describer, DescribeReport
    from seemory.models.encoder import Encoder
    from seemory.search.hybrid import Finder
    from seemory.search.searcher import Searcher
    from seemory.store.connect import Database
    from seemory.store.describing import Descriptions
    from seemory.store.generations import Generations
    from seemory.store.preferences import Preferences
    from seemory.store.query import Query


class Wordbook:
    """One owner's words for the items of one collection; each part is built at first use."""

    def __init__(
        self,
        settings: Settings,
        database: Callable[[], Database],
        generations: Callable[[], Generations],
        encoders: Encoders,
    ) -> None:
        self._settings = settings
        self._database = database
        self._generations = generations
        self._encoders = encoders

    @cached_property
    def descriptions(self) -> Descriptions:
        """What was said of the owner's items."""
        from seemory.store.describing import Descriptions

        options = self._settings
        return Descriptions(self._database(), options.owner, options.collection, options.search.language)

    @cached_property
    def preferences(self) -> Preferences:
        """The owner's saved weights."""
        from seemory.store.preferences import Preferences

        return Preferences(self._database(), self._settings.owner)

    def finder(self, searcher: Searcher, query: Query) -> Finder:
        """Answers by all channels, over the generation of a searcher."""
        from seemory.search.hybrid import Finder
        from seemory.store.words import Words

        options = self._settings.search
        return Finder(
            searcher,
            query,
            Words(self._database(), self._settings.owner),
            lambda: self._sentences(searcher),
            weights=self.default_weights,
            fusion=options.fusion,
            language=options.language,
        )

    @property
    def default_weights(self) -> dict[str, float]:
        """The weights of the settings."""
        options = self._settings.search
        return {"visual": options.visual, "text": options.text, "words": options.words}

    def prefer(self, weights: Mapping[str, float]) -> dict[str, float]:
        """The owner's saved weights, after these were put over them."""
        from seemory.search.channels import require_weights

        require_weights(weights)
        saved = self.preferences.weights() | dict(weights)
        if not any((self.default_weights | saved).values()):
            raise UsageError("every channel would have weight 0: nothing would be left to search by")
        self.preferences.save(saved)
        return saved

    def describe(self, item_id: UUID, said: Description) -> DescribeReport:
        """The report of saying something of one item.

        Raises:
            UsageError: nothing was said, or a text is too long, or there is no such language.
            ItemNotFound: the item is not in this collection.
        """
        from seemory.describing.describer import DescribeReport, require_words

        require_words(said)
        if not self.descriptions.write({item_id: said}):
            raise ItemNotFound(f"there is no item {item_id} in collection {self._settings.collection!r}")
        return self.catch_up(DescribeReport(described=1))

    def describe_from(self, file: Path, listen: ProgressListener = ignore) -> DescribeReport:
        """The report of a table of words. Raises UsageError where it is no table."""
        from seemory.describing.word_files import read_words

        report = self._describer().table(read_words(file), file.absolute().parent, listen)
        return self.catch_up(report, listen)

    def _describer(self) -> Describer:
        from seemory.describing.describer import Describer

        return Describer(self.descriptions, self.descriptions.languages())

    def catch_up(self, report: DescribeReport | None = None, listen: ProgressListener = ignore) -> DescribeReport:
        """The report, with how many described items that had none got their sentence vector, or why they could not."""
        from seemory.describing.describer import DescribeReport
        from seemory.describing.sentences import embed_sentences

        report = report or DescribeReport()
        if not self.descriptions.anything():
            return report
        try:
            report.embedded += embed_sentences(self.descriptions, *self.sentences(), listen)
        except ModelError as error:
            report.waiting = str(error)
        return report

    def sentences(self) -> tuple[Generation, Encoder]:
        """The live generation of sentence vectors, made if there is none, and its encoder. Raises ModelError."""
        return self._sentences() or self._first_sentences()

    def _sentences(self, searcher: Searcher | None = None) -> tuple[Generation, Encoder] | None:
        """The live generation of sentence vectors and its encoder; the searcher's own where it is the same one."""
        from seemory.models.encoder import Encoder

        live = self._generations().live(self._settings.collection, "text")
        if live is None:
            return None
        if searcher and live.fingerprint == searcher.generation.fingerprint and isinstance(searcher.encoder, Encoder):
            return live, searcher.encoder
        encoder = self._encoders.made_by(live)
        if encoder.fingerprint != live.fingerprint:
            raise ModelError(
                f"the files of {live.model} are not those that the sentence vectors of collection "
                f"{self._settings.collection!r} were made with (fingerprint {encoder.fingerprint[:12]}, not "
                f"{live.fingerprint[:12]}): restore them"
            )
        return live, encoder

    def _first_sentences(self) -> tuple[Generation, Encoder]:
        """A new generation of sentence vectors, made by the encoder of the settings. Raises ModelError."""
        name, encoder = self._encoders.find(self._settings.models.text)
        if not encoder.has_texts:
            raise TowerMissing(f"{name} has no text tower: name a sentence encoder in the setting models.text")
        live = self._generations().create(
            self._settings.collection, "text", model=name, fingerprint=encoder.fingerprint, dim=encoder.dim
        )
        return live, encoder
