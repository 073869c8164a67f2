"""The HTTP API: each route is a short call of the library."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from typing import Any, Final
from uuid import UUID

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from seemory import __version__
from seemory.errors import DatabaseUnreachable, SeemoryError
from seemory.memory import Memory
from seemory.metrics import SECONDS, WORK, Metrics
from seemory.service.admission import Admission
from seemory.service.advising import add_advisor_routes
from seemory.service.desk import Desk, Gone
from seemory.service.embeddings import add_embedding_routes
from seemory.service.figures import OwnersFigures
from seemory.service.guard import Guard, is_loopback
from seemory.service.jobs.events import Listeners
from seemory.service.jobs.orders import Orders
from seemory.service.jobs.routes import add_job_routes
from seemory.service.jobs.running import Jobs
from seemory.service.jobs.work import Works
from seemory.service.looking import add_looking_routes
from seemory.service.memories import Memories
from seemory.service.page.routes import add_page
from seemory.service.rates import Rates
from seemory.service.reembedding import add_reembedding_routes
from seemory.service.refusals import Refused, document, refusal, status_of
from seemory.service.requests import (
    A_PICTURE,
    BINARY,
    REFUSALS,
    require_picture,
    wrong,
)
from seemory.service.schemas import AddedItem, Answer, Refusal, Search, ShownItem
from seemory.service.searching import AskedSearch, asked_search
from seemory.settings import ServiceSettings
from seemory.store.keys import Keys

log = logging.getLogger(__name__)

_TIMEOUTS: Final = {"TookTooLong": "request", "SlowBody": "body", "CriticUnreachable": "critic"}
"""Failures that are for want of time, and what is said of them."""
_MOST_LISTENERS: Final = 64  # streams of events
_MOST_OF_ONE: Final = 16  # of one owner

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def make_app(
    memory: Memory,
    options: ServiceSettings,
    metrics: Metrics,
    lifespan: Lifespan | None = None,
    *,
    begun: Callable[[], bool] = lambda: True,
    told: Callable[[], str] | None = None,
) -> Guard:
    """The application that serves one memory; whoever makes it closes both.

    Args:
        memory: whose items are served.
        options: how many at once, how long, how large.
        metrics: what is counted goes there.
        lifespan: what is done before the first request and after the last.
        begun: whether all is there that requests need.
        told: what this process and others that answer beside it have counted; by default, what this one has.
    """
    app = FastAPI(
        title="Seemory",
        version=__version__,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # the usual pages load their scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    local = options.keys == "auto" and is_loopback(options.host)
    admission = Admission(
        lambda: Keys(memory.database), Rates(options.rate), owner=memory.owner, here=local, all_=options.keys == "none"
    )
    memories = Memories(memory)
    desk = Desk(admission, memories, most=options.queue, timeout_s=options.timeout_s)
    orders = Orders(memory.home)
    works = Works(orders, roots=options.index_roots, at_once=options.decoders)
    jobs = Jobs(
        memories,
        orders,
        works,
        at_once=options.jobs,
        heard=lambda kind, state: metrics.count("seemory_jobs_total", kind=kind, state=state),
    )
    listeners = Listeners(_MOST_LISTENERS, _MOST_OF_ONE)
    app.state.desk, app.state.jobs, app.state.listeners = desk, jobs, listeners
    metrics.counter("seemory_requests_total", "Requests, by route and status.")
    metrics.histogram("seemory_request_seconds", "Time of a request, by route.", SECONDS)
    metrics.counter("seemory_failures_total", "Requests that were refused or failed, by reason.")
    metrics.counter("seemory_jobs_total", "Jobs that have ended, by kind and how.")
    metrics.gauge("seemory_jobs_running", "Jobs that run in this process.", lambda: jobs.running)
    metrics.gauge("seemory_jobs_waiting", "Jobs that wait for a thread of this process.", lambda: jobs.waiting)
    metrics.gauge("seemory_requests_under_way", "Requests that have a place.", lambda: float(desk.taken))
    _add_routes(app, options, desk)
    _add_watching(app, memory, options, desk, begun, told or (lambda: metrics.text() + WORK.text()))
    add_advisor_routes(app, options, desk, critic_s=memory.settings.critic.timeout_s)
    add_looking_routes(app, options, desk)
    add_embedding_routes(app, options, desk)
    add_job_routes(app, options, desk, jobs, listeners)
    add_reembedding_routes(app, desk, jobs)
    add_page(app, options, desk, jobs, local=local)
    _add_handlers(app, metrics, desk)
    return Guard(_with_cors(app, options.origins), metrics, local=local, origins=options.origins)


def _with_cors(app: FastAPI, origins: Sequence[str]) -> ASGIApp:
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "X-Request-Id"],
        expose_headers=["Location", "X-Request-Id", "Retry-After"],
    )


def _add_routes(app: FastAPI, options: ServiceSettings, desk: Desk) -> None:
    @app.post(
        "/v1/search",
        response_model=Answer,
        responses=REFUSALS,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": Search.model_json_schema()}, **A_PICTURE},
            }
        },
    )
    async def search(request: Request) -> Response:
        """The best hits for words, an item, or the picture that is the body; then options stand in the address."""
        async with desk.place(request) as place:
            asked = await asked_search(request, place, options.max_upload_bytes)
            return document(await place.do(lambda: _answer(place.memory, asked)))

    @app.post(
        "/v1/items",
        status_code=201,
        response_model=AddedItem,
        responses={**REFUSALS, 200: {"model": AddedItem, "description": "The memory had it already"}},
        openapi_extra={"requestBody": {"required": True, "content": A_PICTURE}},
    )
    async def add(request: Request) -> Response:
        """The item that the picture in the body became."""
        async with desk.place(request, "write") as place:
            require_picture(request)
            content = await place.body(options.max_upload_bytes)
            added = await place.do(lambda: place.memory.add(content))
        headers = {"Location": f"/v1/items/{added.item_id}"}
        return document(asdict(added), 201 if added.new else 200, headers)

    @app.get("/v1/items/{item_id}", response_model=ShownItem, responses=REFUSALS)
    async def get(request: Request, item_id: UUID) -> Response:
        """All that is known of an item."""
        return document(asdict(await desk.ask(request, lambda memory: memory.get(item_id))))

    @app.get(
        "/v1/items/{item_id}/thumbnail",
        responses={**REFUSALS, 200: {"content": {"image/jpeg": BINARY}, "description": "The small picture"}},
        response_class=Response,
    )
    async def thumbnail(request: Request, item_id: UUID) -> Response:
        """The stored small picture."""
        small = await desk.ask(request, lambda memory: memory.thumbnail(item_id))
        if small is None:
            raise Refused(404, "ItemNotFound", f"there is no item {item_id}, or no small picture of it")
        return Response(small, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})

    @app.delete("/v1/items/{item_id}", status_code=204, responses=REFUSALS, response_class=Response)
    async def forget(request: Request, item_id: UUID) -> Response:
        """Remove an item; the bytes that were uploaded go with their last item."""
        if not await desk.ask(request, lambda memory: memory.forget([item_id]), "write"):
            raise Refused(404, "ItemNotFound", f"there is no item {item_id}")
        return Response(status_code=204)


def _add_watching(
    app: FastAPI,
    memory: Memory,
    options: ServiceSettings,
    desk: Desk,
    begun: Callable[[], bool],
    told: Callable[[], str],
) -> None:
    figures = OwnersFigures(memory)

    @app.get("/healthz")
    async def health() -> Response:
        """That the process answers."""
        return document({"status": "ok"})

    @app.get("/readyz", responses={503: {"model": Refusal}})
    async def ready() -> Response:
        """That the database answers, and the encoder is loaded."""
        if not begun():
            raise DatabaseUnreachable("the service has not begun yet")
        name = await asyncio.wait_for(asyncio.to_thread(lambda: memory.encoder_name), options.timeout_s)
        return document({"status": "ready", "model": name})

    @app.get("/metrics", response_class=Response, responses=REFUSALS)
    async def counted(request: Request) -> Response:
        """What Prometheus reads, which is about all owners."""
        await desk.admit(request, "admin")  # and no place: who is full is to be seen
        text = await asyncio.to_thread(lambda: told() + figures.text())
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_handlers(app: FastAPI, metrics: Metrics, desk: Desk) -> None:
    def count(reason: str) -> None:
        metrics.count("seemory_failures_total", reason=reason)
        if reason in _TIMEOUTS:
            WORK.count("seemory_timeouts_total", reason=_TIMEOUTS[reason])

    @app.exception_handler(SeemoryError)
    async def failed(_: Request, error: SeemoryError) -> Response:
        count(type(error).__name__)
        if status_of(error) >= 500:
            log.error("%s: %s", type(error).__name__, error)
        return refusal(error)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        count(error.kind)
        return refusal(error)

    @app.exception_handler(Gone)
    async def gone(_: Request, __: Gone) -> Response:
        count("ClientGone")
        return Response(status_code=499)

    @app.exception_handler(RequestValidationError)
    async def unread(request: Request, error: RequestValidationError) -> Response:
        try:  # whoever may not ask is not told how
            await desk.admit(request, "read")
        except SeemoryError as unknown:
            return await failed(request, unknown)
        except Refused as unknown:
            return await refused(request, unknown)
        count("Invalid")
        return refusal(wrong(error.errors()))

    @app.exception_handler(HTTPException)
    async def other(_: Request, error: HTTPException) -> Response:
        count("HTTPError")
        answer = refusal(Refused(error.status_code, "HTTPError", str(error.detail)))
        answer.headers.update(error.headers or {})
        return answer


def _answer(memory: Memory, asked: AskedSearch) -> dict[str, Any]:
    """What `seemory search --json` prints."""
    start = time.perf_counter()
    hits = asked.hits(memory)
    return {
        "query": asked.query,
        **hits.as_json(),
        "collection": memory.collection,
        "model": memory.encoder_name,
        "milliseconds": round((time.perf_counter() - start) * 1000, 1),
    }
