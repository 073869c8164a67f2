"""The page's routes: its files, and what its scripts ask for."""

from __future__ import annotations

from typing import Any, Final, TypeVar
from uuid import UUID

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from seemory.advisors.page_style import POLICY as REPORT_POLICY
from seemory.memory import Memory
from seemory.service.desk import Desk
from seemory.service.jobs.running import Jobs
from seemory.service.page.assets import PAGES, SIGN_IN, load_assets, render_pages, version_of
from seemory.service.page.landscape import Landscapes
from seemory.service.page.originals import original
from seemory.service.page.reports import Reports
from seemory.service.page.showing import name_of, shown_hit, shown_item, shown_whole
from seemory.service.page.signing import add_signing
from seemory.service.page.state import retry_once, standing
from seemory.service.refusals import Refused, document
from seemory.service.requests import in_the_address, read, require_picture
from seemory.service.schemas import Condition
from seemory.service.searching import AskedSearch, asked_search
from seemory.settings import ServiceSettings
from seemory.store.browsing import Browsing, Position
from seemory.store.generations import Generations
from seemory.store.items import Items
from seemory.types import Filter, Item, Kind

_MOST_GROUPS: Final = 200
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)


class Wanted(BaseModel):
    """Which items are looked at."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind | None = None
    where: list[Condition] = Field(default=[], max_length=50)

    def filters(self) -> list[Filter]:
        """The conditions. Raises UsageError."""
        return [Filter.parse(condition) for condition in self.where]


class WantedPage(Wanted):
    """Which part of them."""

    limit: int = Field(default=60, ge=1, le=500)
    after: str | None = Field(default=None, max_length=200)


class WantedDuplicates(BaseModel):
    """How alike."""

    model_config = ConfigDict(extra="forbid")

    threshold: float = Field(default=0.95, gt=0, le=1)


class WantedAdvice(BaseModel):
    """Whose advice, and what the picture is called."""

    model_config = ConfigDict(extra="forbid")

    advisor: str = Field(min_length=1, max_length=200)
    name: str = Field(default="photograph", min_length=1, max_length=200)


def add_page(app: FastAPI, options: ServiceSettings, desk: Desk, jobs: Jobs, *, local: bool) -> None:
    """Have the page be shown, of whoever asks. Its routes are its own, and no part of the API.

    Args:
        app: where.
        options: how large pictures may be, and which folders are open to whoever has a key.
        desk: takes requests in.
        jobs: tries again what failed.
        local: whether who asks without a key asks from this machine.
    """
    assets = load_assets()
    version = version_of(assets)
    pages = render_pages(version)

    landscapes, reports = Landscapes(), Reports()

    add_signing(app, desk)
    for name, address in [*((name, address) for name, (address, _) in PAGES.items()), (SIGN_IN, f"/{SIGN_IN}")]:

        async def page(_: Request, html: bytes = pages[name]) -> Response:
            headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}
            return Response(html, media_type="text/html; charset=utf-8", headers=headers)

        app.add_route(address, page, include_in_schema=False)

    @app.get("/page/files/{made}/{name}", include_in_schema=False)
    async def asset(made: str, name: str) -> Response:
        found = assets.get(name)
        if found is None or made != version:
            raise Refused(404, "NotFound", "the page has no such file")
        headers = {"Cache-Control": "public, max-age=31536000, immutable"}
        return Response(found.content, media_type=found.media_type, headers=headers)

    @app.get("/page/items", include_in_schema=False)
    async def items(request: Request) -> Response:
        return document(await desk.ask(request, lambda memory: _newest(memory, _asked(WantedPage, request))))

    @app.get("/page/facets", include_in_schema=False)
    async def facets(request: Request) -> Response:
        return document(await desk.ask(request, lambda memory: _facets(memory, _asked(Wanted, request))))

    @app.get("/page/item", include_in_schema=False)
    async def item(request: Request, id: UUID) -> Response:
        return document(await desk.ask(request, lambda memory: shown_whole(memory.get(id))))

    @app.get("/page/originals/{item_id}", include_in_schema=False)
    async def file(request: Request, item_id: UUID) -> Response:
        async with desk.place(request) as place:
            await place.body(0)
            # Who sits at this machine may see what was indexed on it; a key opens the folders that the settings name.
            here = local and request.state.caller.key is None
            return await place.do(lambda: original(place.memory, item_id, None if here else options.roots))

    @app.post("/page/search", include_in_schema=False)
    async def search(request: Request) -> Response:
        async with desk.place(request) as place:
            asked = await asked_search(request, place, options.max_upload_bytes)
            return document(await place.do(lambda: _found(place.memory, asked)))

    @app.get("/page/duplicates", include_in_schema=False)
    async def duplicates(request: Request) -> Response:
        return document(await desk.ask(request, lambda memory: _alike(memory, _asked(WantedDuplicates, request))))

    @app.get("/page/map", include_in_schema=False)
    async def landscape(request: Request) -> Response:
        return document(await desk.ask(request, landscapes.of))

    @app.post("/page/advise", include_in_schema=False)
    async def advise(request: Request) -> Response:
        async with desk.place(request) as place:
            require_picture(request)
            asked = _asked(WantedAdvice, request)
            picture = await place.body(options.max_upload_bytes)
            report = await place.do(lambda: _report(place.memory, asked, picture))
            return document({"report": f"/page/reports/{reports.keep(place.memory.owner, report)}"})

    @app.get("/page/reports/{name}", include_in_schema=False)
    async def report(request: Request, name: str) -> Response:
        found = await desk.ask(request, lambda memory: reports.find(memory.owner, name))
        if found is None:
            raise Refused(404, "ReportNotFound", "this report is not kept any more: ask for it again")
        headers = {"Content-Security-Policy": f"{REPORT_POLICY}; sandbox; frame-ancestors 'self'"}
        return Response(found, media_type="text/html; charset=utf-8", headers=headers)

    @app.get("/page/status", include_in_schema=False)
    async def status(request: Request) -> Response:
        found = await desk.ask(request, lambda memory: standing(memory, jobs))
        caller = request.state.caller
        who = None if caller.key is None else caller.owner  # who is here without one need not be told
        return document(found | {"who": who, "scope": caller.scope})

    @app.post("/page/retry", include_in_schema=False)
    async def retry(request: Request) -> Response:
        await desk.ask(request, lambda memory: retry_once(memory, jobs), "write")
        return document({"begun": True}, 202)


M = TypeVar("M", bound=BaseModel)


def _asked(model: type[M], request: Request) -> M:
    """What stands in the address, checked; once it is known who asks. Raises Refused."""
    return read(model, in_the_address(request))


def _browsing(memory: Memory) -> Browsing:
    return Browsing(memory.database, memory.owner, memory.collection)


def _newest(memory: Memory, asked: WantedPage) -> dict[str, Any]:
    try:
        after = None if asked.after is None else Position.read(asked.after)
    except ValueError:
        raise Refused(422, "Invalid", "after: what the page before said under `next`") from None
    found, ended = _browsing(memory).newest(limit=asked.limit, after=after, kind=asked.kind, filters=asked.filters())
    return {"items": [shown_item(one) for one in found], "next": None if ended is None else str(ended)}


def _facets(memory: Memory, asked: Wanted) -> dict[str, Any]:
    browsing = _browsing(memory)
    filters = asked.filters()
    return {
        "total": browsing.count(kind=asked.kind, filters=filters),
        "facets": browsing.facets(kind=asked.kind, filters=filters),
    }


def _found(memory: Memory, asked: AskedSearch) -> dict[str, Any]:
    hits = asked.hits(memory)
    page = asked.options
    items = Items(memory.database, memory.owner).many([one.item_id for one in hits])
    return {
        "hits": [shown_hit(one, items.get(one.item_id)) for one in hits],
        "channels": hits.as_json()["channels"],
        "next": page.offset + page.limit if len(hits) == page.limit else None,
    }


def _alike(memory: Memory, asked: WantedDuplicates) -> dict[str, Any]:
    if Generations(memory.database).live(memory.collection, owner=memory.owner) is None:
        return {"exact": [], "near": [], "more": 0}
    found = memory.duplicates(threshold=asked.threshold)
    exact = [[_beside(item) for item in group] for group in found.exact]
    near = [{"cosine": round(one.cosine, 4), "items": [_beside(item) for item in one.items]} for one in found.near]
    more = max(0, len(exact) - _MOST_GROUPS) + max(0, len(near) - _MOST_GROUPS)
    return {"exact": exact[:_MOST_GROUPS], "near": near[:_MOST_GROUPS], "more": more}


def _beside(item: Item) -> dict[str, Any]:
    taken = item.taken_at.isoformat() if item.taken_at else None
    return shown_item(item) | {"bytes": item.bytes, "format": item.format, "taken": taken}


def _report(memory: Memory, asked: WantedAdvice, picture: bytes) -> str:
    advice = memory.advise(picture, asked.advisor, name=name_of(asked.name))
    return memory.advisors.page(advice, picture)
