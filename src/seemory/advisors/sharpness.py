"""How sharp the edges are, at three scales, and where.

An edge that is sharp loses more of its slope when it is blurred once more than one that is soft already. The ratio of
the slopes before and after tells how sharp it is, whatever its contrast (Zhuo & Sim, 2011, "Defocus map estimation
from a single image", equation 4; here of slopes summed over a neighbourhood, which needs no edge detector).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from seemory.advisors.canvas import Canvas, Map

SCALES: Final = (1.5, 2.5, 4.0)
"""Widths, in canvas pixels, that edges are first brought to; each is then doubled."""
SHARPEST: Final = 0.9
"""So much of the edges may be softer than what a picture's sharpness is judged by."""
_NEIGHBOURHOOD: Final = 10.0


@dataclass(frozen=True, slots=True)
class Sharpness:
    """Where a picture is sharp."""

    detail: Map
    """How much the slopes lose when blurred once more, at the finest scale: 1 for the softest edges, 2 and more."""
    edges: Map
    """How much edge there is, as root mean square slope of the relief per pixel at the finest scale."""
    coarser: tuple[Map, ...]
    """The same as `detail` at the coarser scales."""

    def best(self, subject: Map) -> float:
        """The ratio that a tenth of the edges reach, most of all those of the subject, 0 to 1 for each pixel.

        A picture may be soft elsewhere on purpose.
        """
        return self._best(self.detail, subject)

    def best_coarser(self, subject: Map) -> tuple[float, ...]:
        """The same at the coarser scales.

        All scales are weighed by the finest: what is out of focus has slopes at coarse scales only, and lots of them.
        """
        return tuple(self._best(one, subject) for one in self.coarser)

    def _best(self, ratios: Map, subject: Map) -> float:
        return quantile(ratios, self.edges**2 * (subject + 0.05), SHARPEST)


def sharpness(canvas: Canvas) -> Sharpness:
    """The sharpness of a picture's edges, by place and by scale."""
    energies = [_energy(canvas, scale) for scale in SCALES]
    detail, *others = (_losses(one, _energy(canvas, 2 * scale)) for one, scale in zip(energies, SCALES, strict=True))
    return Sharpness(detail, np.sqrt(energies[0]), tuple(others))


def quantile(values: Map, weights: Map, share: float) -> float:
    """The value that `share` of the weight lies below; the maps are smooth, so every third pixel will do."""
    values, weights = values[1::3, 1::3], weights[1::3, 1::3]
    order = np.argsort(values, axis=None)
    reached = np.cumsum(weights.ravel()[order], dtype=np.float64)
    return float(np.interp(share * reached[-1], reached, values.ravel()[order]))


def _losses(before: Map, after: Map) -> Map:
    # Where there is no edge, what is left is noise: the constant makes it count as soft.
    floor = np.float32(0.02 * float(after.mean()) + 1e-4)
    return np.asarray(np.sqrt(before / (after + floor)), dtype=np.float32)


def _energy(canvas: Canvas, scale: float) -> Map:
    right, below = canvas.gradients(canvas.blurred(canvas.relief, scale))
    return canvas.blurred(right * right + below * below, _NEIGHBOURHOOD)
