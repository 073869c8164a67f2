"""A query in words → what sight, sentence vectors and words each find → one ranking, with what each contributed.

Each channel names its best `POOL` items, whatever page is asked for, so that pages never disagree; beyond the items
named by any of them the ranking goes on by sight alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from seemory.calibration import Calibration
from seemory.errors import ModelError, ModelUnavailable, TowerMissing, UsageError
from seemory.fusion import FUSIONS, FusionName, effective_weights, is_flat
from seemory.models.encoder import Encoder
from seemory.search import Example, Searcher, by_sight, hit_of, require_page
from seemory.store.query import Query
from seemory.store.words import Outlook, Required, Words
from seemory.types import ChannelAnswer, Filter, Generation, Hit, Hits, Kind, Vector
from seemory.wording import Wording, read_wording

POOL: Final = 200
"""Items that each channel names. The last of them counts 1/260 by reciprocal rank, a quarter of the first."""

CHANNELS: Final = ("visual", "text", "words")

Sentences = Callable[[], tuple[Generation, Encoder] | None]
"""The live generation of sentence vectors and its encoder; None if there is none. Raises ModelError."""


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
class _Pools:
    """What the channels named, and what is known of it."""

    lists: dict[str, list[tuple[UUID, float]]] = field(default_factory=dict)
    silent: dict[str, str] = field(default_factory=dict)
    """Channels that say nothing, with the reason."""
    words: Mapping[UUID, tuple[str, ...]] = field(default_factory=dict)
    calibration: Calibration | None = None
    """Of sentence vectors."""

    def take(self, channel: str, found: Sequence[tuple[UUID, float]], nothing: str) -> None:
        """Keep what a channel named."""
        self.lists[channel] = list(found)
        if not found:
            self.silent[channel] = nothing
        elif is_flat(found):
            self.silent[channel] = f"flat: all {len(found)} that it named are equally good"


class Finder:
    """Answers queries over one live generation, and over what was said of its items."""

    def __init__(
        self,
        sight: Searcher,
        query: Query,
        words: Words,
        sentences: Sentences,
        *,
        weights: Mapping[str, float],
        fusion: FusionName = "rrf",
        language: str = "english",
    ) -> None:
        """Nothing is asked yet.

        Args:
            sight: answers by pictures' vectors.
            query: searches in vectors of any generation.
            words: searches in documents.
            sentences: finds the sentence vectors and their encoder.
            weights: of the channels, where neither the request nor the owner says.
            fusion: how lists become one, where the request does not say.
            language: that conditions are read in where nothing was ever indexed.
        """
        self._sight = sight
        self._query = query
        self._words = words
        self._sentences = sentences
        self._weights = weights
        self._fusion = fusion
        self._language = language
        self._collection = sight.generation.collection

    def find(
        self,
        words: str,
        examples: Sequence[Example] = (),
        *,
        page: Page,
        weights: Mapping[str, float] | None = None,
        fusion: str | None = None,
        language: str | None = None,
    ) -> Hits:
        """The hits for words, or, where there are other examples too, for the sum of them by sight alone.

        Raises:
            UsageError: nothing was asked for, or something of it is wrong.
            ModelError: no channel could be asked, the visual one for this reason.
        """
        require_page(page.limit, page.offset)
        require_weights(weights or {})
        chosen = next((name for name in FUSIONS if name == (fusion or self._fusion)), None)
        if chosen is None:
            raise UsageError(f"{fusion!r} is no way to fuse: use one of {', '.join(FUSIONS)}")
        wording = read_wording(words)
        text = wording.text.strip()
        outlook = self._words.outlook(self._collection, text, None if language is None else [language])
        asked = {**self._weights, **outlook.weights, **(weights or {})}
        required = self._required(wording, outlook)
        if examples:
            terms = [self._sight.words(text), *examples] if text else list(examples)
            other = "the query is not in words alone"
            return self._by_sight(terms, page, required, asked, {"text": other, "words": other})
        if not text:
            if not wording.hard:
                raise UsageError("nothing to search for: give words, a picture, or an item")
            return self._by_conditions(required, page, asked)
        if not any(asked.values()):
            raise UsageError("every channel has weight 0: nothing is left to search by")
        silent = self._silent(asked, outlook)
        if set(silent) == {"text", "words"}:
            return self._by_sight([self._sight.words(text)], page, required, asked, silent)
        return self._fused(text, page, required, asked, silent, outlook.words, chosen)

    def _required(self, wording: Wording, outlook: Outlook) -> Required:
        if not wording.hard:
            return Required()
        return self._words.required(outlook.languages or [self._language], wording.must, wording.must_not)

    def _silent(self, asked: Mapping[str, float], outlook: Outlook) -> dict[str, str]:
        """The channels that need not be asked, with the reason."""
        silent = {name: "weight 0" for name in CHANNELS if not asked[name]}
        if not outlook.has_sentences:
            silent.setdefault("text", "no item has a sentence vector")
        if not outlook.words:
            silent.setdefault("words", "no word of the query occurs in the collection")
        return silent

    def _by_sight(
        self,
        examples: Sequence[Example],
        page: Page,
        required: Required,
        asked: Mapping[str, float],
        silent: Mapping[str, str],
    ) -> Hits:
        hits = self._sight.hits(
            examples,
            limit=page.limit,
            offset=page.offset,
            min_score=page.min_score,
            kind=page.kind,
            filters=page.filters,
            also=required.condition,
        )
        channels = {name: ChannelAnswer(0, asked[name], 0.0, silent.get(name)) for name in CHANNELS}
        channels["visual"] = ChannelAnswer(page.offset + len(hits), asked["visual"], 1.0)
        return Hits(hits, channels)

    def _by_conditions(self, required: Required, page: Page, asked: Mapping[str, float]) -> Hits:
        """Nothing is left to compare with: what meets the conditions, by how much it says so, then the newest."""
        condition = "the query has conditions alone"
        channels = {name: ChannelAnswer(0, asked[name], 0.0, condition) for name in CHANNELS}
        if page.min_score:
            return Hits((), channels)  # without a picture to compare there is no score
        found = self._words.meeting(
            self._collection, required, limit=page.limit, offset=page.offset, filters=page.filters, kind=page.kind
        )
        items = self._query.items([item_id for item_id, _ in found])
        channels["words"] = ChannelAnswer(page.offset + len(found), asked["words"], 1.0)
        why = ("words: it meets the conditions",)
        ranked = [item_id for item_id, _ in found if item_id in items]
        return Hits([hit_of(items[i], None, page.offset + n, 0.0, why) for n, i in enumerate(ranked, 1)], channels)

    def _fused(
        self,
        text: str,
        page: Page,
        required: Required,
        asked: Mapping[str, float],
        silent: Mapping[str, str],
        words: Sequence[str],
        fusion: FusionName,
    ) -> Hits:
        pools = _Pools(silent=dict(silent))
        reason: ModelError | None = None
        query: Example | None = None
        try:
            query = self._sight.words(text)
        except (TowerMissing, ModelUnavailable) as error:  # what was said can still be searched
            reason = error
            pools.silent.setdefault("visual", str(error))
        depth = POOL if len(CHANNELS) - len(pools.silent) > 1 else max(POOL, page.end)
        if "words" not in pools.silent:
            self._ask_words(pools, words, depth, page, required)
        if "text" not in pools.silent:
            self._ask_sentences(pools, text, query, depth, page, required)
        if query is not None and "visual" not in pools.silent:
            found = self._near(self._sight.generation, query.vector, depth, page, required)
            pools.take("visual", found, "no item has a vector")
        if reason is not None and asked["visual"] and not any(pools.lists.values()):
            raise reason
        shares = effective_weights(asked, pools.silent)
        if not any(shares.values()):  # a flat list is better than none
            shares = effective_weights(asked, {name: "" for name in CHANNELS if not pools.lists.get(name)})
        ranking = _ranking({name: found for name, found in pools.lists.items() if shares[name]}, shares, fusion)
        named = set(ranking)
        if page.min_score is not None:
            marks = self._marks(pools, ranking, query)
            ranking = [item_id for item_id in ranking if marks[item_id][0] >= page.min_score]
        if query is not None and shares["visual"] and page.end > len(ranking):
            least = -2.0 if page.min_score is None else self._sight.calibration([query]).cosine(page.min_score)
            rest = self._near(self._sight.generation, query.vector, page.end, page, required, least)
            ranking += [item_id for item_id, _ in rest if item_id not in named]
        channels = {
            name: ChannelAnswer(len(pools.lists.get(name, ())), asked[name], shares[name], pools.silent.get(name))
            for name in CHANNELS
        }
        several = sum(share > 0 for share in shares.values()) > 1
        hits = self._hits(pools, ranking[page.offset : page.end], query, page.offset)
        return Hits(hits, channels, fusion if several else None)

    def _ask_words(self, pools: _Pools, words: Sequence[str], depth: int, page: Page, required: Required) -> None:
        matches = self._words.matching(
            self._collection, words, limit=depth, filters=page.filters, kind=page.kind, required=required
        )
        pools.words = matches.words
        pools.take("words", matches.found, "no item has any word of the query")

    def _ask_sentences(
        self, pools: _Pools, text: str, query: Example | None, depth: int, page: Page, required: Required
    ) -> None:
        try:
            found = self._sentences()
            if found is None:  # it was there a moment ago
                pools.silent["text"] = "no item has a sentence vector"
                return
            generation, encoder = found
            pools.calibration = Calibration(encoder.calibration("text_to_text"))
            same = query is not None and encoder is self._sight.encoder
            vector = query.vector if query is not None and same else encoder.embed_texts([text])[0]
        except ModelError as error:
            pools.silent["text"] = str(error)
            return
        near = self._near(generation, vector, depth, page, required)
        pools.take("text", near, "no item has a sentence vector")

    def _near(
        self, generation: Generation, vector: Vector, depth: int, page: Page, required: Required, least: float = -2.0
    ) -> list[tuple[UUID, float]]:
        return self._query.ranked(
            generation,
            vector,
            limit=depth,
            filters=page.filters,
            kind=page.kind,
            also=required.condition,
            min_cosine=least,
        )

    def _marks(
        self, pools: _Pools, ranking: Sequence[UUID], query: Example | None
    ) -> dict[UUID, tuple[float, float | None]]:
        """Each item's score and cosine: by sight, or, without a picture's vector, its score by what was said of it."""
        seen = self._query.cosines(self._sight.generation, query.vector, ranking) if query is not None else {}
        said = dict(pools.lists.get("text", ()))
        calibration = None if query is None else self._sight.calibration([query])

        def score(item_id: UUID) -> float:
            if calibration is not None and item_id in seen:
                return calibration.score(seen[item_id])
            return pools.calibration.score(said[item_id]) if pools.calibration and item_id in said else 0.0

        return {item_id: (score(item_id), seen.get(item_id)) for item_id in ranking}

    def _hits(self, pools: _Pools, ranking: Sequence[UUID], query: Example | None, offset: int) -> list[Hit]:
        marks = self._marks(pools, ranking, query)
        items = self._query.items(ranking)
        ranking = [item_id for item_id in ranking if item_id in items]  # others were forgotten meanwhile
        said = dict(pools.lists.get("text", ()))
        hits = []
        for rank, item_id in enumerate(ranking, offset + 1):
            score, cosine = marks[item_id]
            why = []
            if query is not None and cosine is not None:
                why.append(by_sight(cosine, self._sight.calibration([query])))
            if item_id in said:
                why.append(f"text: cosine {said[item_id]:.3f} to what was said of it")
            if item_id in pools.words:
                why.append(f"words: {', '.join(pools.words[item_id])}")
            why.append(f"answered by {self._sight.generation.table}")
            hits.append(hit_of(items[item_id], cosine, rank, score, tuple(why)))
        return hits


def _ranking(
    lists: Mapping[str, Sequence[tuple[UUID, float]]], shares: Mapping[str, float], fusion: FusionName
) -> list[UUID]:
    """The items of all lists, best first, ties by id; a single list keeps its own order."""
    if len(lists) == 1:
        return [item_id for item_id, _ in next(iter(lists.values()))]
    fused: dict[UUID, float] = FUSIONS[fusion](lists, shares)
    return [item_id for _, item_id in sorted((-round(score, 12), item_id) for item_id, score in fused.items())]
