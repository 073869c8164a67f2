"""A critic's words on an advice's page: under the measured score of each dimension, marked where the two part."""

from __future__ import annotations

from html import escape

from seemory.advisors.comparison import Comparison
from seemory.advisors.critic.criticising import Criticised
from seemory.advisors.critic.reconciling import disagreements


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
