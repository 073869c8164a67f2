"""Which hues there are, and whether they go together.

Hues are those of CIE a*b*, each weighed by its chroma, exposure set aside. Harmony is the distance to the nearest of
seven templates on the hue circle (Matsuda's, as in Cohen-Or et al., 2006, "Color harmonization", figure 2 and equation
1); a wide template is charged for its width, since the widest fit almost any picture. Quiet is the mean resultant
length of the hues of each neighbourhood (Mardia & Jupp, 2000, section 2.3): colours that change from spot to spot
without an order have none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from seemory.advisors.canvas import Canvas, mean

_BINS: Final = 72
_CHARGE: Final = 0.05
# Sectors as (centre, width) in degrees.
TEMPLATES: Final[dict[str, tuple[tuple[float, float], ...]]] = {
    "i": ((0, 18.0),),
    "V": ((0, 93.6),),
    "L": ((0, 18.0), (90, 79.2)),
    "I": ((0, 18.0), (180, 18.0)),
    "T": ((0, 180.0),),
    "Y": ((0, 93.6), (180, 18.0)),
    "X": ((0, 93.6), (180, 93.6)),
}


@dataclass(frozen=True, slots=True)
class Colours:
    """A picture's hues."""

    chroma: float
    """Mean distance from grey, exposure set aside: below 4 a picture looks monochrome."""
    template: str
    """The template that fits best."""
    turn: float
    """Where on the hue circle the template begins to be read, in degrees."""
    distance: float
    """How far, in degrees, the hues lie outside of its sectors on average, and 1 more for each 20 of their width."""
    quiet: float
    """How alike hues are within neighbourhoods, 0 to 1."""
    variety: float
    """Circular spread of all hues: 0 for one hue, 1 for all alike."""
    histogram: NDArray[np.float64]
    """`(72,)` weight by hue, in steps of five degrees; sum 1."""


def colours(canvas: Canvas) -> Colours:
    """The hues of a picture and the template they fit."""
    lab = canvas.blurred(canvas.lab, 2.0)  # colours of things, so that a softer picture has the same
    a, b = lab[:, :, 1], lab[:, :, 2]
    chroma = np.asarray(np.hypot(a, b) * (66 / (lab[:, :, 0] + 16)), dtype=np.float32)
    # The hue of grey is noise; beyond that a faint colour has nearly the say of a strong one, since hues are judged.
    weight = np.asarray(_smooth(chroma, 2.0, 7.0) * chroma / (chroma + 12), dtype=np.float32)
    degrees = np.degrees(np.arctan2(b, a)) % 360
    histogram = _histogram(degrees[::2, ::2], weight[::2, ::2])
    total = float(histogram.sum())
    histogram = histogram / total if total > 0 else np.full(_BINS, 1 / _BINS)
    names, turns, costs = _costs()
    at = int(np.argmin(energies := costs @ histogram))
    unit_a, unit_b = (canvas.blurred(np.asarray(weight * f(np.radians(degrees)), np.float32), 8.0)
                      for f in (np.cos, np.sin))  # fmt: skip
    nearby = canvas.blurred(weight, 8.0)
    angles = np.radians((np.arange(_BINS) + 0.5) * 360 / _BINS)
    return Colours(
        chroma=float(chroma.mean()),
        template=names[at],
        turn=turns[at],
        distance=float(energies[at]),
        quiet=mean(np.hypot(unit_a, unit_b) / (nearby + 1e-6), nearby),
        variety=float(1 - abs((histogram * np.exp(1j * angles)).sum())),
        histogram=histogram,
    )


def _histogram(degrees: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float64]:
    """Each pixel is shared between the two nearest bins, so that a small turn changes little."""
    place = degrees.ravel().astype(np.float64) * (_BINS / 360) - 0.5
    lower = np.floor(place)
    upper_part = place - lower
    bins = lower.astype(np.int64) % _BINS
    flat = weight.ravel().astype(np.float64)
    first = np.bincount(bins, flat * (1 - upper_part), _BINS)
    return np.asarray(first + np.bincount((bins + 1) % _BINS, flat * upper_part, _BINS))


@cache
def _costs() -> tuple[tuple[str, ...], tuple[float, ...], NDArray[np.float64]]:
    """Each turned template's name and turn, and the distance in degrees from every hue bin to its nearest sector.

    `(templates * turns, bins)`.
    """
    hues = (np.arange(_BINS) + 0.5) * 360 / _BINS
    names, turns, rows = [], [], []
    for name, sectors in TEMPLATES.items():
        for turn in np.arange(_BINS) * 360 / _BINS:
            away = [abs((hues - turn - centre + 180) % 360 - 180) - width / 2 for centre, width in sectors]
            names.append(name)
            turns.append(float(turn))
            rows.append(np.minimum.reduce(away).clip(0) + _CHARGE * sum(width for _, width in sectors))
    return tuple(names), tuple(turns), np.array(rows)


def _smooth(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    at = ((values - low) / (high - low)).clip(0, 1)
    return np.asarray(at * at * (3 - 2 * at), dtype=np.float32)
