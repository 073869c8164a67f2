"""A photograph and an advisor → a checked critique with what it cost, or the reason why there is none."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from seemory.advisors.critic.adapters import Adapter
from seemory.advisors.critic.asking import Critic, Deadline, Manner, Reply, Unanswered
from seemory.advisors.critic.critique import Critique, WrongAnswer, read_critique
from seemory.advisors.critic.question import Question, ask_about
from seemory.advisors.photograph import Photograph
from seemory.errors import CriticError, CriticUnreachable
from seemory.store.libraries import Advisor

_PAUSE_S = 0.5  # before the second try; doubled before each further one


@dataclass(frozen=True, slots=True)
class Prices:
    """What a server charges, for a million tokens, in whatever money."""

    prompt: float = 0.0
    completion: float = 0.0


@dataclass(slots=True)
class Bill:
    """What an answer has cost, wrong tries included."""

    attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, reply: Reply) -> None:
        """Count a reply."""
        self.prompt_tokens += reply.prompt_tokens
        self.completion_tokens += reply.completion_tokens

    def cost(self, prices: Prices) -> float:
        """In the money of the prices."""
        return (self.prompt_tokens * prices.prompt + self.completion_tokens * prices.completion) / 1e6


@dataclass(frozen=True, slots=True)
class Criticised:
    """A critique, and how it came about."""

    critique: Critique
    model: str
    adapter: str | None
    """The adapter that spoke; None where the model did alone."""
    bill: Bill = field(default_factory=Bill)
    cost: float = 0.0
    seconds: float = 0.0
    note: str | None = None
    """What is to be said of it: that it is not of the advisor's adapter, and why."""

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return self.critique.as_json() | {
            "model": self.model,
            "adapter": self.adapter,
            "attempts": self.bill.attempts,
            "prompt_tokens": self.bill.prompt_tokens,
            "completion_tokens": self.bill.completion_tokens,
            "cost": round(self.cost, 6),
            "seconds": round(self.seconds, 3),
        }


class Criticising:
    """Asks a critic, again if need be, and takes nothing but a critique for an answer. May be asked by many threads."""

    def __init__(
        self,
        critic: Critic,
        *,
        timeout_s: float,
        retries: int,
        prices: Prices,
        constrained: bool,
        left_s: Callable[[], float | None] = lambda: None,
    ) -> None:
        """Nothing is asked yet.

        Args:
            critic: who answers.
            timeout_s: for one photograph, all tries together.
            retries: how often it is asked again after a wrong answer, or none.
            prices: what tokens cost.
            constrained: whether answers are held to the schema while they are made.
            left_s: how long whoever waits for the answer will wait, if there is a limit.
        """
        self._critic = critic
        self._timeout_s = timeout_s
        self._retries = retries
        self._prices = prices
        self._constrained = constrained
        self._left_s = left_s

    def criticise(self, photograph: Photograph, advisor: Advisor) -> Criticised:
        """What the advisor's critic says of a photograph.

        Raises:
            MediaError: the picture cannot be read.
            CriticError: what it answers is no critique.
            CriticUnreachable: it does not answer, or not in time.
        """
        adapter = Adapter.from_json(advisor.adapter)
        question = ask_about(photograph, advisor.name, advisor.biography)
        left = self._left_s()
        # Whoever waits is told what is missing, and has the rest: a tenth of the time is kept for that.
        deadline = Deadline(self._timeout_s if left is None else min(self._timeout_s, 0.9 * left))
        began = time.monotonic()
        said, reply, bill = self.ask(question, adapter.name if adapter else None, deadline)
        note = None
        if adapter is not None and reply.adapter is None:
            note = f"{reply.note or 'the adapter was left out'}: the critic spoke without the adapter of {advisor.name}"
        return Criticised(
            said,
            reply.model,
            reply.adapter,
            bill,
            bill.cost(self._prices),
            time.monotonic() - began,
            note,
        )

    def ask(self, question: Question, adapter: str | None, deadline: Deadline) -> tuple[Critique, Reply, Bill]:
        """The critique that is answered, the reply it is from, and what all tries cost. Raises as `criticise` does."""
        bill = Bill()
        while True:
            manner = Manner(self._constrained, bill.attempts)
            bill.attempts += 1
            try:
                reply = self._critic.reply(question, adapter, manner, deadline)
                bill.add(reply)
                if reply.cut:
                    raise WrongAnswer(f"cut off after {reply.completion_tokens} tokens (`critic.max_tokens`)")
                return read_critique(reply.text), reply, bill
            except Unanswered as error:
                if not error.again or bill.attempts > self._retries or not deadline.left_s:
                    raise CriticUnreachable(str(error)) from error
                pause = max(error.wait_s, _PAUSE_S * 2 ** (bill.attempts - 1))
                if pause >= deadline.left_s:
                    raise CriticUnreachable(f"{error}; there is no time to ask again") from error
                time.sleep(pause)
            except WrongAnswer as error:
                if bill.attempts > self._retries or not deadline.left_s:
                    times = "once" if bill.attempts == 1 else f"{bill.attempts} times"
                    raise CriticError(
                        f"the critic was asked {times} and gave no critique in the form that was asked for: {error}"
                    ) from error
