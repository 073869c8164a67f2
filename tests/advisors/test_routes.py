"""The routes about advisors, through the whole application."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from seemory.memory import Memory
from seemory.metrics import Metrics
from seemory.service.app import make_app
from seemory.settings import ServiceSettings

PNG = {"Content-Type": "image/png"}


def ask(memory: Memory, method: str, path: str, **given: Any) -> httpx.Response:
    async def answer() -> httpx.Response:
        app = make_app(memory, ServiceSettings(), Metrics())
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.request(method, path, **given)

    return anyio.run(answer)


def test_a_picture_that_is_sent_is_advised_about_as_a_file_is(many: Memory, works: Path) -> None:
    content = (works / "cat.png").read_bytes()
    for mode in ("similar", "combined"):
        said = ask(many, "POST", f"/v1/advise?advisor=many&mode={mode}&limit=2", content=content, headers=PNG).json()
        assert said.pop("milliseconds") > 0
        assert said == many.advise(content, "many", mode=mode, limit=2, name="the picture sent").as_json()  # type: ignore[arg-type]
    assert many.stats()["items"] == 0, "nothing is kept"
    assert ask(many, "GET", "/v1/advisors").json() == {
        "advisors": [{"name": "many", "biography": None, "references": 8}]
    }
    shown = ask(many, "GET", "/v1/advisors/many").json()["works"]
    assert [Path(work["uri"]).stem for work in shown if not work["file_is_here"]] == ["galaxies"]


@pytest.mark.parametrize(
    ("path", "content", "headers", "status", "said"),
    [
        ("?advisor=nobody", b"x", PNG, 404, "there are: many"),
        ("?advisor=many&mode=critic", b"x", PNG, 400, "no critic is configured"),
        ("?advisor=many&mode=x", b"x", PNG, 422, "mode"),
        ("?mode=similar", b"x", PNG, 422, "advisor"),
        ("?advisor=many&mode=similar", b"x", PNG, 415, "the picture sent"),
        ("?advisor=many&mode=similar", b"\xff\xd8\xff", PNG, 422, "the picture sent"),
        ("?advisor=many", b"{}", {"Content-Type": "application/json"}, 415, "picture's bytes"),
    ],
)
def test_what_is_refused(
    many: Memory,
    path: str,
    content: bytes,
    headers: dict[str, str],
    status: int,
    said: str,
) -> None:
    answer = ask(many, "POST", f"/v1/advise{path}", content=content, headers=headers)
    assert (answer.status_code, said in answer.json()["error"]["message"]) == (status, True), answer.text
