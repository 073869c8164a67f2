"""How visual weight is spread between left and right, and around the middle.

Weight is what pulls the eye (Arnheim, 1954, "Art and visual perception", chapter 1). Here it is `Attention.pull`: how
each place differs from what surrounds it, without the advantage that people's eyes give to the middle, since with that
any picture would be balanced.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seemory.advisors.canvas import Canvas, mean
from seemory.advisors.saliency import Attention


@dataclass(frozen=True, slots=True)
class Balance:
    """Where the visual weight lies."""

    across: float
    """Centre of weight, from the left edge, -1, to the right, 1."""
    down: float
    """Centre of weight, from the upper edge, -1, to the lower, 1."""
    unequal: float
    """How much of the weight has no counterpart on the other side, 0 to 1."""


def balance(canvas: Canvas, seen: Attention) -> Balance:
    """The balance of a picture's visual weight."""
    weight = seen.pull
    broad = canvas.blurred(weight, canvas.width / 12)
    return Balance(
        across=mean(canvas.across, weight),
        down=mean(canvas.down, weight),
        unequal=float(np.abs(broad - broad[:, ::-1]).sum() / (2 * broad.sum())),
    )
