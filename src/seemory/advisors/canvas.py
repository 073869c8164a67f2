"""The size that everything is measured at, and the colours it is measured in.

A photograph is looked at as a whole, so all figures are taken from a copy whose longer side has 384 pixels. Two copies
of one photograph, of 12 and of 1 megapixel, become nearly the same there.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seemory.errors import UsageError
from seemory.types import Pixels

LONGER_SIDE: Final = 384

_BROAD: Final = 8.0

Map = NDArray[np.float32]
"""`(h, w)` float32, a figure for each pixel of a canvas."""


class Canvas:
    """A photograph at the size that it is measured at, with what several dimensions look at."""

    def __init__(self, photograph: Pixels) -> None:
        """Takes `(H, W, 3)` uint8 RGB of any size.

        Raises:
            UsageError: it has another shape or type, no pixels, or is a strip too narrow to judge.
        """
        if photograph.ndim != 3 or photograph.shape[2] != 3 or photograph.dtype != np.uint8:
            raise UsageError(
                f"a photograph is (height, width, 3) uint8, not {photograph.shape} "
                f"{photograph.dtype}; make it RGB first"
            )
        height, width = photograph.shape[:2]
        if min(height, width) < 16 or max(height, width) > 12 * min(height, width):
            raise UsageError(
                f"a picture of {width} x {height} pixels is too small or too narrow to judge; "
                "it takes 16 pixels, and one side at most twelve times the other"
            )
        scale = LONGER_SIDE / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = Image.fromarray(photograph).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        self.enlarged = max(1.0, scale)
        """How many times larger than the photograph it is; 1 where it is smaller."""
        self.rgb: Pixels = np.asarray(image)
        self.height, self.width = self.rgb.shape[:2]

    @cached_property
    def lab(self) -> NDArray[np.float32]:
        """`(h, w, 3)` CIE L*a*b*, L* from 0 to 100."""
        import cv2

        return np.asarray(cv2.cvtColor(self.rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), dtype=np.float32)

    @cached_property
    def lightness(self) -> Map:
        """L*, 0 to 100."""
        return np.ascontiguousarray(self.lab[:, :, 0])

    @cached_property
    def chroma(self) -> Map:
        """Distance from grey in the a*b* plane, as it would be at L* 50.

        Light that grows by a factor makes a*, b* and L* + 16 grow by its cube root, so that another exposure of the
        same thing has the same figure here.
        """
        return np.asarray(np.hypot(self.lab[:, :, 1], self.lab[:, :, 2]) * (66 / (self.lightness + 16)), np.float32)

    @cached_property
    def even(self) -> NDArray[np.float32]:
        """`(h, w, 3)` L*a*b* off its mean, in twentieths of the picture's own contrast.

        What is measured here of form and place is the same in a faint print as in a hard one, and in another exposure.
        """
        contrast = float(np.hypot(self.lightness.std(), self.chroma.mean() / 4)) + 1.0
        return np.asarray((self.lab - self.lab.mean(axis=(0, 1))) * (20 / contrast), dtype=np.float32)

    @cached_property
    def relief(self) -> Map:
        """L* of `even`."""
        return np.ascontiguousarray(self.even[:, :, 0])

    @cached_property
    def across(self) -> Map:
        """Each pixel's place from the left edge, -1, to the right, 1."""
        return np.broadcast_to(_places(self.width), (self.height, self.width))

    @cached_property
    def down(self) -> Map:
        """Each pixel's place from the upper edge, -1, to the lower, 1."""
        return np.broadcast_to(_places(self.height)[:, None], (self.height, self.width))

    def blurred(self, values: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
        """The values behind a Gaussian of `sigma` canvas pixels."""
        import cv2

        if sigma < _BROAD:
            return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), dtype=np.float32)
        # Nothing fine is left behind a broad blur: a quarter of the pixels a side holds it, in a tenth of the time.
        height, width = values.shape[:2]
        small = cv2.resize(values, (-(-width // 4), -(-height // 4)), interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), sigma / 4)
        return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)

    def gradients(self, values: Map) -> tuple[Map, Map]:
        """The slopes across and down, per pixel (Scharr's filter)."""
        import cv2

        right = cv2.Scharr(values, cv2.CV_32F, 1, 0, scale=1 / 32)
        below = cv2.Scharr(values, cv2.CV_32F, 0, 1, scale=1 / 32)
        return np.asarray(right, dtype=np.float32), np.asarray(below, dtype=np.float32)


def mean(values: NDArray[np.float32], weights: Map) -> float:
    """The weighted mean of a map."""
    return float((values * weights).sum(dtype=np.float64) / max(float(weights.sum(dtype=np.float64)), 1e-9))


def _places(count: int) -> NDArray[np.float32]:
    return np.asarray((np.arange(count) + 0.5) / count * 2 - 1, dtype=np.float32)
