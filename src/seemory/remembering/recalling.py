"""Words → what is remembered of them: texts, pictures and scenes in one ranking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from seemory.search.fusion import FUSIONS
from seemory.store.memories import Memories
from seemory.store.query import Query
from seemory.types import Hit, Hits


@dataclass(frozen=True, slots=True)
class Recalled:
    """One thing that is remembered."""

    hit: Hit
    text: str | None
    """What was said: of a memory its text, of a picture or scene its caption, notes or transcript."""
    tags: tuple[str, ...] = ()
    when: datetime | None = None
    """When it was, where somebody or a camera said so."""
    times: int = 1
    """How often a memory was said."""
    wordings: tuple[str, ...] = ()
    """What else it was said as, the latest first."""
    alike: tuple[tuple[UUID, float], ...] = ()
    """Memories that say something alike, with their cosines."""

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return self.hit.as_json() | {
            "text": self.text,
            "tags": list(self.tags),
            "when": self.when and self.when.isoformat(),
            "times": self.times,
            "wordings": list(self.wordings),
            "alike": [{"item_id": str(other), "cosine": cosine} for other, cosine in self.alike],
        }


def together(said: Hits, seen: Hits, weights: Mapping[str, float], limit: int) -> Hits:
    """One ranking of what words and meaning found and what sight found, by reciprocal rank; what was said goes first.

    The two count as much as their channels' `weights`. Each comes with its own ranks, so that neither a thousand
    pictures nor a thousand texts push the others out.
    """
    lists = {"said": _scored(said), "seen": _scored(seen)}
    shares = {"said": weights["text"] + weights["words"], "seen": weights["visual"]}
    fused: dict[UUID, float] = FUSIONS["rrf"](lists, shares)
    hits = {hit.item_id: hit for hit in seen} | {hit.item_id: hit for hit in said}
    also = {hit.item_id: hit.reasons for hit in seen}
    first = {item_id: n for n, item_id in enumerate([*(hit.item_id for hit in said), *(hit.item_id for hit in seen)])}
    order = sorted(fused, key=lambda item_id: (-round(fused[item_id], 12), first[item_id]))
    ranked = [
        replace(
            hits[item_id],
            rank=rank,
            reasons=tuple(dict.fromkeys([*also.get(item_id, ()), *hits[item_id].reasons])),
        )
        for rank, item_id in enumerate(order[:limit], start=1)
    ]
    return Hits(ranked, said.channels, "rrf")


def _scored(hits: Hits) -> list[tuple[UUID, float]]:
    return [(hit.item_id, -float(hit.rank)) for hit in hits]


def told(hits: Hits, query: Query, memories: Memories) -> list[Recalled]:
    """The hits with what was said of them."""
    ids = [hit.item_id for hit in hits]
    items, facts = query.items(ids), memories.facts(ids)
    found = []
    for hit in hits:
        item = items.get(hit.item_id)
        if item is None:  # it was forgotten meanwhile
            continue
        said = [item.caption, item.notes, item.transcript]
        fact, metadata = facts.get(hit.item_id), item.metadata
        found.append(
            Recalled(
                hit,
                text="\n".join(one for one in said if one) or None,
                tags=item.tags,
                when=item.taken_at,
                times=_number(metadata) if fact else 1,
                wordings=tuple(map(str, metadata.get("wordings", ()))) if fact else (),
                alike=fact.alike if fact else (),
            )
        )
    return found


def _number(metadata: Mapping[str, Any]) -> int:
    times = metadata.get("times", 1)
    return times if isinstance(times, int) else 1
