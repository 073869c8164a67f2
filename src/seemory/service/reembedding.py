"""The routes that change the collection's encoder, for everyone in it: an operator's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from seemory.errors import ModelError, ModelNotFound
from seemory.media.files import lies_in
from seemory.models.catalog import find_spec
from seemory.models.loading import read_name
from seemory.reembedding.blue_green import Reembedding
from seemory.service.desk import Desk
from seemory.service.jobs.running import Jobs
from seemory.service.refusals import Refused, document
from seemory.service.requests import REFUSALS, read_json
from seemory.service.schemas import ShownJob
from seemory.store.jobs import Job
from seemory.store.transitions import Swap

_MOST_JSON: Final = 1_000_000  # bytes


class EncoderAsked(BaseModel):
    """Which encoder the collection is to move to."""

    model_config = ConfigDict(extra="forbid")

    to: Annotated[str, Field(min_length=1, max_length=4096, description="A catalogue name, or a folder here.")]


class SwapAsked(BaseModel):
    """For whom another generation is to answer."""

    model_config = ConfigDict(extra="forbid")

    owners: list[Annotated[str, Field(min_length=1, max_length=200)]] | None = Field(
        default=None, min_length=1, max_length=10_000, description="Only for these; by default for everyone."
    )
    force: bool = Field(default=False, description="Also if the generation is not ready, or lacks items.")


def add_reembedding_routes(app: FastAPI, desk: Desk, jobs: Jobs) -> None:
    """Have these routes. They are about the rows of all owners, so they take a key for `admin`."""

    @app.get("/v1/reembedding", responses=REFUSALS)
    async def status(request: Request) -> Response:
        """Each generation's state and progress, as `seemory reembed status --json` prints it."""
        return document(await desk.ask(request, lambda memory: memory.reembedding().status(), "admin"))

    @app.post(
        "/v1/reembedding",
        status_code=202,
        response_model=ShownJob,
        responses=REFUSALS,
        openapi_extra=_json(EncoderAsked),
    )
    async def start(request: Request) -> Response:
        """A job that embeds all items anew beside the live generation, and verifies it; or goes on with that."""
        async with desk.place(request, "admin") as place:
            asked = read_json(EncoderAsked, request, await place.body(_MOST_JSON))

            def begin() -> Job:
                _require_model(asked.to, place.memory.home)
                return jobs.begin(place.memory, "reembed", asked.model_dump())

            job = await place.do(begin)
            return document(job.as_json(), 202, {"Location": f"/v1/jobs/{job.id}"})

    async def swap(request: Request, work: Callable[[Reembedding, SwapAsked], Swap]) -> Response:
        async with desk.place(request, "admin") as place:
            asked = read_json(SwapAsked, request, await place.body(_MOST_JSON))
            return document((await place.do(lambda: work(place.memory.reembedding(), asked))).as_json())

    @app.post("/v1/reembedding/switch", responses=REFUSALS, openapi_extra=_json(SwapAsked))
    async def switch(request: Request) -> Response:
        """Let the generation that is ready answer from now on; the one before is kept, and kept up to date."""
        return await swap(request, lambda one, asked: one.switch(asked.owners, force=asked.force))

    @app.post("/v1/reembedding/rollback", responses=REFUSALS, openapi_extra=_json(SwapAsked))
    async def rollback(request: Request) -> Response:
        """Let the generation before answer again from now on."""
        return await swap(request, lambda one, asked: one.rollback(asked.owners, force=asked.force))


def _require_model(name: str, home: Path) -> None:
    """Nothing. A request opens no folder but those of encoders that the operator has put into the data folder.

    Raises:
        Refused: it is no encoder's name in the catalogue, and no folder there.
    """
    try:
        model, _ = read_name(name, home=home)
        if _is_named(model, home) or lies_in(Path(model), [home / "models"]):
            return
    except (ModelError, OSError, ValueError):
        pass
    raise Refused(404, "ModelNotFound", f"{name[:200]}: no encoder of the catalogue, and none in the folder `models`")


def _is_named(model: str, home: Path) -> bool:
    """Whether it is a name there."""
    try:
        find_spec(model, home)
    except ModelNotFound:
        return False
    return True


def _json(model: type[BaseModel]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": model.model_json_schema()}}}}
