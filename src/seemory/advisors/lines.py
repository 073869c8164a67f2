"""Lines: whether they are level, where they lead, and where they meet; and how the subject lies to the thirds.

Lines are not counted but weighed: every edge has its direction and its straightness from the structure tensor (Bigün &
Granlund, 1987), so that a picture that is a little softer has a little less of them, not three lines fewer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from seemory.advisors.canvas import Canvas, Map, mean
from seemory.advisors.saliency import Attention

POWER_POINTS: Final = tuple((x, y) for y in (-1 / 3, 1 / 3) for x in (-1 / 3, 1 / 3))
"""Where the lines of thirds cross, in places from -1 to 1."""

_GRID: Final = 8
"""One direction is kept for this many pixels across and down."""


@dataclass(frozen=True, slots=True)
class Strokes:
    """The directions in a picture, one for each small square."""

    across: NDArray[np.float64]
    """`(n,)` canvas pixels."""
    down: NDArray[np.float64]
    angle: NDArray[np.float64]
    """`(n,)` direction of the line, 0 to pi; 0 is level, and angles grow clockwise, as `down` does."""
    weight: NDArray[np.float64]
    """`(n,)` how strong and how straight; sum 1 unless there is nothing."""
    straight: NDArray[np.float64]
    """`(n,)` how straight, 0 to 1."""


def strokes(canvas: Canvas) -> Strokes:
    """The directions of a picture's edges."""
    from skimage.feature import structure_tensor

    smooth = canvas.blurred(canvas.relief, 1.5)
    rr, rc, cc = (np.asarray(one, dtype=np.float64) for one in structure_tensor(smooth, sigma=3.0, order="rc"))
    step = slice(_GRID // 2, None, _GRID)
    rr, rc, cc = rr[step, step], rc[step, step], cc[step, step]
    apart = np.hypot(cc - rr, 2 * rc)  # difference of the tensor's eigenvalues
    straight = apart / (rr + cc + 1e-3)
    angle = (0.5 * np.arctan2(2 * rc, cc - rr) + np.pi / 2) % np.pi  # along the edge, at right angles to its slope
    weight = np.sqrt(apart) * straight**2
    down, across = np.mgrid[step.start : canvas.height : _GRID, step.start : canvas.width : _GRID]
    total = max(float(weight.sum()), 1e-9)
    places = across.ravel().astype(float), down.ravel().astype(float)
    return Strokes(*places, angle.ravel(), weight.ravel() / total, straight.ravel())


@dataclass(frozen=True, slots=True)
class Level:
    """How a picture's lines lie to its frame."""

    aligned: float
    """How near the lines lie to level or upright, 1 where all do, falling by a factor e for each ten degrees off."""
    tilt: float
    """The turn, in degrees from -45 to 45, at which most lines would be level or upright."""
    order: float
    """How far the lines agree on one such turn, 0 to 1."""


def level(lines: Strokes) -> Level:
    """How level the lines are."""
    together = complex((lines.weight * np.exp(4j * lines.angle)).sum())
    off = np.degrees(lines.angle) % 90
    nearness = np.exp(-np.minimum(off, 90 - off) / 10)  # falls from the first degree on; a cosine is flat there
    weight = lines.weight * lines.straight**4  # what a frame is held against are lines, and no texture
    aligned = float((weight * nearness).sum() / max(float(weight.sum()), 1e-9))
    return Level(aligned, float(np.degrees(np.angle(together)) / 4), abs(together))


@dataclass(frozen=True, slots=True)
class Meeting:
    """The point where most of a picture's slanting lines meet."""

    across: float
    """From the left edge, -1, to the right, 1."""
    down: float
    share: float
    """The share of all line weight that slants and points there, within five degrees."""
    to_subject: float
    """The same for the middle of the subject, in multiples of what an average place has: 1 is chance."""


def meeting(canvas: Canvas, lines: Strokes, seen: Attention) -> Meeting:
    """The vanishing point that has most of the picture's lines."""
    xs, ys = (a.ravel() for a in np.meshgrid(np.linspace(-1.2, 1.2, 19), np.linspace(-1.2, 1.2, 19)))
    turn = level(lines).tilt
    votes = pointing(canvas, lines, xs, ys, turn)
    best = int(np.argmax(votes))
    middle = (mean(canvas.across, seen.subject), mean(canvas.down, seen.subject))
    at_subject = float(pointing(canvas, lines, np.array(middle[:1]), np.array(middle[1:]), turn)[0])
    usual = float(votes.mean())
    return Meeting(float(xs[best]), float(ys[best]), float(votes[best]), (at_subject + 1e-4) / (usual + 1e-4))


def pointing(
    canvas: Canvas, lines: Strokes, xs: NDArray[np.float64], ys: NDArray[np.float64], turn: float
) -> NDArray[np.float64]:
    """`(n,)` share of the line weight that slants and points at each of n places, given from -1 to 1.

    Slanting is against a frame turned by `turn` degrees, so that an upright line in a tilted picture is upright still.
    """
    to_x = (((xs + 1) / 2 * canvas.width)[:, None] - lines.across).astype(np.float32)
    to_y = (((ys + 1) / 2 * canvas.height)[:, None] - lines.down).astype(np.float32)
    far = np.sqrt(to_x * to_x + to_y * to_y) + np.float32(1e-6)
    cosine, sine = np.cos(lines.angle).astype(np.float32), np.sin(lines.angle).astype(np.float32)
    off = (to_y * cosine - to_x * sine) / far  # sine of the angle between them
    near = far / canvas.width
    slanting = np.sin(2 * (lines.angle - np.radians(turn))) ** 2  # a level or upright line says nothing of depth
    says = np.exp(-((off / np.sin(np.radians(5))) ** 2)) * near / (near + 0.1)  # near the place all lines point at it
    return np.asarray(says @ (lines.weight * slanting).astype(np.float32), dtype=np.float64)


def thirds(canvas: Canvas, seen: Attention) -> float:
    """How near the subject lies to the nearest crossing of the thirds: 1 upon one, 0 a third of the picture away."""
    nearest = np.minimum.reduce([np.hypot(canvas.across - x, canvas.down - y) for x, y in POWER_POINTS])
    closeness = np.exp(-((nearest / 0.33) ** 2))
    return mean(np.asarray(closeness, dtype=np.float32), _strongest(seen.saliency))


def at_the_edge(canvas: Canvas, seen: Attention) -> float:
    """The share of attention in the outer twentieth of the picture, against its share of the picture."""
    outer = np.asarray(np.maximum(np.abs(canvas.across), np.abs(canvas.down)) > 0.9, dtype=np.float32)
    return mean(outer, seen.saliency) / max(float(outer.mean()), 1e-9)


def _strongest(saliency: Map) -> Map:
    return np.asarray(saliency**3, dtype=np.float32)
