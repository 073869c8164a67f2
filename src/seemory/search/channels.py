"""What is seen, what was meant and what was said: three channels, each asked for its best items."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from seemory.calibration import Calibration
from seemory.errors import ModelError, ModelUnavailable, TowerMissing, UsageError
from seemory.models.encoder import Encoder
from seemory.search.fusion import is_flat
from seemory.search.searcher import Example, Searcher
from seemory.store.query import Query
from seemory.store.words import Required, Words
from seemory.types import Filter, Generation, Kind, Vector

POOL: Final = 200
"""Items that each channel names. The last of them counts 1/260 by reciprocal rank, a quarter of the first."""

CHANNELS: Final = ("visual", "text", "words")

Sentences = Callable[[], tuple[Generation, Encoder] | None]
"""The live generation of sentence vectors and its encoder; None if there is none. Raises ModelError."""

_ALL = -2.0  # no cosine is less
_NO_SENTENCE = "no item has a sentence vector"


def require_weights(weights: Mapping[str, float]) -> None:
    """Refuse weights that cannot be.

    Raises:
        UsageError: a channel does not exist, or a weight is negative or no number.
    """
    for name, weight in weights.items():
        if name not in CHANNELS:
            raise UsageError(f"{name!r} is no channel: weigh {', '.join(CHANNELS)}, for example words=0.5")
        if not math.isfinite(weight) or weight < 0:
            raise UsageError(f"the weight of {name} must be 0 or more, not {weight}")


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of the ranking, and which items are in it at all."""

    limit: int = 10
    offset: int = 0
    min_score: float | None = None
    kind: Kind | None = None
    filters: Sequence[Filter] = ()

    @property
    def end(self) -> int:
        """Where it ends in the ranking."""
        return self.offset + self.limit


@dataclass(slots=True)
class Pools:
    """What the channels named, and what else is known of it."""

    silent: dict[str, str]
    """Channels that say nothing, with the reason."""
    query: Example | None = None
    """What pictures are compared with; None where that cannot be made."""
    failure: ModelError | None = None
    """Why it could not."""
    lists: dict[str, list[tuple[UUID, float]]] = field(default_factory=dict)
    """(item, score) of each channel, best first."""
    words: Mapping[UUID, tuple[str, ...]] = field(default_factory=dict)
    """Which words of the query an item has."""
    calibration: Calibration | None = None
    """Of sentence vectors."""

    @property
    def meant(self) -> dict[UUID, float]:
        """Cosines to sentence vectors."""
        return dict(self.lists.get("text", ()))

    def take(self, channel: str, found: Sequence[tuple[UUID, float]], nothing: str) -> None:
        """Keep what a channel named; `nothing` is the reason where that is nothing."""
        self.lists[channel] = list(found)
        if not found:
            self.silent[channel] = nothing
        elif is_flat(found):
            self.silent[channel] = f"flat: all {len(found)} that it named are equally good"


class Channels:
    """The channels of one live generation and of what was said of its items."""

    def __init__(self, sight: Searcher, query: Query, words: Words, sentences: Sentences) -> None:
        """Nothing is asked yet.

        Args:
            sight: makes the query's vector, and knows the generation of pictures' vectors.
            query: searches in vectors of any generation.
            words: searches in documents.
            sentences: finds the sentence vectors and their encoder.
        """
        self._sight = sight
        self._query = query
        self._words = words
        self._sentences = sentences

    def ask(self, text: str, stems: Sequence[str], page: Page, required: Required, silent: Mapping[str, str]) -> Pools:
        """What all channels that are not silent name for a text, of which `stems` occur in the collection."""
        pools = Pools(dict(silent))
        try:
            pools.query = self._sight.words(text)
        except (TowerMissing, ModelUnavailable) as error:  # what was said can still be searched
            pools.failure = error
            pools.silent.setdefault("visual", str(error))
        alone = len(CHANNELS) - len(pools.silent) == 1
        depth = max(POOL, page.end) if alone else POOL
        if "words" not in pools.silent:
            collection = self._sight.generation.collection
            matches = self._words.matching(
                collection, stems, limit=depth, filters=page.filters, kind=page.kind, required=required
            )
            pools.words = matches.words
            pools.take("words", matches.found, "no item has any word of the query")
        if "text" not in pools.silent:
            self._ask_sentences(pools, text, depth, page, required)
        if pools.query is not None and "visual" not in pools.silent:
            pools.take("visual", self.seen(pools.query, depth, page, required), "no item has a vector")
        return pools

    def seen(
        self, query: Example, depth: int, page: Page, required: Required, *, scored: bool = False
    ) -> list[tuple[UUID, float]]:
        """The items nearest by sight with their cosines; with `scored`, only those that have the page's least score."""
        least = (
            self._sight.calibration([query]).cosine(page.min_score) if scored and page.min_score is not None else _ALL
        )
        return self._near(self._sight.generation, query.vector, depth, page, required, least)

    def _ask_sentences(self, pools: Pools, text: str, depth: int, page: Page, required: Required) -> None:
        try:
            found = self._sentences()
            if found is None:  # it was there a moment ago
                pools.silent["text"] = _NO_SENTENCE
                return
            generation, encoder = found
            pools.calibration = Calibration(encoder.calibration("text_to_text"))
            same = pools.query is not None and encoder is self._sight.encoder
            vector = pools.query.vector if pools.query and same else encoder.embed_query(text)
        except ModelError as error:
            pools.silent["text"] = str(error)
            return
        pools.take("text", self._near(generation, vector, depth, page, required), _NO_SENTENCE)

    def _near(
        self, generation: Generation, vector: Vector, depth: int, page: Page, required: Required, least: float = _ALL
    ) -> list[tuple[UUID, float]]:
        return self._query.nearest_ids(
            generation,
            vector,
            limit=depth,
            filters=page.filters,
            kind=page.kind,
            also=required.condition,
            min_cosine=least,
        )

    def marks(self, pools: Pools, items: Sequence[UUID]) -> dict[UUID, tuple[float, float | None]]:
        """Each item's score and cosine: by sight, or, without a picture's vector, its score by what was said of it."""
        seen: dict[UUID, float] = {}
        calibration: Calibration | None = None
        if pools.query is not None:
            seen = dict(pools.lists.get("visual", ()))
            if others := [item_id for item_id in items if item_id not in seen]:
                seen |= self._query.cosines(self._sight.generation, pools.query.vector, others)
            calibration = self._sight.calibration([pools.query])
        meant = pools.meant

        def score(item_id: UUID) -> float:
            if calibration is not None and item_id in seen:
                return calibration.score(seen[item_id])
            return pools.calibration.score(meant[item_id]) if pools.calibration and item_id in meant else 0.0

        return {item_id: (score(item_id), seen.get(item_id)) for item_id in items}
