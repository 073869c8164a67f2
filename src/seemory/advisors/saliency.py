"""What draws the eye, and how well it is set off from the rest.

Three maps that agree on little are added: the spectral residual (Hou & Zhang, 2007, "Saliency detection: a spectral
residual approach"), the distance of colour from the picture's mean (Achanta et al., 2009, "Frequency-tuned salient
region detection"), and sharp detail, since a photographer focuses on the subject.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seemory.advisors.canvas import Canvas, Map, mean
from seemory.advisors.sharpness import Sharpness


@dataclass(frozen=True, slots=True)
class Attention:
    """What draws the eye."""

    saliency: Map
    """0 and above, mean 1."""
    pull: Map
    """The same without the middle's advantage and without detail, and broader: a thing counts, not its fine pattern."""
    subject: Map
    """How much a pixel belongs to what stands out, 0 to 1."""


def attention(canvas: Canvas, sharp: Sharpness) -> Attention:
    """Where the eye goes in a picture."""
    colour = canvas.blurred(canvas.lab, 2.0) - canvas.lab.mean(axis=(0, 1))
    distance = np.sqrt((colour * colour).sum(axis=2))
    detail = sharp.edges * (sharp.detail - 1).clip(0)
    residual = spectral_residual(canvas)
    together = sum(_levelled(canvas, one, 8.0) for one in (residual, distance, detail))
    broad = np.asarray(_levelled(canvas, residual, 14.0) + _levelled(canvas, distance, 14.0), dtype=np.float32)
    # People look at the middle first (Judd et al., 2009, "Learning to predict where humans look", section 3).
    central = np.exp(-(canvas.across**2 + canvas.down**2) / 2)
    map_ = np.asarray(together * central, dtype=np.float32)
    map_ = map_ / max(float(map_.mean()), 1e-9)
    return Attention(
        map_, broad / max(float(broad.mean()), 1e-9), np.asarray(map_**4 / (map_**4 + 1.5**4), dtype=np.float32)
    )


def spectral_residual(canvas: Canvas) -> Map:
    """The map of what the picture's log spectrum does not share with its own smooth trend, computed at 64 pixels."""
    import cv2

    scale = 64 / max(canvas.height, canvas.width)
    small = cv2.resize(canvas.lightness, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    spectrum = np.fft.fft2(small)
    log = np.log(np.abs(spectrum) + 1e-3).astype(np.float32)
    residual = log - cv2.blur(log, (3, 3))
    back = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    smooth = cv2.GaussianBlur(back.astype(np.float32), (0, 0), 2.5)
    return np.asarray(cv2.resize(smooth, (canvas.width, canvas.height), interpolation=cv2.INTER_LINEAR))


@dataclass(frozen=True, slots=True)
class Isolation:
    """How a subject is set off from what surrounds it."""

    colour: float
    """Difference of the mean colours, in spreads of the surroundings' own colours."""
    detail: float
    """How many times as much edge there is in the subject."""
    gathered: float
    """The share of all attention within the fifth of the picture that has most of it."""
    area: float
    """The subject's share of the picture."""


def isolation(canvas: Canvas, seen: Attention, sharp: Sharpness) -> Isolation:
    """How the subject is set off, by colour, by detail, and by being one."""
    subject, rest = seen.subject, 1 - seen.subject
    inside = np.array([mean(canvas.lab[:, :, k], subject) for k in range(3)])
    outside = np.array([mean(canvas.lab[:, :, k], rest) for k in range(3)])
    spread = np.sqrt(sum(mean((canvas.lab[:, :, k] - outside[k]) ** 2, rest) for k in range(3)))
    squared = sharp.edges**2
    ordered = np.sort(seen.saliency, axis=None)
    return Isolation(
        colour=float(np.linalg.norm(inside - outside) / (spread + 12.0)),
        detail=float(np.sqrt((mean(squared, subject) + 1e-3) / (mean(squared, rest) + 1e-3))),
        gathered=float(ordered[-len(ordered) // 5 :].sum() / ordered.sum()),
        area=float(subject.mean()),
    )


def _levelled(canvas: Canvas, values: Map, sigma: float) -> Map:
    smooth = canvas.blurred(np.ascontiguousarray(values, dtype=np.float32), sigma)
    smooth = smooth - float(smooth.min())
    return np.asarray(smooth / max(float(smooth.mean()), 1e-9), dtype=np.float32)
