"""What stirs, as far as pixels tell: strong light against dark, strong colour, one thing to look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seemory.advisors.canvas import Canvas


@dataclass(frozen=True, slots=True)
class Mood:
    """The strength of a picture's means."""

    drama: float
    """Spread of lightness between areas, not within them, in L*."""
    colourfulness: float
    """Hasler & Süsstrunk, 2003, "Measuring colorfulness in natural images", equation for M(3): 0 grey, 100 extreme."""


def mood(canvas: Canvas) -> Mood:
    """The strength of a picture's means."""
    red, green, blue = (canvas.rgb[:, :, k].astype(np.float32) for k in range(3))
    one, other = red - green, (red + green) / 2 - blue
    return Mood(
        drama=float(canvas.blurred(canvas.lightness, 12.0).std()),
        colourfulness=float(np.hypot(one.std(), other.std()) + 0.3 * np.hypot(one.mean(), other.mean())),
    )
