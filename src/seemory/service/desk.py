"""Where requests are taken in: so many at once and no more, each with its time, and none goes on for nobody."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from seemory.batching import Ticket, waiting_with
from seemory.errors import Busy, TookTooLong
from seemory.memory import Memory
from seemory.service.admission import Admission, Caller
from seemory.service.memories import Memories
from seemory.service.refusals import Refused
from seemory.store.keys import Scope

T = TypeVar("T")

_LEFT_TO_OTHERS = 4
"""One owner's keys never hold the last of so many parts of all places: bodies that dribble may fill the rest."""


class Gone(Exception):
    """The client has left."""


class Place:
    """One request that was taken in."""

    def __init__(self, request: Request, timeout_s: float, pool: ThreadPoolExecutor, memory: Memory) -> None:
        self.memory = memory
        """Of the owner on whose behalf it is asked."""
        self._request = request
        self._timeout_s = timeout_s
        self._began = time.monotonic()
        self._ticket = Ticket(timeout_s)
        self._pool = pool
        self.work: asyncio.Future[Any] | None = None
        """What a thread does for it."""

    async def body(self, most: int) -> bytes:
        """The request's body.

        Raises:
            Refused: it is larger than `most` bytes, or did not come in time.
            Gone: the client has left.
        """
        return b"".join([piece async for piece in self.pieces(most)])

    async def pieces(self, most: int, *, pace: int | None = None) -> AsyncIterator[bytes]:
        """The request's body as it comes; with `pace`, each so many bytes of it have a request's time for themselves.

        Raises as `body` does.
        """
        too_large = Refused(413, "BodyTooLarge", f"the body of such a request may have at most {most:,} bytes")
        announced = self._request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > most:
            raise too_large
        stream = aiter(self._request.stream())
        size = 0
        try:
            while True:
                more_s = self._timeout_s * size / pace if pace else 0.0
                left_s = self._ticket.left_s
                if pace:
                    left_s = max(0.0, self._began + self._timeout_s + more_s - time.monotonic())
                async with asyncio.timeout(left_s):
                    part = await anext(stream, None)
                if part is None:
                    break
                size += len(part)
                if size > most:
                    raise too_large
                yield part
        except TimeoutError:
            raise Refused(408, "SlowBody", "the body did not come in time") from None
        except ClientDisconnect:
            raise Gone from None
        if pace:  # its work has a request's time as well, from now on
            self._ticket = Ticket(self._timeout_s)

    async def do(self, work: Callable[[], T]) -> T:
        """What the work gives, done in a thread; the body must have been read.

        Raises:
            TookTooLong: it was not done in time. What of it has not begun is dropped.
            Gone: the client has left. Likewise.
        """

        def with_ticket() -> T:
            with waiting_with(self._ticket):
                return work()

        done = asyncio.get_running_loop().run_in_executor(self._pool, copy_context().run, with_ticket)
        done.add_done_callback(_look_at)
        self.work = done
        gone: asyncio.Future[Any] = asyncio.ensure_future(self._departure())
        try:
            await asyncio.wait({done, gone}, timeout=self._ticket.left_s, return_when=asyncio.FIRST_COMPLETED)
            if done.done() and not _was_dropped(done):
                return done.result()
            self._ticket.cancel()
            if gone.done():
                raise Gone
            raise TookTooLong("there was no answer in time: try again when less is asked at once")
        except asyncio.CancelledError:
            self._ticket.cancel()
            raise
        finally:
            gone.cancel()

    async def _departure(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass


def _was_dropped(done: asyncio.Future[Any]) -> bool:
    """Whether the work ended because its time was over while it waited for others: nobody cancelled this request."""
    return done.cancelled() or isinstance(done.exception(), asyncio.CancelledError)


class Desk:
    """Takes in at most so many requests at once; a request keeps its place until its thread is done."""

    def __init__(self, admission: Admission, memories: Memories, *, most: int, timeout_s: float) -> None:
        """Nothing is started yet.

        Args:
            admission: tells who asks.
            memories: what is theirs.
            most: requests at once.
            timeout_s: how long one may take.
        """
        self._admission = admission
        self._memories = memories
        self._most = most
        self._timeout_s = timeout_s
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="request")
        self._most_of_one = max(1, most - most // _LEFT_TO_OTHERS)
        self._held: Counter[str] = Counter()
        self.taken = 0
        """How many are under way."""

    @asynccontextmanager
    async def place(
        self, request: Request, scope: Scope = "read", *, timeout_s: float | None = None
    ) -> AsyncIterator[Place]:
        """A place for a request, with the memory of whoever asks; one that takes longer than others says how long.

        Raises:
            Busy: there is none, or its owner has as many as one may.
            Refused: whoever asks may not.
            TookTooLong: the database did not say in time who it is.
        """
        if self.taken >= self._most:
            raise Busy(f"{self._most} requests are under way already: try again in a moment")
        self.taken += 1
        under_way: asyncio.Future[Any] | None = None
        owner: str | None = None
        try:
            began = time.monotonic()
            caller = await self.admit(request, scope)
            if caller.key is not None:
                if self._held[caller.owner] >= self._most_of_one:
                    raise Busy(f"{self._most_of_one} requests with your keys are under way: try again in a moment")
                owner = caller.owner
                self._held[owner] += 1
            left_s = (timeout_s or self._timeout_s) - (time.monotonic() - began)
            place = Place(request, max(0.0, left_s), self._pool, self._memories.of(caller.owner))
            try:
                yield place
            finally:
                under_way = place.work
        finally:
            leave = partial(self._leave, owner)
            if under_way is None or under_way.done():
                leave()
            else:
                under_way.add_done_callback(leave)

    async def ask(self, request: Request, work: Callable[[Memory], T], scope: Scope = "read") -> T:
        """What the work gives for a request without a body. Raises as `place` and `Place.do` do."""
        async with self.place(request, scope) as place:
            await place.body(0)
            return await place.do(lambda: work(place.memory))

    async def admit(self, request: Request, scope: Scope, *, counted: bool = True) -> Caller:
        """Who asks, which the log is told as well; `counted` among those that a key may make in a minute.

        Raises as `place` does, but for `Busy`.
        """
        ask = partial(self._admission.caller, request, scope, counted=counted)
        if not self._admission.needs_look(request):
            caller = ask()
        else:
            try:
                caller = await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(None, ask), self._timeout_s)
            except TimeoutError:
                raise TookTooLong("the database did not answer in time: try again soon") from None
        request.state.caller = caller
        return caller

    def _leave(self, owner: str | None, _: object = None) -> None:
        self.taken -= 1
        if owner is not None:
            self._held[owner] -= 1
            if not self._held[owner]:
                del self._held[owner]

    def close(self) -> None:
        """Wait for the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _look_at(done: asyncio.Future[Any]) -> None:
    """Nobody may be there any more to hear of an error."""
    with suppress(asyncio.CancelledError):
        done.exception()
