"""The routes about advisors: what a library says of a picture, which libraries there are, and what is in one."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from seemory.advisors.advice import Advice
from seemory.advisors.page_style import POLICY
from seemory.memory import Memory
from seemory.service.desk import Desk
from seemory.service.refusals import Refused, document
from seemory.service.requests import A_PICTURE, REFUSALS, in_the_address, is_picture, read
from seemory.service.schemas import AdviceOptions
from seemory.settings import ServiceSettings

_BY_ACCEPT: Final = {"Vary": "Accept"}


def add_advisor_routes(app: FastAPI, options: ServiceSettings, desk: Desk) -> None:
    """Have these routes answer for whoever asks. Libraries are added to on the machine, never by a request."""

    @app.post(
        "/v1/advise",
        responses=REFUSALS,
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
        if not is_picture(request):
            raise Refused(415, "NoPicture", "send the picture's bytes as the body, with their Content-Type")
        async with desk.place(request) as place:
            asked = read(AdviceOptions, in_the_address(request))
            content = await place.body(options.max_upload_bytes)
            if (asked.format or _wanted(request)) == "html":
                return _as_page(await place.do(lambda: _page(place.memory, asked, content)))
            return document(await place.do(lambda: _advice(place.memory, asked, content)), headers=_BY_ACCEPT)

    @app.get("/v1/advisors", responses=REFUSALS)
    async def advisors(request: Request) -> Response:
        """The advisors there are."""
        async with desk.place(request) as place:
            await place.body(0)
            return document({"advisors": [asdict(one) for one in await place.do(lambda: place.memory.advisors.all())]})

    @app.get("/v1/advisors/{name}", responses=REFUSALS)
    async def library(request: Request, name: str) -> Response:
        """What is in an advisor's library."""
        async with desk.place(request) as place:
            await place.body(0)
            return document(await place.do(lambda: _library(place.memory, name)))


def _advised(memory: Memory, asked: AdviceOptions, picture: bytes) -> Advice:
    options = asked.model_dump(include={"mode", "limit", "regions"})
    return memory.advise(picture, asked.advisor, name="the picture sent", **options)


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


def _wanted(request: Request) -> str:
    """The form that the header `Accept` names; whoever takes anything is given the document."""
    accepted = [part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")]
    return "html" if "text/html" in accepted and "application/json" not in accepted else "json"


def _library(memory: Memory, name: str) -> dict[str, Any]:
    """What `seemory advisor show --json` prints."""
    works = memory.advisors.references(name)
    shown = [work.as_json() | {"file_is_here": work.is_here} for work in works]
    return asdict(memory.advisors.find(name)) | {"works": shown}
