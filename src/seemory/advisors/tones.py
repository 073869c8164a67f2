"""How the light falls: exposure, tonal range, what is lost in black and in white."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seemory.advisors.canvas import Canvas


@dataclass(frozen=True, slots=True)
class Tones:
    """The distribution of a picture's lightness L*, 0 to 100."""

    middle: float
    """The median."""
    spread: float
    """From the darkest twentieth to the lightest, of areas."""
    black: float
    """Share without any drawing in the shadows."""
    white: float
    """Share without any drawing in the lights."""
    entropy: float
    """Of the areas' histogram in 50 steps, in bits: how evenly the tones are used (5.6 at most)."""


def tones(canvas: Canvas) -> Tones:
    """The tones of a picture."""
    from skimage.measure import shannon_entropy

    lightness = canvas.blurred(canvas.lightness, 0.8)
    areas = canvas.blurred(canvas.lightness, 3.0)  # light falls on areas; what is drawn on them is no light
    low, middle, high = (float(value) for value in np.quantile(areas, (0.05, 0.5, 0.95)))
    return Tones(
        middle=middle,
        spread=high - low,
        black=_soft_share(6.0 - lightness),
        white=_soft_share(lightness - 96.0),
        entropy=float(shannon_entropy(np.floor(areas / 2))),
    )


def _soft_share(beyond: np.ndarray) -> float:
    """The share above 0; within one step of L* of it, a part counts, so that a tiny change does little."""
    return float((beyond + 0.5).clip(0, 1).mean())
