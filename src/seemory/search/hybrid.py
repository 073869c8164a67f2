"""A query in words → what sight, sentence vectors and words each find → one ranking, with what each contributed.

Each channel names its best `channels.POOL` items, whatever page is asked for, so that pages never disagree; beyond the
items named by any of them the ranking goes on by sight alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from seemory.errors import UsageError
from seemory.search.channels import CHANNELS, Channels, Page, Pools, Sentences, require_weights
from seemory.search.fusion import FUSIONS, FusionName, effective_weights
from seemory.search.searcher import Example, Searcher, by_sight, hit_of, require_page
from seemory.search.wording import Wording, read_wording
from seemory.store.query import Query
from seemory.store.words import Outlook, Required, Words
from seemory.types import ChannelAnswer, Hit, Hits


class Finder:
    """Answers one request: over one live generation, and over what was said of its items."""

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
        self._channels = Channels(sight, query, words, sentences)
        self._weights = weights
        self._fusion = fusion
        self._language = language
        self._collection = sight.generation.collection
        self._outlooks: dict[tuple[str, str | None], Outlook] = {}

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
        outlook = self._outlook(text, language)
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

    def with_passages(self, hits: Hits, words: str, language: str | None = None) -> Hits:
        """The hits, and those grouped with them, each with where words of the query stand in what was said of it."""
        wording, answer = read_wording(words), hits.channels.get("words")
        if not hits or not (wording.must or (answer is not None and answer.candidates)):
            return hits
        outlook = self._outlook(wording.text.strip(), language)
        items = [one.item_id for hit in hits for one in (hit, *hit.neighbours)]
        found = self._words.passages(outlook.words, self._required(wording, outlook), items)

        def told(hit: Hit) -> Hit:
            beside = tuple(map(told, hit.neighbours))
            return replace(hit, passages=tuple(found.get(hit.item_id, ())), neighbours=beside)

        return Hits(map(told, hits), hits.channels, hits.fusion, hits.route)

    def _outlook(self, text: str, language: str | None) -> Outlook:
        """What there is to ask about a text: looked up once, since one search may come back to it."""
        asked = text, language
        if asked not in self._outlooks:
            languages = None if language is None else [language]
            self._outlooks[asked] = self._words.outlook(self._collection, text, languages)
        return self._outlooks[asked]

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
        hits = [hit_of(items[i], None, page.offset + n, 0.0, why) for n, i in enumerate(ranked, 1)]
        return Hits(hits, channels)

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
        pools = self._channels.ask(text, words, page, required, silent)
        if pools.failure is not None and asked["visual"] and not any(pools.lists.values()):
            raise pools.failure
        shares = effective_weights(asked, pools.silent)
        if not any(shares.values()):  # a flat list is better than none
            shares = effective_weights(asked, {name: "" for name in CHANNELS if not pools.lists.get(name)})
        ranking = _ranking({name: found for name, found in pools.lists.items() if shares[name]}, shares, fusion)
        named = set(ranking)
        if page.min_score is not None:
            marks = self._channels.marks(pools, ranking)
            ranking = [item_id for item_id in ranking if marks[item_id][0] >= page.min_score]
        if pools.query is not None and shares["visual"] and page.end > len(ranking):
            rest = self._channels.seen(pools.query, page.end, page, required, scored=True)
            ranking += [item_id for item_id, _ in rest if item_id not in named]
        channels = {
            name: ChannelAnswer(len(pools.lists.get(name, ())), asked[name], shares[name], pools.silent.get(name))
            for name in CHANNELS
        }
        several = sum(share > 0 for share in shares.values()) > 1
        hits = self._hits(pools, ranking[page.offset : page.end], page.offset)
        return Hits(hits, channels, fusion if several else None)

    def _hits(self, pools: Pools, ranking: Sequence[UUID], offset: int) -> list[Hit]:
        marks, meant = self._channels.marks(pools, ranking), pools.meant
        items = self._query.items(ranking)
        hits: list[Hit] = []
        for item_id in ranking:
            if item_id not in items:  # it was forgotten meanwhile
                continue
            score, cosine = marks[item_id]
            why = []
            if pools.query is not None and cosine is not None:
                why.append(by_sight(cosine, self._sight.calibration([pools.query])))
            if item_id in meant:
                why.append(f"text: cosine {meant[item_id]:.3f} to what was said of it")
            if item_id in pools.words:
                why.append(f"words: {', '.join(pools.words[item_id])}")
            why.append(f"answered by {self._sight.generation.table}")
            hits.append(hit_of(items[item_id], cosine, offset + len(hits) + 1, score, tuple(why)))
        return hits


def _ranking(
    lists: Mapping[str, Sequence[tuple[UUID, float]]], shares: Mapping[str, float], fusion: FusionName
) -> list[UUID]:
    """The items of all lists, best first, ties as sight has them, then by id; a single list keeps its own order."""
    if len(lists) == 1:
        return [item_id for item_id, _ in next(iter(lists.values()))]
    fused: dict[UUID, float] = FUSIONS[fusion](lists, shares)
    seen = {item_id: place for place, (item_id, _) in enumerate(lists.get("visual", ()))}
    return sorted(fused, key=lambda item_id: (-round(fused[item_id], 12), seen.get(item_id, len(seen)), item_id))
