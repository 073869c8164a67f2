"""A critic's words on an advice's page: on the whole, and under the measured score of each dimension, marked where the
two part."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from seemory.advisors.comparison import Comparison
from seemory.advisors.critic.criticising import Criticised
from seemory.advisors.critic.reconciling import disagreements
from seemory.advisors.wording import Statement


def remarks(said: Criticised | None, comparison: Comparison) -> dict[str, str]:
    """By dimension what the critic says of it, as HTML; nothing where there is no critic."""
    if said is None:
        return {}
    apart = {one.dimension for one in disagreements(said, comparison)}
    return {
        name: (
            f'<p class="said{" apart" if name in apart else ""}">The critic: <b>{one.score}</b> '
            f"“{escape(one.comment)}”{' – against what was measured.' if name in apart else ''}</p>"
        )
        for name, one in said.critique.dimensions.items()
    }


def spoken(words: Sequence[Statement]) -> tuple[list[Statement], list[Statement]]:
    """(the statements that rest on measurement, those that are the critic's or about it)."""
    own = [one for one in words if "adapter" not in one.evidence]
    return own, [one for one in words if "adapter" in one.evidence]


def section(words: Sequence[Statement]) -> str:
    """What the critic says on the whole, and where it and the measurement part, as HTML; nothing where it is silent."""
    if not words:
        return ""
    quoted = "".join(f"<p>{escape(one.text)}</p>" for one in words if "field" in one.evidence)
    apart = "".join(f"<li>{escape(one.text)}</li>" for one in words if "field" not in one.evidence)
    beside = f"<ul>{apart}</ul>" if apart else ""
    said = f'<div><div class="quoted">{quoted}</div>{beside}</div>' if quoted else f"<div>{beside}</div>"
    return f'<section class="critic"><h2>What the critic says</h2>{said}</section>'


def footnote(said: Criticised | None) -> str:
    """Who the critic is and what its words are worth, as HTML."""
    if said is None:
        return ""
    who = f"the adapter {escape(said.adapter)}" if said.adapter else escape(said.model)
    tokens = f"{said.bill.prompt_tokens:,} + {said.bill.completion_tokens:,} tokens"
    return (
        f"<p>What the critic says is a language model's ({who}, {tokens}): a judgement, not a measurement. Where "
        "the two part, the page says so and goes by what was measured.</p>"
    )
