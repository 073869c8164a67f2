"""What makes a flat picture look deep: air, lines that meet, sharp planes before soft ones, and finer detail far away.

The cues are those of Goldstein, "Sensation and perception", chapter on depth: pictorial cues. Nothing here knows
the objects in a picture, so overlap and familiar size, which people use most, are not measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seemory.advisors.canvas import Canvas, mean
from seemory.advisors.lines import Meeting
from seemory.advisors.sharpness import SHARPEST, Sharpness, quantile


@dataclass(frozen=True, slots=True)
class Depth:
    """The cues of depth in a picture."""

    air: float
    """How much weaker contrast and colour are in the upper half, where far things mostly are, in doublings."""
    lighter: float
    """How much lighter the upper half is, in L*."""
    planes: float
    """How much sharper the sharpest tenth of the edges is than the softest."""
    meeting: float
    """The share of line weight that points at one place."""


def depth(canvas: Canvas, sharp: Sharpness, met: Meeting) -> Depth:
    """The cues of depth of a picture."""
    far = np.asarray(1 / (1 + np.exp(canvas.down * 6)), dtype=np.float32)
    strength = sharp.edges / float(sharp.edges.mean() + 1e-3) + canvas.blurred(canvas.chroma, 4.0) / (
        float(canvas.chroma.mean()) + 4.0
    )
    return Depth(
        air=float(np.log2((mean(strength, 1 - far) + 0.1) / (mean(strength, far) + 0.1))),
        lighter=mean(canvas.lightness, far) - mean(canvas.lightness, 1 - far),
        planes=max(quantile(sharp.detail, sharp.edges**2, SHARPEST) - 0.9, 0.0)
        / max(quantile(sharp.detail, sharp.edges**2, 0.1) - 0.9, 0.05),
        meeting=met.share,
    )
