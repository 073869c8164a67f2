"""Which frames stand for a scene: bright and sharp ones, spread over it, chosen while the film is decoded once.

A frame is refused under a mean brightness of 15 or a variance of the Laplacian of 50; its score is
0.4 · (1 − |brightness − 127.5| / 127.5) + 0.6 · min(sharpness / 1000, 1). Both are measured on the upright frame scaled
to a short side of 480 pixels at most, so that they mean the same for a film in HD and in 4K.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from statistics import median
from typing import Final

from seemory.types import Pixels

DARKEST: Final = 15.0
LEAST_SHARP: Final = 50.0
MEASURED: Final = 480
"""Short side, in pixels, of what is measured."""

SAMPLED_S: Final = 0.25
"""Seconds between two frames that are looked at; fewer than that in a film of long scenes without cuts."""

_HELD: Final = 12  # older candidates of a scene, at most
_RECENT_S: Final = 2.0  # candidates younger than that are all held: a cut may be told of a second late
_EDGE_S: Final = 0.5  # away from a cut, where there is room: dissolves and compression are worst there
_DIM: Final = 0.6  # of the scene's median brightness: darker frames are taken for parts of a fade


@dataclass(frozen=True, slots=True)
class Quality:
    """How good a frame is to look at."""

    brightness: float
    """Mean of its grey, 0 to 255."""
    sharpness: float
    """Variance of the Laplacian of its grey."""

    @property
    def score(self) -> float:
        """0 to 1."""
        light = 1 - abs(self.brightness - 127.5) / 127.5
        return 0.4 * light + 0.6 * min(self.sharpness / 1000, 1.0)

    @property
    def refusal(self) -> str | None:
        """Why the frame is refused; None for a good one."""
        if self.brightness < DARKEST:
            return f"too dark (brightness {self.brightness:.1f}, at least {DARKEST:g} is asked for)"
        if self.sharpness < LEAST_SHARP:
            return f"blank or blurred (sharpness {self.sharpness:.1f}, at least {LEAST_SHARP:g} is asked for)"
        return None


def measure(pixels: Pixels) -> Quality:
    """The quality of an upright frame, `(h, w, 3)` uint8 RGB."""
    import cv2

    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    if min(grey.shape) > MEASURED:
        scale = MEASURED / min(grey.shape)
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return Quality(float(grey.mean()), float(cv2.Laplacian(grey, cv2.CV_64F).var()))


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A frame that may stand for its scene, with its pixels: `(h, w, 3)` uint8 RGB, upright, scaled down."""

    index: int
    time_s: float
    quality: Quality
    pixels: Pixels
    note: str | None = None
    """Why it was taken though it was refused."""

    def digest(self) -> bytes:
        """SHA-256 over its pixels and their shape: the same frame has the same."""
        return sha256(repr(self.pixels.shape).encode() + self.pixels.tobytes()).digest()


@dataclass(frozen=True, slots=True)
class Stretch:
    """One scene: the frames [first, end) and when it begins and ends."""

    first: int
    end: int
    start_s: float
    end_s: float

    @property
    def wanted(self) -> int:
        """How many frames stand for it at most: min(3, max(1, seconds / 2))."""
        return min(3, max(1, int((self.end_s - self.start_s) / 2)))


class Picker:
    """Holds the candidates of the scene that is under way, a bounded number of them, and hands out the best."""

    def __init__(self) -> None:
        self._held: list[Candidate] = []

    def offer(self, candidate: Candidate) -> None:
        """The next candidate; older ones are thinned out, the better of two neighbours stays."""
        self._held.append(candidate)
        old = [one for one in self._held if candidate.time_s - one.time_s > _RECENT_S]
        if len(old) > _HELD:
            pairs = [old[at : at + 2] for at in range(0, len(old), 2)]
            self._held = [max(pair, key=_worth) for pair in pairs] + self._held[len(old) :]

    def has(self, first: int) -> bool:
        """Whether there is a candidate at or after the frame of that index."""
        return any(one.index >= first for one in self._held)

    def close(self, stretch: Stretch) -> list[Candidate]:
        """The frames that stand for a scene, in order; its candidates are let go, later ones stay."""
        inside = [one for one in self._held if stretch.first <= one.index < stretch.end]
        self._held = [one for one in self._held if one.index >= stretch.end]
        return choose(inside, stretch)


def choose(candidates: Sequence[Candidate], stretch: Stretch) -> list[Candidate]:
    """Up to `stretch.wanted` of the candidates, one from each equal part of the scene, in order.

    Never the scene's last frame unless it has no other. Refused frames, and those of a fade, only where there are no
    better ones; a scene of refused frames only has its best, with the reason noted.
    """
    inner = [one for one in candidates if one.index < stretch.end - 1] or list(candidates)
    if not inner:
        return []
    length = max(stretch.end_s - stretch.start_s, 1e-6)
    edge = min(_EDGE_S, length / 8)
    usable = [one for one in inner if one.quality.refusal is None]
    if not usable:
        away = [one for one in inner if stretch.start_s + edge <= one.time_s <= stretch.end_s - edge] or inner
        best = max(away, key=lambda one: one.quality.score)
        return [replace(best, note=f"the best of a scene whose frames are all refused: {best.quality.refusal}")]
    bright = median(one.quality.brightness for one in usable)
    lit = [one for one in usable if one.quality.brightness >= _DIM * bright]
    away = [one for one in lit if stretch.start_s + edge <= one.time_s <= stretch.end_s - edge] or lit
    parts: dict[int, list[tuple[float, Candidate]]] = {}
    for one in away:
        place = (one.time_s - stretch.start_s) / length * stretch.wanted  # whole: the part; the rest: where in it
        part = min(int(place), stretch.wanted - 1)
        parts.setdefault(part, []).append((abs(place - part - 0.5), one))
    return [_middling(parts[part]) for part in sorted(parts)]


def _middling(part: Sequence[tuple[float, Candidate]]) -> Candidate:
    """The best candidate of a part, out of its middle half where that has any: neighbours' frames lie apart then."""
    middle = [one for off, one in part if off <= 0.25] or [one for _, one in part]
    return max(middle, key=lambda one: one.quality.score)


def _worth(candidate: Candidate) -> tuple[bool, float]:
    return candidate.quality.refusal is None, candidate.quality.score
