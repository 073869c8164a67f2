"""What the subject of a photograph is, for the controlled changes that need one: what GrabCut cuts out.

Rother, Kolmogorov & Blake, 2004, "GrabCut: interactive foreground extraction using iterated graph cuts". It shares
nothing with how the dimensions find a subject, which are to be proved.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

_SIDE = 192
_MARGIN = 0.12
"""GrabCut is told that this much along each edge is no subject."""


def subject(photograph: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`(H, W)` what is cut out of the unchanged photograph, 0 to 1, with soft borders."""
    height, width = photograph.shape[:2]
    found = cv2.resize(_cut_out(photograph.tobytes(), photograph.shape), (width, height))
    return np.asarray(cv2.GaussianBlur(found, (0, 0), max(height, width) / _SIDE), dtype=np.float32)


@dataclass(frozen=True)
class Thing:
    """A subject in one piece, as shares of the picture's width and height."""

    left: float
    right: float
    upper: float
    lower: float
    window: float
    """The width of the widest window, up to 0.8, that has it in the middle and can slide until it is at the edge."""
    to_the_right: bool
    """Whether that window slides to the right."""


def one_thing(photograph: NDArray[np.uint8]) -> Thing | None:
    """The subject, if it is one thing with room around it to slide a window over; None otherwise.

    One piece has 85 % of what was cut out and a hundredth to a quarter of the picture; it ends before the margin, where
    GrabCut would have cut it off; its window has at least 0.45 of the width, and it fills at most half of that.
    """
    cut = _cut_out(photograph.tobytes(), photograph.shape).astype(np.uint8)
    height, width = cut.shape
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(cut, connectivity=8)
    if count < 2:
        return None
    piece = 1 + int(np.argmax(boxes[1:, cv2.CC_STAT_AREA]))
    one = labels == piece
    if one.sum() < 0.85 * cut.sum() or not 0.01 <= one.mean() <= 0.25:
        return None
    first_column, first_row = round(_MARGIN * width), round(_MARGIN * height)
    last_column, last_row = width - first_column, height - first_row
    beside = one[:, first_column : first_column + 2].any(axis=1) | one[:, last_column - 2 : last_column].any(axis=1)
    above = one[first_row : first_row + 2].any(axis=0) | one[last_row - 2 : last_row].any(axis=0)
    if beside.mean() >= 0.05 or above.mean() >= 0.15:
        return None
    x, y, wide, tall = (int(n) for n in boxes[piece, :4])
    left, right = x / width, (x + wide) / width
    middle = (left + right) / 2
    rightwards, leftwards = min(2 * middle, 1 - left, 0.8), min(2 * (1 - middle), right, 0.8)
    window = max(rightwards, leftwards)
    if window < 0.45 or right - left > window / 2:
        return None
    return Thing(left, right, y / height, (y + tall) / height, window, rightwards >= leftwards)


@lru_cache(maxsize=4)
def _cut_out(pixels: bytes, shape: tuple[int, ...]) -> NDArray[np.float32]:
    photograph = np.frombuffer(pixels, np.uint8).reshape(shape)
    scale = _SIDE / max(shape)
    small = cv2.resize(photograph, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    height, width = small.shape[:2]
    inner = 1 - 2 * _MARGIN
    middle = (round(_MARGIN * width), round(_MARGIN * height), round(inner * width), round(inner * height))
    labels = np.zeros((height, width), np.uint8)
    cv2.setRNGSeed(1)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(np.ascontiguousarray(small[:, :, ::-1]), labels, middle, *models, 5, cv2.GC_INIT_WITH_RECT)
    return ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.float32)
