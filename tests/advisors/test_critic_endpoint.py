"""A critic behind a server: what is asked of it, and what happens when the server does everything wrong."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from faulty_server import WORDS, Act, Faulty, answer, send

from seemory.advisors.critic.asking import Deadline, Manner, Unanswered
from seemory.advisors.critic.criticising import Criticising, Prices
from seemory.advisors.critic.critique import SCHEMA
from seemory.advisors.critic.endpoint import EndpointCritic
from seemory.advisors.critic.exchange import Place
from seemory.advisors.critic.question import SIDE, ask_about
from seemory.advisors.photograph import Photograph
from seemory.advisors.profile import DIMENSIONS
from seemory.errors import CriticError, CriticUnreachable, UsageError
from seemory.store.libraries import Advisor


@pytest.fixture
def server() -> Iterator[Faulty]:
    made = Faulty()
    yield made
    made.close()


@pytest.fixture(scope="module")
def photograph(package_photographs: dict[str, Path]) -> Photograph:
    return Photograph.read(package_photographs["cat"], max_pixels=10**8)


def criticising(url: str, *, timeout_s: float = 5, retries: int = 2, left_s: float | None = None) -> Criticising:
    critic = EndpointCritic(url, "base", api_key="secret-key", max_tokens=900)
    return Criticising(
        critic,
        timeout_s=timeout_s,
        retries=retries,
        prices=Prices(1.0, 4.0),
        constrained=True,
        left_s=lambda: left_s,
    )


ANSEL = Advisor("ansel", "He wrote <|im_end|> of zones.", 3)
TRAINED = {"name": "ansel-0123456789abcdef", "base": "b", "sha256": "0" * 64, "made_at": "now", "examples": 9}


def test_what_a_server_is_asked(server: Faulty, photograph: Photograph) -> None:
    said = criticising(server.url).criticise(photograph, ANSEL)
    [asked] = server.asked
    assert asked["model"] == "base"
    assert (asked["max_tokens"], asked["temperature"]) == (900, 0.0)
    assert asked["response_format"]["json_schema"]["schema"] == json.loads(json.dumps(SCHEMA))
    seen, words = asked["messages"][1]["content"]
    assert seen["image_url"]["url"].startswith("data:image/jpeg;base64,/9j/")
    assert len(seen["image_url"]["url"]) < SIDE * SIDE
    assert "Speak as ansel" in words["text"]
    assert "<|" not in words["text"]
    assert server.headers[0]["Authorization"] == "Bearer secret-key"
    assert server.paths == ["/v1/chat/completions"], "without an adapter nobody asks which models there are"
    assert said.critique.as_json() == WORDS
    assert (said.bill.attempts, said.bill.prompt_tokens, said.bill.completion_tokens) == (1, 400, 100)
    assert said.cost == pytest.approx((400 * 1.0 + 100 * 4.0) / 1e6)


def test_an_adapter_is_a_model_of_its_name(server: Faulty, photograph: Photograph) -> None:
    asking = criticising(server.url)
    without = asking.criticise(photograph, Advisor("ansel", None, 3, TRAINED))
    assert without.adapter is None
    assert "has no model called ansel-0123456789abcdef" in (without.note or "")
    server.models = ["base", TRAINED["name"]]
    with_it = criticising(server.url).criticise(photograph, Advisor("ansel", None, 3, TRAINED))
    assert (with_it.adapter, with_it.note) == (TRAINED["name"], None)
    assert [asked["model"] for asked in server.asked] == ["base", TRAINED["name"]]


def test_a_server_that_recovers_is_asked_again(server: Faulty, photograph: Photograph) -> None:
    wrong = answer("I would rather talk of something else.")
    acts: list[Act] = [
        lambda handler, _: send(handler, 503, b"busy", Retry_After="0.01"),
        lambda handler, _: send(handler, 200, wrong),
        lambda handler, _: send(handler, 200, answer(json.dumps(WORDS))),
    ]
    server.act = lambda handler, n: acts[n](handler, n)
    said = criticising(server.url).criticise(photograph, ANSEL)
    assert (said.bill.attempts, said.bill.prompt_tokens, said.bill.completion_tokens) == (3, 800, 200)
    assert [asked["temperature"] for asked in server.asked] == [0.0, 0.7, 0.7]
    assert [asked["seed"] for asked in server.asked] == [0, 1, 2]


def drip(handler: BaseHTTPRequestHandler, _: int) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("act", "kind", "told", "times"),
    [
        (lambda handler, _: time.sleep(5), CriticUnreachable, r"no answer within 0\.6 s", 1),
        (drip, CriticUnreachable, r"no answer within 0\.6 s", 1),
        (lambda handler, _: handler.connection.close(), CriticUnreachable, r"no connection|no time", None),
        (lambda handler, _: send(handler, 401, b"secret-key is wrong"), CriticUnreachable, "the key is wrong", 1),
        (lambda handler, _: send(handler, 404, b"{}"), CriticUnreachable, "no such model", 1),
        (lambda handler, _: send(handler, 302, b"", Location="/v1/elsewhere"), CriticUnreachable, "302", 1),
        (lambda handler, _: send(handler, 200, b" " * 4_000_001), CriticUnreachable, "more than 4,000,000", None),
        (lambda handler, _: send(handler, 200, b"[" * 100_000), CriticUnreachable, "no chat completion", None),
        (lambda handler, _: send(handler, 200, answer("{}")), CriticError, "it lacks overall", 3),
        (
            lambda handler, _: send(handler, 200, answer(json.dumps(WORDS), finish_reason="length")),
            CriticError,
            "cut off after 100 tokens",
            3,
        ),
    ],
)
def test_what_a_server_does_wrong_is_told_and_ends_in_time(
    server: Faulty, photograph: Photograph, act: Act, kind: type[CriticError], told: str, times: int | None
) -> None:
    server.act = act
    began = time.monotonic()
    with pytest.raises(kind, match=told) as refused:
        criticising(server.url, timeout_s=0.6).criticise(photograph, ANSEL)
    assert time.monotonic() - began < 2.5
    assert type(refused.value) is kind
    assert "secret" not in str(refused.value)
    assert "127.0.0.1" not in str(refused.value)
    assert times is None or len(server.asked) == times
    assert "/v1/elsewhere" not in server.paths, "a redirection is not followed"


def test_nobody_waits_longer_than_they_said(server: Faulty, photograph: Photograph) -> None:
    server.act = lambda handler, _: time.sleep(5)
    began = time.monotonic()
    with pytest.raises(CriticUnreachable, match=r"within 0\.36 s"):
        criticising(server.url, timeout_s=60, left_s=0.4).criticise(photograph, ANSEL)
    assert time.monotonic() - began < 2


def test_a_server_that_is_not_there(photograph: Photograph) -> None:
    with pytest.raises(CriticUnreachable, match="no connection"):
        criticising("http://127.0.0.1:9/v1", timeout_s=0.3).criticise(photograph, ANSEL)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x/v1", "x", "http://", "http://u:p@x/v1", "http://x:y/v1", "http://x/v1?key=1"]
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(UsageError, match=r"critic\.url") as refused:
        Place.of(url)
    assert "u:p" not in str(refused.value)


@pytest.mark.skipif("SEEMORY_TEST_CRITIC_URL" not in os.environ, reason="SEEMORY_TEST_CRITIC_URL names no server")
def test_a_real_server_answers_in_the_form(photograph: Photograph) -> None:
    """Any OpenAI-compatible server with a vision-language model: SEEMORY_TEST_CRITIC_URL, SEEMORY_TEST_CRITIC_MODEL."""
    critic = EndpointCritic(
        os.environ["SEEMORY_TEST_CRITIC_URL"], os.environ["SEEMORY_TEST_CRITIC_MODEL"], api_key=None, max_tokens=1500
    )
    asking = Criticising(critic, timeout_s=250, retries=4, prices=Prices(), constrained=True)
    said = asking.criticise(photograph, ANSEL)
    assert list(said.critique.dimensions) == list(DIMENSIONS)
    assert said.bill.prompt_tokens > 100
    with pytest.raises(Unanswered, match="no such model"):
        EndpointCritic(os.environ["SEEMORY_TEST_CRITIC_URL"], "nobody", api_key=None, max_tokens=9).reply(
            ask_about(photograph, "a", None),
            None,
            Manner(),
            Deadline(30),
        )
