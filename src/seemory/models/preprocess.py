"""A picture as the square its image tower was trained on, pixel for pixel as the reference makes it.

The reference is transformers' `CLIPImageProcessor` and `SiglipImageProcessor` with Pillow: antialiased resize, the
longer side rounded down, the crop's corner rounded down. torchvision's CenterCrop rounds an odd margin to the even
neighbour and so may lie one pixel away; the published ONNX folders are used with the corner rounded down.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seemory.types import Pixels, Preprocess

if TYPE_CHECKING:
    from PIL import Image

# Beyond this aspect ratio the whole resized strip is never built: 5000 x 3 would be 373,333 x 224 (250 MB).
_STRIP = 16


def apply(rule: Preprocess, image: Image.Image) -> Pixels:
    """The picture as `(size, size, 3)` uint8 RGB. `image` is upright already; other modes than RGB are converted."""
    from PIL.Image import Resampling  # a search in words needs no Pillow

    if image.mode != "RGB":
        image = image.convert("RGB")
    size, resampling = rule.size, Resampling[rule.interpolation.upper()]
    if rule.resize_mode == "squash":
        return np.asarray(image if image.size == (size, size) else image.resize((size, size), resampling))
    width, height = image.size
    short = min(width, height)
    new_short, new_long = size, int(size * max(width, height) / short)
    new_width, new_height = (new_short, new_long) if width <= height else (new_long, new_short)
    left, top = (new_width - size) // 2, (new_height - size) // 2
    if max(new_width, new_height) > _STRIP * size:
        return _middle(image, (new_width, new_height), size, resampling)
    if short != size or (new_width, new_height) != image.size:
        image = image.resize((new_width, new_height), resampling)
    return np.asarray(image.crop((left, top, left + size, top + size)))


def _middle(image: Image.Image, scaled: tuple[int, int], size: int, resampling: Image.Resampling) -> Pixels:
    """The crop of the resized picture, without the rest of it; a value in a thousand may differ by one of 255.

    Only the source pixels that reach the crop are kept first: Pillow holds `box` in single precision, which far from
    the origin moved pixels by 13 of 255.
    """
    keep: list[tuple[int, int, float, float]] = []
    for side, new in zip(image.size, scaled, strict=True):
        scale = side / new
        first = ((new - size) // 2) * scale
        last = first + size * scale
        # Lanczos, the widest filter, reaches three pixels of the coarser of the two grids.
        margin = math.ceil(3 * max(1.0, scale)) + 1
        start, stop = max(0, math.floor(first) - margin), min(side, math.ceil(last) + margin)
        keep.append((start, stop, first - start, last - start))
    (left, right, x0, x1), (top, bottom, y0, y1) = keep
    strip = image.crop((left, top, right, bottom))
    return np.asarray(strip.resize((size, size), resampling, box=(x0, y0, x1, y1)))


def normalise(pixels: Pixels, rule: Preprocess) -> NDArray[np.float32]:
    """`(n, s, s, 3)` uint8 as `(n, 3, s, s)` float32: (pixel / 255 - mean) / std."""
    std = np.asarray(rule.std, dtype=np.float64)
    scale = (1.0 / (255.0 * std)).astype(np.float32)
    shift = (-np.asarray(rule.mean, dtype=np.float64) / std).astype(np.float32)
    # Turned round as bytes, a quarter of the size: five times as fast as filling the planes from the strided pixels.
    planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).astype(np.float32)
    planes *= scale[:, None, None]
    planes += shift[:, None, None]
    return planes
