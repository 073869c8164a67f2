"""Where in a photograph the likeness to a work lies: its quarters and its middle, each compared by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from seemory.calibration import Calibration
from seemory.types import Vector, Vectors

REGIONS: Final[dict[str, tuple[float, float, float, float]]] = {
    "upper left": (0.0, 0.0, 0.5, 0.5),
    "upper right": (0.5, 0.0, 1.0, 0.5),
    "lower left": (0.0, 0.5, 0.5, 1.0),
    "lower right": (0.5, 0.5, 1.0, 1.0),
    "middle": (0.25, 0.25, 0.75, 0.75),
}
"""Left, upper, right and lower edge, as shares of width and height."""

CLEAR_SIGMAS: Final = 0.5
"""A region is named where its cosine lies so many standard deviations of unrelated pictures above the regions' mean;
else the likeness lies all over, or nowhere in particular."""


@dataclass(frozen=True, slots=True)
class Region:
    """The part of a photograph that is most like a work."""

    name: str
    box: tuple[float, float, float, float]
    """Left, upper, right and lower edge, as shares of width and height."""
    cosine: float
    """Of the part alone to the whole work."""
    sigmas: float
    """How far that lies above the mean of all the parts, in standard deviations of unrelated pictures."""


def parts(picture: Image.Image) -> list[Image.Image]:
    """The regions of an upright picture, in the order of `REGIONS`."""
    width, height = picture.size
    return [
        picture.crop((round(left * width), round(upper * height), round(right * width), round(lower * height)))
        for left, upper, right, lower in REGIONS.values()
    ]


def most_alike(parts: Vectors, work: Vector, calibration: Calibration, *, least: float) -> Region | None:
    """The region that is like a work, and clearly more so than the others are, if one is.

    Args:
        parts: `(5, d)` of norm 1, the regions' vectors in their order.
        work: `(d,)` of norm 1, of the same encoder.
        calibration: the encoder's, of pictures.
        least: so many standard deviations above unrelated pictures its cosine lies.
    """
    cosines = parts.astype(np.float64) @ work.astype(np.float64)
    best = int(np.argmax(cosines))
    sigmas = calibration.sigmas(float(cosines[best]))
    above = sigmas - calibration.sigmas(float(cosines.mean()))
    if above < CLEAR_SIGMAS or sigmas < least:
        return None
    name = list(REGIONS)[best]
    return Region(name, REGIONS[name], float(cosines[best]), above)
