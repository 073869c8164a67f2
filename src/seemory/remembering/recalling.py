"""Words → what is remembered of them: texts, pictures and scenes in one ranking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

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
