"""A request's place at the desk: what becomes of work that ended otherwise than by an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor

import pytest
from starlette.requests import Request

from seemory.errors import TookTooLong
from seemory.memory import Memory
from seemory.service.desk import Place


def dropped_while_it_waited() -> None:
    waiting: Future[None] = Future()
    waiting.cancel()
    waiting.result()


def test_work_that_was_dropped_took_too_long(new_memory: Callable[..., Memory]) -> None:
    async def receive() -> dict[str, str]:
        await asyncio.sleep(60)
        raise AssertionError

    async def ask(work: Callable[[], object]) -> object:
        request = Request({"type": "http", "method": "GET", "path": "/", "headers": []}, receive)
        return await Place(request, 5.0, pool, memory).do(work)

    memory = new_memory()
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(CancelledError):
            dropped_while_it_waited()
        with pytest.raises(TookTooLong):
            asyncio.run(ask(dropped_while_it_waited))
        assert asyncio.run(ask(lambda: 7)) == 7
