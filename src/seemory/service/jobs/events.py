"""Server-sent events: what is new, said as it comes, until there is nothing more to say or the service ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

BREATH_S: Final = 15.0
"""After so long without news a comment is sent, so that whatever is in between keeps the connection."""

KIND: Final = "text/event-stream"

DESCRIBED: Final = {KIND: {"schema": {"type": "string"}}}
"""A stream of events, as the API's description has it."""


def event(name: str, data: Any) -> bytes:
    """One event, its data a JSON document."""
    said = json.dumps(data, ensure_ascii=True, default=str)
    return f"event: {name}\ndata: {said}\n\n".encode()


def breath() -> bytes:
    """A comment, which says nothing."""
    return b": \n\n"


class _Streamed(StreamingResponse):
    """Events, and what is to be done when they have ended, or were never begun because the client had left."""

    at_end: Callable[[], Awaitable[None]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            if self.at_end is not None:
                await self.at_end()


def streamed(
    parts: AsyncIterator[bytes],
    headers: dict[str, str] | None = None,
    *,
    at_end: Callable[[], Awaitable[None]] | None = None,
) -> StreamingResponse:
    """The answer that sends these parts; however that ends, `at_end` is called."""
    answer = _Streamed(parts, media_type=KIND, headers={"X-Accel-Buffering": "no"} | (headers or {}))
    answer.at_end = at_end
    return answer


class Listeners:
    """Counts who listens, for each costs a look at the database now and then; and tells all of them of the end."""

    def __init__(self, most: int, most_of_one: int) -> None:
        """Nobody listens.

        Args:
            most: streams at once.
            most_of_one: of one owner.
        """
        self._most, self._most_of_one = most, most_of_one
        self._by_owner: dict[str, int] = {}
        self._stopping = False
        self._wake: set[Callable[[], None]] = set()

    def has_room(self, owner: str) -> bool:
        """Whether one more may listen."""
        return self._by_owner.get(owner, 0) < self._most_of_one and sum(self._by_owner.values()) < self._most

    def enter(self, owner: str) -> None:
        """One more listens."""
        self._by_owner[owner] = self._by_owner.get(owner, 0) + 1

    def leave(self, owner: str) -> None:
        """One listens no more."""
        left = self._by_owner.pop(owner, 1) - 1
        if left:
            self._by_owner[owner] = left

    def stop(self) -> None:
        """End all streams, for the service ends."""
        self._stopping = True
        for wake in tuple(self._wake):
            wake()

    async def pause(self, seconds: float) -> bool:
        """Whether to go on after so many seconds."""
        if self._stopping:
            return False
        woken = asyncio.Event()
        self._wake.add(woken.set)
        try:
            await asyncio.wait_for(woken.wait(), seconds)
        except TimeoutError:
            return True
        finally:
            self._wake.discard(woken.set)
        return not self._stopping
