"""The routes that look at items: a list, what is like one, its file, groups of the same, and what a picture is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

from fastapi import FastAPI, Query
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from seemory.memory import Memory
from seemory.service.desk import Desk
from seemory.service.refusals import document
from seemory.service.requests import A_PICTURE, BINARY, REFUSALS, in_the_address, read, require_picture
from seemory.service.schemas import ClassifyOptions, Condition, Groups, Labels, Listed, SimilarItems
from seemory.settings import ServiceSettings
from seemory.types import Item

_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif", "AVIF": "image/avif"}
"""Pictures that a browser may show as what they say they are; all others are files to save."""


def add_looking_routes(app: FastAPI, options: ServiceSettings, desk: Desk) -> None:
    """Have these routes."""

    @app.get("/v1/items", response_model=Listed, responses=REFUSALS)
    async def listed(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
        where: Annotated[list[Condition], Query(max_length=50)] = [],  # noqa: B006 - FastAPI makes it anew
    ) -> Response:
        """A page of the items that meet all conditions, in the order in which they came."""
        items = await desk.ask(request, lambda memory: memory.listing(limit=limit, offset=offset, where=where))
        return document({"items": [shown(item) for item in items], "limit": limit, "offset": offset})

    @app.get("/v1/items/{item_id}/similar", response_model=SimilarItems, responses=REFUSALS)
    async def similar(request: Request, item_id: UUID, limit: Annotated[int, Query(ge=1, le=1000)] = 10) -> Response:
        """What looks like an item, without the item."""
        hits = await desk.ask(request, lambda memory: memory.search(like=item_id, limit=limit))
        return document({"query": {"like": str(item_id)}, "hits": [hit.as_json() for hit in hits]})

    @app.get(
        "/v1/items/{item_id}/original",
        responses={**REFUSALS, 200: {"content": {"image/*": BINARY, "application/octet-stream": BINARY}}},
        response_class=Response,
    )
    async def original(request: Request, item_id: UUID) -> Response:
        """The file of an item: one that was uploaded, or lies in a folder that the settings allow."""
        path, kind = await desk.ask(request, lambda memory: _file(memory, item_id, options))
        return FileResponse(
            path,
            media_type=kind or "application/octet-stream",
            filename=path.name,
            content_disposition_type="inline" if kind else "attachment",
            headers={"Cache-Control": "private, max-age=3600"},
        )

    @app.get("/v1/duplicates", response_model=Groups, responses=REFUSALS)
    async def duplicates(request: Request, threshold: Annotated[float, Query(gt=0, le=1)] = 0.95) -> Response:
        """Files with the same bytes, and pictures whose vectors have at least this cosine, as two tiers."""
        found = await desk.ask(request, lambda memory: memory.duplicates(threshold=threshold))
        near = [{"items": [shown(item) for item in group.items], "cosine": group.cosine} for group in found.near]
        return document({"exact": [[shown(item) for item in group] for group in found.exact], "near": near})

    @app.post(
        "/v1/classify",
        response_model=Labels,
        responses=REFUSALS,
        openapi_extra={
            "parameters": [
                {"name": name, "in": "query", "required": name == "label", "schema": schema}
                for name, schema in ClassifyOptions.model_json_schema()["properties"].items()
            ],
            "requestBody": {"required": True, "content": A_PICTURE},
        },
    )
    async def classify(request: Request) -> Response:
        """Which of a few labels the picture is that is the body; nothing of it is kept."""
        async with desk.place(request) as place:
            require_picture(request)
            asked = read(ClassifyOptions, in_the_address(request))
            content = await place.body(options.max_upload_bytes)
            templates = asked.template or None
            found = await place.do(lambda: place.memory.classify(content, asked.label, templates=templates))
        return document({"labels": [asdict(one) for one in found]})


def shown(item: Item) -> dict[str, Any]:
    """An item as `seemory show --json` prints it."""
    return asdict(item)


def _file(memory: Memory, item_id: UUID, options: ServiceSettings) -> tuple[Any, str | None]:
    path = memory.original(item_id, roots=options.roots)
    return path, _TYPES.get(memory.get(item_id).format or "")
