"""A critic's words beside what was measured → sentences that do not contradict each other.

What was measured stands. A critic's words are given as the critic's. Where they say the opposite of a measured score
they are told as a disagreement, with both sides, and nothing else of the answer rests on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from seemory.advisors.comparison import Comparison, Standing
from seemory.advisors.critic.claims import BLAME, PRAISE, claims
from seemory.advisors.critic.criticising import Criticised
from seemory.advisors.critic.critique import Remark
from seemory.advisors.wording import NAMES, Statement

MEASURED_LOW: Final = 4.5
MEASURED_HIGH: Final = 6.5
"""The quartiles of photographs: below the one and from the other on a measured score says something by itself."""
CRITIC_LOW: Final = 4
CRITIC_HIGH: Final = 7


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One dimension of which the critic says the opposite of what was measured."""

    dimension: str
    critic: int
    measured: float
    said: str
    """The critic's words."""
    comment: str
    """What was measured, in words."""

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "dimension": self.dimension,
            "critic": self.critic,
            "measured": round(self.measured, 2),
            "said": self.said,
            "comment": self.comment,
        }


def measured_side(one: Standing) -> int | None:
    """Whether the answer calls a dimension good or poor, beside the library or by its score alone; None for neither."""
    high = one.place == "strength" or one.score >= MEASURED_HIGH
    low = one.place == "priority" or one.score < MEASURED_LOW
    return None if high == low else PRAISE if high else BLAME


def disagreements(said: Criticised, comparison: Comparison) -> list[Disagreement]:
    """The dimensions of which the critic's score, its comment or its other sentences say the opposite."""
    critique = said.critique
    general = {
        name: (sense, text) for text in (critique.advice, critique.overall) for name, sense in claims(text).items()
    }
    found = []
    for one in comparison.standings:
        remark = critique.dimensions[one.dimension]
        side = measured_side(one)
        if side is None:
            continue
        words = None
        if side in (-_side_of(remark), -claims(remark.comment).get(one.dimension, 0)):
            words = remark.comment
        elif one.dimension in general and general[one.dimension][0] == -side:
            words = general[one.dimension][1]
        if words is not None:
            found.append(Disagreement(one.dimension, remark.score, one.score, words, one.measured.comment))
    return found


def of_critique(said: Criticised, comparison: Comparison | None) -> list[Statement]:
    """What is to be said of the critic's words: they, and where they and the measurement part."""
    speaker = f"The critic ({'adapter ' + said.adapter if said.adapter else said.model})"
    source: dict[str, Any] = {"model": said.model, "adapter": said.adapter}
    apart = [] if comparison is None else disagreements(said, comparison)
    told_apart = {one.said for one in apart}
    statements = []
    for name, text in (("overall", said.critique.overall), ("advice", said.critique.advice)):
        if text not in told_apart:
            beginning = f"{speaker}:" if name == "overall" else "The critic advises:"
            statements.append(Statement(f"{beginning} “{text}”", source | {"field": name}))
    statements += [_apart(one, source) for one in apart]
    if comparison is None:
        statements += [_remarked(name, remark, source) for name, remark in said.critique.dimensions.items()]
    return statements


def _apart(one: Disagreement, source: Mapping[str, Any]) -> Statement:
    text = (
        f"On {NAMES[one.dimension]} the critic and the measurement disagree: the critic gives {one.critic} and says "
        f"“{one.said}”; {one.measured:.1f} was measured, and this answer goes by that."
    )
    figures = {
        "dimension": one.dimension, "critic": one.critic, "measured": round(one.measured, 2), "comment": one.comment
    }  # fmt: skip
    return Statement(text, {**source, **figures})


def _remarked(name: str, remark: Remark, source: Mapping[str, Any]) -> Statement:
    text = f"{NAMES[name].capitalize()}, {remark.score} of 10: “{remark.comment}”"
    return Statement(text, {**source, "dimension": name, "critic": remark.score})


def _side_of(remark: Remark) -> int:
    return PRAISE if remark.score >= CRITIC_HIGH else BLAME if remark.score <= CRITIC_LOW else 0
