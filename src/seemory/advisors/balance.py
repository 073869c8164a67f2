"""How visual weight is spread between left and right, and around the middle.

Weight is what pulls the eye (Arnheim, 1954, "Art and visual perception", chapter 1), here the square of saliency: a
crowd of small things on one side does not outweigh the one thing that everybody looks at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seemory.advisors.canvas import Canvas, Map, mean
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
    weight = visual_weight(seen)
    broad = canvas.blurred(weight, canvas.width / 12)
    return Balance(
        across=mean(canvas.across, weight),
        down=mean(canvas.down, weight),
        unequal=float(np.abs(broad - broad[:, ::-1]).sum() / (2 * broad.sum())),
    )


def visual_weight(seen: Attention) -> Map:
    """`(h, w)` weights of mean 1. Not seen.saliency, whose liking for the middle would balance any picture."""
    return np.asarray(seen.pull**2 / max(float((seen.pull**2).mean()), 1e-9), dtype=np.float32)
