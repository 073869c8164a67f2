"""The routes about advisors, through the whole application."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from reading_pages import BIOGRAPHY, Read

from seemory.memory import Memory
from seemory.metrics import Metrics
from seemory.service.app import make_app
from seemory.settings import ServiceSettings

PAGE_HEADERS = ("Content-Type", "Content-Security-Policy", "Cache-Control", "Vary", "X-Content-Type-Options")
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
        said = ask(
            many, "POST", f"/v1/advise?advisor=many&mode={mode}&limit=2&regions=true", content=content, headers=PNG
        ).json()
        assert said.pop("milliseconds") > 0
        assert said == many.advise(content, "many", mode=mode, limit=2, name="the picture sent").as_json()  # type: ignore[arg-type]
    assert many.stats()["items"] == 0, "nothing is kept"
    assert ask(many, "GET", "/v1/advisors").json() == {
        "advisors": [{"name": "many", "biography": BIOGRAPHY, "references": 8, "adapter": None}]
    }
    shown = ask(many, "GET", "/v1/advisors/many").json()["works"]
    assert [Path(work["uri"]).stem for work in shown if not work["file_is_here"]] == ["galaxies"]


def test_a_page_is_given_to_who_asks_for_one_and_its_policy_lets_nothing_in(many: Memory, works: Path) -> None:
    content = (works / "cat.png").read_bytes()
    path = "/v1/advise?advisor=many&mode=similar&limit=8"
    answers = [
        ask(many, "POST", path, content=content, headers=PNG | {"Accept": "text/html,application/xhtml+xml;q=0.9"}),
        ask(many, "POST", f"{path}&format=html", content=content, headers=PNG | {"Accept": "application/json"}),
    ]
    assert answers[0].content == answers[1].content
    assert len({frozenset((name, answer.headers[name]) for name in PAGE_HEADERS) for answer in answers}) == 1
    page = answers[0]
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers.get_list("X-Content-Type-Options") == ["nosniff"]
    (policy,) = page.headers.get_list("Content-Security-Policy")
    (style,) = re.findall(r"<style>(.*?)</style>", page.text, re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert dict(part.split(" ", 1) for part in policy.split("; ")) == {
        "default-src": "'none'",
        "style-src": f"'sha256-{allowed}'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert " style=" not in page.text, "the policy would not let it"
    read = Read(page.text)
    assert not {"script", "iframe", "object", "link", "form", "base"} & set(read.tags)
    assert read.tags.count("meta") == 3, "none that came with words"
    assert all(link.startswith("data:image/") for link in read.links)
    assert "<script>alert(1)</script> & a cat" in read.words
    assert BIOGRAPHY in read.words
    plain = ask(many, "POST", path, content=content, headers=PNG | {"Accept": "text/html, application/json"})
    assert plain.headers["Content-Type"] == "application/json"
    assert plain.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert ask(many, "POST", f"{path}&format=pdf", content=content, headers=PNG).status_code == 422


def test_each_part_is_sent_as_it_is_ready_to_who_asks_for_events(many: Memory, works: Path) -> None:
    content = (works / "cat.png").read_bytes()
    events = PNG | {"Accept": "text/event-stream"}
    answer = ask(many, "POST", "/v1/advise?advisor=many&limit=2", content=content, headers=events)
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    parts = [part.split("\n") for part in answer.text.strip().split("\n\n")]
    names = [name for name, _ in parts]
    assert names == ["event: part", "event: part", "event: advice"]
    likeness, measured, whole = (json.loads(data.removeprefix("data: ")) for _, data in parts)
    said = many.advise(content, "many", limit=2, name="the picture sent").as_json()
    assert whole == said
    assert likeness["similar"] == measured["similar"] == said["similar"]
    assert (likeness["dimensions"], measured["dimensions"]) == (None, said["dimensions"])
    assert likeness["words"] == said["words"][: len(likeness["words"])]
    refused = ask(many, "POST", "/v1/advise?advisor=nobody", content=content, headers=events)
    assert (refused.status_code, refused.text.startswith('event: error\ndata: {"type": "AdvisorNotFound"')) == (
        200,
        True,
    )
    assert ask(many, "POST", "/v1/advise?mode=x", content=content, headers=events).status_code == 422


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
