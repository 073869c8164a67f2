"""What is written beside an adapter: what it is, what it was made of, and what it does not say of itself."""

from __future__ import annotations

from seemory.advisors.critic.plan import TARGETS, Plan
from seemory.advisors.critic.question import harmless


def card(
    *,
    advisor: str,
    base: str,
    plan: Plan,
    examples: int,
    held_out: int,
    left_out: int,
    losses: list[float],
    held_out_losses: list[float],
    best: int | None,
    changed: float,
    parameters: int,
) -> str:
    """The card, in the form that Hugging Face's hub shows."""
    rows = []
    for epoch, loss in enumerate(losses):
        held = f"{held_out_losses[epoch]:.4f}" if epoch < len(held_out_losses) else ""
        rows.append(f"| {epoch + 1}{' (kept)' if epoch == best else ''} | {loss:.4f} | {held} |")
    name = harmless(advisor, 100)
    more = f", with {held_out} more held out" if held_out else ""
    more += f"; {left_out} lines could not be used" if left_out else ""
    return f"""---
base_model: {harmless(base, 200)}
library_name: peft
pipeline_tag: image-text-to-text
tags:
- lora
- photography
---
# A critic of photographs, in the manner of {name}

A LoRA adapter for {harmless(base, 200)} that answers a photograph with a critique of a fixed form: scores
from 0 to 10 and a comment in eight dimensions, a judgement of the whole, and advice. It was trained by
`seemory advisor train` on {examples} critiques{more}.

Rank {plan.rank}, alpha {plan.alpha}, dropout {plan.dropout}, on {", ".join(TARGETS)} of the language
model: {parameters:,} figures. Rate {plan.rate}, {plan.batch} critiques a step, up to {plan.epochs}
epochs, seed {plan.seed}. The question's tokens do not count in the loss.

| epoch | loss | loss on critiques held out |
| --- | --- | --- |
{chr(10).join(rows)}

For {changed:.0%} of the words of known critiques its likeliest word is another than the model's own.

Its words are those of whoever wrote the critiques, not of {name}. Scores are judgements of a language model and are not
measured; `seemory advisor evaluate` says how far they agree with measured ones.
"""
