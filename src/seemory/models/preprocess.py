"""A picture as the square its image tower was trained on, pixel for pixel as the reference makes it.

The reference is transformers' `CLIPImageProcessor` and `SiglipImageProcessor` with Pillow: antialiased resize, the
longer side rounded down, the crop's corner rounded down. torchvision's CenterCrop rounds an odd margin to the even
neighbour and so may lie one pixel away; the published ONNX folders are used with the corner rounded down.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seemory.types import Pixels, Preprocess

_RESAMPLING = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
}
# Beyond this aspect ratio the whole resized strip is never built: 5000 x 3 would be 373,333 x 224 (250 MB).
_STRIP = 16


def apply(rule: Preprocess, image: Image.Image) -> Pixels:
    """The picture as `(size, size, 3)` uint8 RGB. `image` is upright already; other modes than RGB are converted."""
    if image.mode != "RGB":
        image = image.convert("RGB")
    size, resampling = rule.size, _RESAMPLING[rule.interpolation]
    if rule.resize_mode == "squash":
        return np.asarray(image if image.size == (size, size) else image.resize((size, size), resampling))
    width, height = image.size
    short = min(width, height)
    new_short, new_long = size, int(size * max(width, height) / short)
    new_width, new_height = (new_short, new_long) if width <= height else (new_long, new_short)
    left, top = (new_width - size) // 2, (new_height - size) // 2
    if max(new_width, new_height) > _STRIP * size:
        # Resizes only what the crop keeps. Pillow holds the box in single precision, so a pixel may differ by one of
        # 255 from the long way; that is why ordinary pictures take the long way.
        scale_x, scale_y = width / new_width, height / new_height
        box = (left * scale_x, top * scale_y, (left + size) * scale_x, (top + size) * scale_y)
        return np.asarray(image.resize((size, size), resampling, box=box))
    if short != size or (new_width, new_height) != image.size:
        image = image.resize((new_width, new_height), resampling)
    return np.asarray(image.crop((left, top, left + size, top + size)))


def normalise(pixels: Pixels, rule: Preprocess) -> NDArray[np.float32]:
    """`(n, s, s, 3)` uint8 as `(n, 3, s, s)` float32: (pixel / 255 - mean) / std, in one pass a channel."""
    std = np.asarray(rule.std, dtype=np.float64)
    scale = (1.0 / (255.0 * std)).astype(np.float32)
    shift = (-np.asarray(rule.mean, dtype=np.float64) / std).astype(np.float32)
    planes = np.empty((pixels.shape[0], 3, pixels.shape[1], pixels.shape[2]), dtype=np.float32)
    for channel in range(3):
        plane = planes[:, channel]
        np.multiply(pixels[..., channel], scale[channel], out=plane)
        plane += shift[channel]
    return planes
