"""The routes about advisors: what a library says of a picture, which libraries there are, and what is in one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from seemory.advisors.advice import Advice
from seemory.advisors.page_style import POLICY
from seemory.errors import SeemoryError
from seemory.memory import Memory
from seemory.service.desk import Desk, Gone, Place
from seemory.service.jobs.events import BREATH_S, DESCRIBED, KIND, breath, event, streamed
from seemory.service.refusals import Refused, document, fault
from seemory.service.requests import A_PICTURE, REFUSALS, in_the_address, read, require_picture
from seemory.service.schemas import AdviceOptions
from seemory.settings import ServiceSettings

_BY_ACCEPT: Final = {"Vary": "Accept"}


def add_advisor_routes(app: FastAPI, options: ServiceSettings, desk: Desk, *, critic_s: float) -> None:
    """Have these routes answer for whoever asks. Libraries are added to on the machine, never by a request.

    Args:
        app: where.
        options: how large pictures may be, and how long a request may take.
        desk: takes requests in.
        critic_s: how much longer one may take whose parts are sent as they are ready.
    """

    @app.post(
        "/v1/advise",
        responses={**REFUSALS, 200: {"content": {"application/json": {}, "text/html": {}, **DESCRIBED}}},
        openapi_extra={
            "parameters": [
                {"name": name, "in": "query", "required": name == "advisor", "schema": schema}
                for name, schema in AdviceOptions.model_json_schema()["properties"].items()
            ],
            "requestBody": {"required": True, "content": A_PICTURE},
        },
    )
    async def advise(request: Request) -> Response:
        """What an advisor's library says of the picture that is the body; nothing of it is kept."""
        if _wanted(request) == "events" and "format" not in request.query_params:
            return await _streamed(request, desk, options, critic_s)
        async with desk.place(request) as place:
            require_picture(request)
            asked = read(AdviceOptions, in_the_address(request))
            content = await place.body(options.max_upload_bytes)
            if (asked.format or _wanted(request)) == "html":
                return _as_page(await place.do(lambda: _page(place.memory, asked, content)))
            return document(await place.do(lambda: _advice(place.memory, asked, content)), headers=_BY_ACCEPT)

    @app.get("/v1/advisors", responses=REFUSALS)
    async def advisors(request: Request) -> Response:
        """The advisors there are."""
        found = await desk.ask(request, lambda memory: memory.advisors.all())
        return document({"advisors": [asdict(one) for one in found]})

    @app.get("/v1/advisors/{name}", responses=REFUSALS)
    async def library(request: Request, name: str) -> Response:
        """What is in an advisor's library."""
        return document(await desk.ask(request, lambda memory: _library(memory, name)))


def _advised(
    memory: Memory, asked: AdviceOptions, picture: bytes, listen: Callable[[Advice], None] = lambda _: None
) -> Advice:
    options = asked.model_dump(include={"mode", "limit", "regions"})
    return memory.advise(picture, asked.advisor, name="the picture sent", listen=listen, **options)


def _advice(memory: Memory, asked: AdviceOptions, picture: bytes) -> dict[str, Any]:
    """What `seemory advise --json` prints."""
    start = time.perf_counter()
    advice = _advised(memory, asked, picture)
    return advice.as_json() | {"milliseconds": round((time.perf_counter() - start) * 1000, 1)}


def _page(memory: Memory, asked: AdviceOptions, picture: bytes) -> str:
    """What `seemory advise --html` writes."""
    advice = _advised(memory, asked, picture)
    return memory.advisors.page(advice, picture)


def _as_page(text: str) -> Response:
    policy = f"{POLICY}; frame-ancestors 'none'"
    return Response(text, headers=_BY_ACCEPT | {"Content-Security-Policy": policy}, media_type="text/html")


async def _streamed(request: Request, desk: Desk, options: ServiceSettings, critic_s: float) -> Response:
    """Each part of the advice as it is ready. It has the critic's time as well, for nobody waits in silence."""
    leaving = AsyncExitStack()
    try:
        timeout_s = options.timeout_s + critic_s
        place = await leaving.enter_async_context(desk.place(request, timeout_s=timeout_s))
        require_picture(request)
        asked = read(AdviceOptions, in_the_address(request))
        content = await place.body(options.max_upload_bytes)
    except BaseException:
        await leaving.aclose()
        raise
    return streamed(_parts(place, asked, content), _BY_ACCEPT, at_end=leaving.aclose)


async def _parts(place: Place, asked: AdviceOptions, content: bytes) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    parts: asyncio.Queue[Advice] = asyncio.Queue()

    def heard(advice: Advice) -> None:
        loop.call_soon_threadsafe(parts.put_nowait, advice)

    work = asyncio.ensure_future(place.do(lambda: _advised(place.memory, asked, content, heard)))
    try:
        while not work.done() or not parts.empty():
            part = asyncio.ensure_future(parts.get())
            await asyncio.wait({part, work}, timeout=BREATH_S, return_when=asyncio.FIRST_COMPLETED)
            if part.done():
                yield event("part", part.result().as_json())
            else:
                part.cancel()
                if not work.done():
                    yield breath()
        yield event("advice", (await work).as_json())
    except (SeemoryError, Refused) as error:
        yield event("error", fault(error))
    except Gone:
        return
    finally:
        work.cancel()


def _wanted(request: Request) -> str:
    """The form that the header `Accept` names; whoever takes anything is given the document."""
    accepted = [part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")]
    if KIND in accepted:
        return "events"
    return "html" if "text/html" in accepted and "application/json" not in accepted else "json"


def _library(memory: Memory, name: str) -> dict[str, Any]:
    """What `seemory advisor show --json` prints."""
    works = memory.advisors.references(name)
    shown = [work.as_json() | {"file_is_here": work.is_here} for work in works]
    return asdict(memory.advisors.find(name)) | {"works": shown}
