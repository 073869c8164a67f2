"""The seam to whatever answers: a question, how it is to be answered, and the reply with what it cost."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from seemory.advisors.critic.question import Question


class Unanswered(Exception):
    """There is no reply; the message says why, and `again` whether the same may be asked again."""

    def __init__(self, why: str, *, again: bool = False, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.again = again
        self.wait_s = wait_s


class Deadline:
    """Until when an answer is waited for."""

    def __init__(self, seconds: float) -> None:
        """The clock runs from now."""
        self.seconds = seconds
        self._until = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Seconds that are left, 0 when it is over."""
        return max(0.0, self._until - time.monotonic())


@dataclass(frozen=True, slots=True)
class Manner:
    """How a question is to be answered."""

    constrained: bool = True
    """Whether the answer is held to the schema while it is made."""
    attempt: int = 0
    """The first is made of the likeliest words; later ones are sampled, each with a seed of its own."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    text: str
    model: str
    adapter: str | None
    """The adapter that spoke; None where it was the model alone."""
    prompt_tokens: int
    completion_tokens: int
    cut: bool = False
    """Whether it ended for want of tokens."""
    note: str | None = None
    """Why it is not of the adapter that was asked for."""


class Critic(Protocol):
    """Answers a question about a picture."""

    def reply(self, question: Question, adapter: str | None, manner: Manner, deadline: Deadline) -> Reply:
        """The reply, of that adapter if there is one of that name and it can be had.

        Raises:
            Unanswered: there is none.
        """
        ...
