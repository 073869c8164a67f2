"""A search as a request asks for it."""

from __future__ import annotations

from typing import Any

from seemory.memory import Memory
from seemory.service.schemas import SearchOptions
from seemory.types import Hits


def search_as_asked(memory: Memory, asked: SearchOptions, given: dict[str, Any]) -> Hits:
    """The hits; `given` is what a search by words or by a picture has of its own: `like`, `weights`, `image`."""
    return memory.search(
        asked.words,
        limit=asked.limit,
        offset=asked.offset,
        min_score=asked.min_score,
        kind=asked.kind,
        where=asked.where,
        film=asked.film,
        route=asked.route,
        group=asked.group,
        **given,
    )
