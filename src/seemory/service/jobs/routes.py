"""The routes of jobs: begin one, see how far it is, hear of it as it goes on, have it end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import FastAPI, Query
from starlette.requests import Request
from starlette.responses import Response

from seemory.errors import DiskFull, SeemoryError
from seemory.media.files import lies_in
from seemory.memory import Memory
from seemory.service.desk import Desk, Place
from seemory.service.jobs.arriving import Arriving
from seemory.service.jobs.events import BREATH_S, DESCRIBED, Listeners, breath, event, streamed
from seemory.service.jobs.orders import Order
from seemory.service.jobs.running import Jobs
from seemory.service.refusals import Refused, document
from seemory.service.requests import REFUSALS, read_json
from seemory.service.schemas import IndexAsked, JobList, ShownJob
from seemory.settings import ServiceSettings
from seemory.store.jobs import Job

_MOST_JSON: Final = 1_000_000  # bytes
_FIRST_S, _LOOKED_S, _SLOWER = 0.05, 1.0, 1.5  # between two looks at a job that somebody listens to: longer and longer
_FILES: Final = {"type": "array", "items": {"type": "string", "format": "binary"}}
_FORM: Final = {"schema": {"type": "object", "properties": {"pictures": _FILES}, "required": ["pictures"]}}


def add_job_routes(app: FastAPI, options: ServiceSettings, desk: Desk, jobs: Jobs, listeners: Listeners) -> None:
    """Have these routes; a job is seen by its owner alone."""

    @app.post(
        "/v1/jobs/upload",
        status_code=202,
        response_model=ShownJob,
        responses=REFUSALS,
        openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": _FORM}}},
    )
    async def upload(request: Request) -> Response:
        """A job that adds the pictures of the form, of which each file is one."""
        async with desk.place(request, "write") as place:
            return _begun(await _sent(request, place, options, jobs))

    @app.post(
        "/v1/jobs/index",
        status_code=202,
        response_model=ShownJob,
        responses=REFUSALS,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": IndexAsked.model_json_schema()}},
            }
        },
    )
    async def index(request: Request) -> Response:
        """A job that indexes files and folders of this machine, where the operator has allowed it."""
        async with desk.place(request, "write") as place:
            asked = read_json(IndexAsked, request, await place.body(_MOST_JSON))

            def begin() -> Job:
                _require_allowed(asked.paths, options.index_roots)
                return jobs.begin(place.memory, "index", asked.model_dump())

            return _begun(await place.do(begin))

    @app.post("/v1/jobs/retry", status_code=202, response_model=ShownJob, responses=REFUSALS)
    async def retry(request: Request) -> Response:
        """A job that tries again what failed."""
        return _begun(await desk.ask(request, lambda memory: jobs.begin(memory, "retry"), "write"))

    @app.get("/v1/jobs", response_model=JobList, responses=REFUSALS)
    async def all_jobs(request: Request, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
        """The owner's jobs, the youngest first; those that ended more than a week ago are forgotten."""
        found = await desk.ask(request, lambda memory: jobs.all(memory, limit=limit))
        return document({"jobs": [one.as_json() for one in found]})

    @app.get("/v1/jobs/{job_id}", response_model=ShownJob, responses=REFUSALS)
    async def one(request: Request, job_id: UUID) -> Response:
        """How far a job is, or what became of it."""
        return document((await desk.ask(request, lambda memory: jobs.find(memory, job_id))).as_json())

    @app.get(
        "/v1/jobs/{job_id}/events",
        responses={**REFUSALS, 200: {"content": DESCRIBED, "description": "The job, each time it has moved on"}},
        response_class=Response,
    )
    async def events(request: Request, job_id: UUID) -> Response:
        """The job as events: `progress` each time it has moved on, and at last `end`."""
        memory, first = await desk.ask(request, lambda memory: (memory, jobs.find(memory, job_id)))
        if not listeners.has_room(memory.owner):
            raise Refused(429, "TooManyListeners", "too many streams of events are open already")
        return streamed(_heard(request, desk, jobs, listeners, memory, first))

    @app.delete("/v1/jobs/{job_id}", status_code=202, response_model=ShownJob, responses=REFUSALS)
    async def cancel(request: Request, job_id: UUID) -> Response:
        """Have a job end: what it has done by then stays. One that has ended stays as it is."""

        def end(memory: Memory) -> Job:
            if jobs.find(memory, job_id).kind == "reembed":
                request.state.caller.require("admin")
            return jobs.cancel(memory, job_id)

        return document((await desk.ask(request, end, "write")).as_json(), 202)


def _begun(job: Job) -> Response:
    return document(job.as_json(), 202, {"Location": f"/v1/jobs/{job.id}"})


async def _sent(request: Request, place: Place, options: ServiceSettings, jobs: Jobs) -> Job:
    """The job of a form that has come whole; of one that has not, nothing is kept."""
    memory, loop = place.memory, asyncio.get_running_loop()
    await loop.run_in_executor(None, jobs.require_room, memory)
    try:
        job_id, folder = await loop.run_in_executor(None, jobs.orders.open)
        try:
            form = Arriving(request.headers.get("content-type", ""), folder, most_bytes=options.max_upload_bytes)
            try:
                async for piece in place.pieces(options.max_batch_bytes, pace=options.max_upload_bytes):
                    await loop.run_in_executor(None, form.write, piece)
            finally:
                form.close()
            order = Order(job_id, memory.owner, memory.collection, "upload", {}, form.end())
            return await place.do(lambda: jobs.submit(memory, order))
        except BaseException:
            await loop.run_in_executor(None, partial(_drop_unwritten, jobs, memory, job_id))
            raise
    except OSError as error:
        raise DiskFull(f"{jobs.orders.folder(UUID(int=0)).parent}: {error.strerror or error}") from error


def _drop_unwritten(jobs: Jobs, memory: Memory, job_id: UUID) -> None:
    """Remove the files of a job that was never written down; of one that was, somebody has to hear."""
    try:
        jobs.find(memory, job_id)
    except Refused:
        jobs.orders.drop(job_id)
    except SeemoryError:  # it cannot be known: whoever looks after jobs finds out
        return


def _require_allowed(paths: list[str], roots: tuple[Path, ...]) -> None:
    """Nothing. Whatever lies outside is refused alike, be it there or not. Raises Refused."""
    for path in map(Path, paths):
        if not path.is_absolute() or "\x00" in str(path) or not lies_in(path, roots):
            raise Refused(403, "OutsideRoots", "a path lies in none of the folders that may be indexed here")
        if not path.exists():
            raise Refused(404, "PathNotFound", f"{path}: no such file or folder")


async def _heard(
    request: Request, desk: Desk, jobs: Jobs, listeners: Listeners, memory: Memory, job: Job
) -> AsyncIterator[bytes]:
    """The job's events. The key is looked up again each time: a revoked one hears nothing more."""
    listeners.enter(memory.owner)
    try:
        silent_s, pause_s = 0.0, _FIRST_S
        yield event("end" if job.ended else "progress", job.as_json())
        while not job.ended and await listeners.pause(pause_s):
            silent_s += pause_s
            pause_s = min(_LOOKED_S, pause_s * _SLOWER)
            try:
                await desk.admit(request, "read", counted=False)
                found = await asyncio.to_thread(jobs.find, memory, job.id)
            except Refused:
                return
            except SeemoryError:  # the database is away for a moment
                found = job
            if _moved(job, found):
                job, silent_s = found, 0.0
                yield event("end" if job.ended else "progress", job.as_json())
            elif silent_s >= BREATH_S:
                silent_s = 0.0
                yield breath()
    finally:
        listeners.leave(memory.owner)


def _moved(before: Job, now: Job) -> bool:
    def told(job: Job) -> tuple[Any, ...]:
        return job.state, job.stage, job.done, job.total, job.cancel

    return told(before) != told(now)
