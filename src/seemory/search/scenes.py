"""Searches among scenes: the route a query takes, neighbours as one answer, and the moment that was meant.

It stands before `Finder` and asks it; searches that are not for scenes pass through unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from seemory.errors import ModelUnavailable, TowerMissing, UsageError
from seemory.search.channels import Page
from seemory.search.fusion import effective_weights
from seemory.search.grouping import page_of_groups
from seemory.search.hybrid import Finder
from seemory.search.reranking import POOL, rerank
from seemory.search.routing import Plan, RouteName, plan
from seemory.search.searcher import Example, Searcher, by_sight, combine, require_page
from seemory.search.wording import read_wording
from seemory.store.query import Query
from seemory.store.rows import frame_facts
from seemory.store.scenes import SceneMark, Scenes
from seemory.types import ChannelAnswer, Hit, Hits, Route, Vector


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of an answer, beside the query."""

    page: Page
    weights: Mapping[str, float]
    """Of the request."""
    fusion: str | None = None
    language: str | None = None
    route: RouteName | None = None
    """None: `auto` among scenes, and no route elsewhere."""
    group: bool | None = None
    """Whether neighbouring scenes are one answer; None: where scenes alone are asked for."""

    @property
    def of_scenes(self) -> bool:
        """Whether nothing but scenes is asked for."""
        return self.page.kind == "scene" or any(
            one.field == "film" and one.operator == "=" for one in self.page.filters
        )


class SceneFinder:
    """Answers as `Finder` does, and tells of scenes what only they have."""

    def __init__(
        self, finder: Finder, sight: Searcher, query: Query, scenes: Scenes, weights: Callable[[], Mapping[str, float]]
    ) -> None:
        """Nothing is asked yet; `weights` gives those of the owner, where a request says nothing."""
        self._finder = finder
        self._sight = sight
        self._query = query
        self._scenes = scenes
        self._weights = weights

    def find(self, words: str, examples: Sequence[Example], wanted: Wanted) -> Hits:
        """The hits, with their moments and, where scenes are asked for, by the route that fits, in groups.

        Raises as `Finder.find` does, and UsageError for a route that the query cannot take.
        """
        page = wanted.page
        require_page(page.limit, page.offset)
        routed = wanted.route is not None or wanted.of_scenes
        chosen = plan(words, examples=bool(examples), asked=wanted.route or "auto") if routed else None

        def search(limit: int, offset: int) -> Hits:
            part = replace(wanted, page=replace(page, limit=limit, offset=offset))
            if chosen is None:
                return self._ask(words, examples, part)
            return self._by_plan(words, chosen, examples, part)

        group = wanted.of_scenes if wanted.group is None else wanted.group
        hits = page_of_groups(search, page.limit, page.offset) if group else search(page.limit, page.offset)
        said = words if hits.route is None or hits.route.said is None else hits.route.said
        hits = self._finder.with_passages(hits, said, wanted.language)
        if not any(hit.kind == "scene" for hit in hits):
            return hits
        route = hits.route
        said_alone = route is not None and route.visual == "left out"
        shown = words if route is None or route.shown is None else route.shown
        return self._told(hits, None if said_alone else self._vector(shown, examples))

    def _ask(self, words: str, examples: Sequence[Example], wanted: Wanted, *, sight: bool = True) -> Hits:
        weights = dict(wanted.weights) if sight else {**wanted.weights, "visual": 0.0}
        return self._finder.find(
            words,
            examples,
            page=wanted.page,
            weights=weights,
            fusion=wanted.fusion,
            language=wanted.language,
        )

    def _by_plan(self, words: str, chosen: Plan, examples: Sequence[Example], wanted: Wanted) -> Hits:
        if chosen.visual in ("leads", "alone"):
            return _routed(self._ask(words, examples, wanted), Route(chosen.visual, chosen.reason))
        weights = {**self._weights(), **wanted.weights}
        if not chosen.hard and not weights["text"] and not weights["words"]:
            reason = f"{chosen.reason}; but text and words have weight 0"
            return _routed(self._ask(words, examples, wanted), Route("leads", reason))
        if chosen.visual == "left out":
            hits = self._ask(chosen.said, (), wanted, sight=False)
            route = Route("left out", chosen.reason, said=chosen.said)
        else:
            hits, route = self._reranked(chosen, weights, wanted)
        if not chosen.hard and weights["visual"] and not any(one.candidates for one in hits.channels.values()):
            reason = f"{chosen.reason}; but nothing of it was said of any of them, so sight leads"
            return _routed(self._ask(words, examples, wanted), Route("leads", reason))
        return _routed(hits, route)

    def _reranked(self, chosen: Plan, weights: Mapping[str, float], wanted: Wanted) -> tuple[Hits, Route]:
        page = wanted.page
        whole = replace(page, limit=min(10_000, max(POOL, page.end)), offset=0, min_score=None)
        found = self._ask(chosen.said, (), replace(wanted, page=whole), sight=False)
        share = effective_weights(weights, {})["visual"]
        route = Route("re-ranks", chosen.reason, chosen.said, chosen.shown, min(POOL, len(found)), 0, share)
        by_id = {hit.item_id: hit for hit in found}
        try:
            example = self._sight.words(chosen.shown)
        except (TowerMissing, ModelUnavailable) as error:
            told = replace(route, skipped=str(error))
            return Hits(_page(list(found), page), found.channels, found.fusion), told
        calibration = self._sight.calibration([example])
        cosines = self._query.cosines(self._sight.generation, example.vector, list(by_id))
        ranked = rerank(list(by_id), cosines, calibration, share)

        def scored(item_id: UUID) -> Hit:
            hit, cosine = by_id[item_id], cosines.get(item_id)
            why = tuple(reason for reason in hit.reasons if not reason.startswith("visual:"))
            if cosine is None:
                return hit
            why = (by_sight(cosine, calibration), *why)
            return replace(hit, cosine=cosine, score=calibration.score(cosine), reasons=why)

        route = replace(route, seen=ranked.seen, skipped=ranked.skipped)
        counted = 0.0 if ranked.skipped else share
        visual = ChannelAnswer(ranked.seen, weights["visual"], counted, ranked.skipped)
        channels = {
            name: replace(answer, effective=answer.effective * (1 - counted)) for name, answer in found.channels.items()
        }
        hits = _page([scored(item_id) for item_id in ranked.order], page)
        return Hits(hits, {**channels, "visual": visual}, found.fusion if ranked.skipped else "rrf"), route

    def _vector(self, words: str, examples: Sequence[Example]) -> Vector | None:
        """What frames are compared with; None where that cannot be made."""
        text = read_wording(words).text.strip()
        try:
            terms = [*([self._sight.words(text)] if text else []), *examples]
            return combine(terms) if terms else None
        except (TowerMissing, ModelUnavailable, UsageError):
            return None

    def _told(self, hits: Hits, vector: Vector | None) -> Hits:
        """The hits with what their scenes' rows say, in one look at the database."""
        scenes = [one.item_id for hit in hits for one in (hit, *hit.neighbours) if one.kind == "scene"]
        marks = self._scenes.marks(self._sight.generation, scenes, vector)
        text = hits.channels.get("text")
        sentences = text is not None and text.candidates > 0

        def told(hit: Hit) -> Hit:
            mark = marks.get(hit.item_id)
            beside = tuple(told(neighbour) for neighbour in hit.neighbours)
            if mark is None:
                return replace(hit, neighbours=beside)
            return replace(hit, moment_s=_moment(hit, mark), missing=_missing(mark, sentences), neighbours=beside)

        return Hits([told(hit) for hit in hits], hits.channels, hits.fusion, hits.route)


def _page(ranking: Sequence[Hit], page: Page) -> list[Hit]:
    """A page of a whole ranking, with ranks from its first hit on."""
    kept = [hit for hit in ranking if page.min_score is None or hit.score >= page.min_score]
    return [replace(hit, rank=page.offset + n) for n, hit in enumerate(kept[page.offset : page.end], start=1)]


def _routed(hits: Hits, route: Route) -> Hits:
    return Hits(hits, hits.channels, hits.fusion, route)


def _moment(hit: Hit, mark: SceneMark) -> float | None:
    frames = frame_facts(hit.metadata)
    return frames[mark.frame].time_s if mark.frame is not None and mark.frame < len(frames) else None


def _missing(mark: SceneMark, sentences: bool) -> dict[str, str]:
    missing = {} if mark.seen else {"visual": f"it has no vector: {mark.error or 'nothing was embedded'}"}
    if sentences and not mark.described:
        missing["text"] = "nothing was said of it"
    return missing
