"""A critic behind an OpenAI-compatible server: vLLM, llama.cpp, Ollama and their like."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from threading import Lock
from typing import Any, Final

from seemory.advisors.critic.asking import Deadline, Manner, Reply, Unanswered
from seemory.advisors.critic.critique import SCHEMA
from seemory.advisors.critic.exchange import Answer, Failed, Place, exchange
from seemory.advisors.critic.question import Question

_KNOWN_S: Final = 60.0
"""So long is what a server said of its models believed."""
_LONGEST_WAIT_S: Final = 30.0


class EndpointCritic:
    """Asks the one server that the settings name. An adapter is a model of that name there. For several threads."""

    def __init__(self, url: str, model: str, *, api_key: str | None, max_tokens: int) -> None:
        """Nothing is asked yet.

        Args:
            url: up to and with `/v1`.
            model: the base model's name there.
            api_key: sent as a bearer token, and never told.
            max_tokens: of one answer.

        Raises:
            UsageError: the address is none.
        """
        self._place = Place.of(url)
        self._model = model
        self._headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})
        self._max_tokens = max_tokens
        self._lock = Lock()
        self._served: tuple[float, frozenset[str]] | None = None

    def reply(self, question: Question, adapter: str | None, manner: Manner, deadline: Deadline) -> Reply:
        """See `Critic`. An adapter that the server does not have is left out, and the reply names none."""
        speaks = adapter if adapter is not None and adapter in self._models(deadline) else None
        asked: dict[str, Any] = {
            "model": speaks or self._model,
            "messages": question.sent(),
            "max_tokens": self._max_tokens,
            "temperature": 0.7 if manner.attempt else 0.0,
            "seed": manner.attempt,
        }
        if manner.constrained:
            form = {"name": "critique", "strict": True, "schema": SCHEMA}
            asked["response_format"] = {"type": "json_schema", "json_schema": form}
        answer = self._exchange("POST", "/chat/completions", asked, deadline)
        if answer.status != 200:
            raise _refused(answer)
        note = None
        if adapter is not None and speaks is None:
            note = f"the critic's server has no model called {adapter}"
        return self._read(answer.body, speaks, note)

    def _models(self, deadline: Deadline) -> frozenset[str]:
        """The names of the models that the server has; none where it does not say."""
        with self._lock:
            known = self._served
        if known is None or time.monotonic() - known[0] > _KNOWN_S:
            answer = self._exchange("GET", "/models", None, deadline)
            known = time.monotonic(), _names(answer.body) if answer.status == 200 else frozenset()
            with self._lock:
                self._served = known
        return known[1]

    def _exchange(self, method: str, path: str, asked: Mapping[str, Any] | None, deadline: Deadline) -> Answer:
        body = None if asked is None else json.dumps(asked).encode()
        headers = self._headers | ({} if body is None else {"Content-Type": "application/json"})
        try:
            return exchange(self._place, method, path, headers=headers, body=body, deadline=deadline)
        except Failed as error:
            raise Unanswered(f"the critic's server gave {error}", again=True) from error

    def _read(self, body: bytes, adapter: str | None, note: str | None) -> Reply:
        try:
            document = json.loads(body)
            [choice, *_] = document["choices"]
            text = choice["message"]["content"]
            usage = document.get("usage") or {}
            if not isinstance(text, str):
                raise TypeError("no text")
            asked, said = (max(0, int(usage.get(name) or 0)) for name in ("prompt_tokens", "completion_tokens"))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Unanswered("the critic's server gave an answer that is no chat completion", again=True) from error
        cut = choice.get("finish_reason") == "length"
        return Reply(text, adapter or self._model, adapter, asked, said, cut=cut, note=note)


def _names(body: bytes) -> frozenset[str]:
    try:
        return frozenset(str(one["id"]) for one in json.loads(body)["data"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return frozenset()


def _refused(answer: Answer) -> Unanswered:
    """Why there is no reply, without what the server says: it may repeat the question, or name its own folders."""
    later = answer.status == 429 or answer.status >= 500
    what = {401: "the key is wrong", 403: "the key is wrong", 404: "there is no such model or address there"}
    meaning = what.get(answer.status, "see its log")
    try:
        wait = min(float(answer.retry_after or 0), _LONGEST_WAIT_S)
    except ValueError:
        wait = 0.0
    return Unanswered(f"the critic's server answered {answer.status} ({meaning})", again=later, wait_s=max(0.0, wait))
