"""What a library says of a photograph: a value made of nothing but data, each statement with what it rests on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from seemory.advisors import comparison as beside
from seemory.advisors.critic.criticising import Criticised
from seemory.advisors.critic.reconciling import disagreements
from seemory.advisors.likeness import Likeness
from seemory.advisors.wording import Statement

Mode = Literal["similar", "dimensions", "critic", "combined"]


@dataclass(frozen=True, slots=True)
class Advice:
    """What a library says of a photograph."""

    photograph: str
    """What it is called."""
    sha256: str
    advisor: str
    works: int
    """How many of the library's works it was compared with."""
    mode: Mode
    model: str
    """The encoder that compared."""
    similar: tuple[Likeness, ...] = ()
    """The nearest works, nearest first."""
    comparison: beside.Comparison | None = None
    """Its eight scores beside the works'."""
    critic: Criticised | None = None
    """What the critic says, and what it cost."""
    words: tuple[Statement, ...] = ()
    missing: tuple[str, ...] = ()
    """What could not be said, and why."""

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "photograph": {"name": self.photograph, "sha256": self.sha256},
            "advisor": self.advisor,
            "works": self.works,
            "mode": self.mode,
            "model": self.model,
            "similar": [one.as_json() for one in self.similar],
            "dimensions": None if self.comparison is None else beside.as_json(self.comparison),
            "critic": self._critic_as_json(),
            "words": [asdict(one) for one in self.words],
            "missing": list(self.missing),
        }

    def _critic_as_json(self) -> dict[str, Any] | None:
        if self.critic is None:
            return None
        apart = [] if self.comparison is None else disagreements(self.critic, self.comparison)
        return self.critic.as_json() | {"disagreements": [one.as_json() for one in apart]}
