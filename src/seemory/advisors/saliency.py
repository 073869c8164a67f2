"""What draws the eye, and how well it is set off from the rest.

Three maps that agree on little are added: how a place differs from what surrounds it (Itti, Koch & Niebur, 1998, "A
model of saliency-based visual attention", with one centre and one surround), the distance of colour from the picture's
mean (Achanta et al., 2009, "Frequency-tuned salient region detection"), and sharp detail, since photographers focus on
the subject. All are of the picture's own contrast, so a faint picture draws the eye to where a hard one does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from seemory.advisors.canvas import Canvas, Map, mean
from seemory.advisors.sharpness import Sharpness

_AROUND: Final = 32.0
_FAINT: Final = 3.0
"""In the units of `Canvas.even`, where a picture's contrast is 20: fainter detail than this counts less and less."""


@dataclass(frozen=True, slots=True)
class Attention:
    """What draws the eye."""

    saliency: Map
    """0 and above, mean 1."""
    pull: Map
    """How each place differs in light and, as a whole, in colour from what surrounds it alone, mean 1.

    It knows nothing of the rest, so cropping changes it little, and the middle has no advantage."""
    subject: Map
    """How much a pixel belongs to what stands out, 0 to 1."""


def attention(canvas: Canvas, sharp: Sharpness) -> Attention:
    """Where the eye goes in a picture."""
    fine = canvas.blurred(canvas.even, 2.0)
    distance, contrast = _length(fine), _length(fine - canvas.blurred(canvas.even, 16.0))
    detail = sharp.edges * (sharp.detail - 1).clip(0)
    together = sum(_levelled(canvas, one, 8.0) for one in (contrast, distance, detail))
    # People look at the middle first (Judd et al., 2009, "Learning to predict where humans look", section 3).
    central = np.exp(-(canvas.across**2 + canvas.down**2) / 2)
    map_ = np.asarray((together + 1e-6) * central, dtype=np.float32)  # an even frame is as salient everywhere
    map_ = map_ / max(float(map_.mean()), 1e-9)
    pull = canvas.blurred(_pull(canvas), 10.0) + np.float32(1e-6)
    return Attention(
        map_, pull / max(float(pull.mean()), 1e-9), np.asarray(map_**4 / (map_**4 + 1.5**4), dtype=np.float32)
    )


def _pull(canvas: Canvas) -> Map:
    """The cube of the difference to the surroundings, so that what stands out most weighs most.

    Light is compared at a finer scale than colour, as eyes do: the finest gratings of colour alone that are seen are
    about three times as coarse as those of light (Mullen, 1985, "The contrast sensitivity of human colour vision to
    red-green and blue-yellow chromatic gratings").
    """
    light, colour = canvas.relief, np.ascontiguousarray(canvas.even[:, :, 1:])
    in_light = canvas.blurred(light, 2.0) - canvas.blurred(light, 16.0)
    in_colour = _length(canvas.blurred(colour, 8.0) - canvas.blurred(colour, 32.0))
    return np.asarray(np.hypot(in_light, in_colour) ** 3, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Isolation:
    """How a subject is set off from what surrounds it."""

    colour: float
    """Difference of the mean colours, in spreads of the surroundings' own colours."""
    detail: float
    """How many times as much of the subject's contrast is fine detail; a veil takes of both alike."""
    sharpness: float
    """How many times as sharp its edges are."""
    gathered: float
    """The share of all attention within the fifth of the picture that has most of it."""
    area: float
    """The subject's share of the picture."""


def isolation(canvas: Canvas, seen: Attention, sharp: Sharpness) -> Isolation:
    """How the subject is set off, by colour, by detail, and by being one."""
    subject, rest = seen.subject, 1 - seen.subject
    inside = np.array([mean(canvas.even[:, :, k], subject) for k in range(3)])
    outside = np.array([mean(canvas.even[:, :, k], rest) for k in range(3)])
    spread = np.sqrt(sum(mean((canvas.even[:, :, k] - outside[k]) ** 2, rest) for k in range(3)))
    own = canvas.relief - canvas.blurred(canvas.relief, _AROUND)
    fineness = sharp.edges**2 / (canvas.blurred(own * own, _AROUND) + _FAINT**2)
    ordered = np.sort(seen.saliency, axis=None)
    return Isolation(
        colour=float(np.linalg.norm(inside - outside) / (spread + 12.0)),
        detail=float(np.sqrt((mean(fineness, subject) + 1e-4) / (mean(fineness, rest) + 1e-4))),
        sharpness=mean(sharp.detail, sharp.edges * subject) / max(mean(sharp.detail, sharp.edges * rest), 1e-6),
        gathered=float(ordered[-len(ordered) // 5 :].sum() / ordered.sum()),
        area=float(subject.mean()),
    )


def _length(values: NDArray[np.float32]) -> Map:
    return np.asarray(np.sqrt((values * values).sum(axis=2)), dtype=np.float32)


def _levelled(canvas: Canvas, values: Map, sigma: float) -> Map:
    smooth = canvas.blurred(np.ascontiguousarray(values, dtype=np.float32), sigma)
    smooth = smooth - float(smooth.min())
    return np.asarray(smooth / max(float(smooth.mean()), 1e-9), dtype=np.float32)
