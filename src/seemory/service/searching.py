"""A search as a request asks for it: in JSON, or by the picture that is its body."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request

from seemory.memory import Memory
from seemory.service.desk import Place
from seemory.service.requests import in_the_address, is_picture, read, read_json
from seemory.service.schemas import Search, SearchOptions
from seemory.types import Hits

_MOST_JSON: Final = 1_000_000  # bytes


class AskedSearch:
    """What was asked."""

    def __init__(self, options: SearchOptions, given: dict[str, Any]) -> None:
        """`given` is what a search by words or by a picture has of its own: `like`, `weights`, `image` …"""
        self.options = options
        self._given = given

    @property
    def query(self) -> dict[str, Any]:
        """What it was, as the answer repeats it."""
        asked = {"words": self.options.words, "like": self._given.get("like")}
        asked["image"] = "the picture sent" if "image" in self._given else None
        return {name: value for name, value in asked.items() if value}

    def hits(self, memory: Memory) -> Hits:
        """The answer. Raises as `Memory.search`."""
        asked = self.options
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
            **self._given,
        )


async def asked_search(request: Request, place: Place, most: int) -> AskedSearch:
    """What a request asks for; a picture has at most so many bytes. Raises Refused, and as `Place.body`."""
    if is_picture(request):
        return AskedSearch(read(SearchOptions, in_the_address(request)), {"image": await place.body(most)})
    asked = read_json(Search, request, await place.body(_MOST_JSON))
    return AskedSearch(asked, asked.model_dump(include={"like", "weights", "fusion", "language"}))
