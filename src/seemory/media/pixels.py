"""Any Pillow mode to upright 8-bit RGB, and how far a picture may be shrunk.

The yardstick is `PIL.Image.open(path).convert("RGB")`, which encoders were trained behind: an upright 8-bit RGB, grey,
palette or CMYK file gives exactly its pixels. Three things are done better: transparent pictures are laid on white
(the yardstick shows whatever colour hides under the transparency), more than 8 bits are scaled (it clips, which turns
a 16-bit scan white), and the orientation is applied. Colour profiles are left alone, as there.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_WHITE: Final = (255, 255, 255)


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """The picture as a person holds it, for an EXIF orientation of 1 to 8."""
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def rgb(image: Image.Image, bits: int | None = None) -> Image.Image:
    """The picture as 8-bit RGB, transparency laid on white.

    `bits` is the true depth of a sample, where the file says so and it is not its container's (12 in 16).
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return Image.fromarray(_eight_bits(np.asarray(image), bits)).convert("RGB")
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    seen = image if image.mode == "RGBA" else image.convert("LA").convert("RGBA") if image.mode == "La" else None
    seen = seen or image.convert("RGBA")
    paper = Image.new("RGB", seen.size, _WHITE)
    paper.paste(seen.convert("RGB"), mask=seen.getchannel("A"))
    return paper


def _eight_bits(samples: NDArray[np.generic], bits: int | None) -> NDArray[np.uint8]:
    """Grey samples of any depth as 8 bits: `(h, w)` uint8.

    Unsigned 16 bits (and 32-bit integers that stay within them) are divided by 257, so 65535 becomes 255. Integers
    within 0 to 255 are kept. Floats within 0 to 1 are stretched to 255. Anything else, such as heights or
    radiances, has no white of its own: its lowest value becomes black, its highest white. NaN is black.
    """
    if samples.dtype == np.uint16:
        white = (1 << bits) - 1 if bits and 8 < bits < 16 else 65535
        wide = samples.astype(np.uint32)
        return np.minimum((wide * 255 + white // 2) // white, 255).astype(np.uint8)
    values = np.nan_to_num(samples.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    whole = np.issubdtype(samples.dtype, np.integer)
    if low >= 0 and high <= 1 and not whole:
        values *= 255
    elif low >= 0 and 255 < high <= 65535 and whole:
        values /= 257
    elif low < 0 or high > 255:
        values = (values - low) * (255 / max(high - low, 1e-300))
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def shrunk(image: Image.Image, floor: int) -> Image.Image:
    """The picture divided by a whole number, the largest that leaves its short side at `floor` pixels or more.

    `reduce` is the quick way, but it rounds a side that does not divide up and so stretches the picture by part of a
    pixel, which shows (0.75 of 255 where the averaging itself costs 0.15). So the next smaller factor is taken when
    only that one divides, and an exact resize when neither does.
    """
    factor = min(image.size) // floor
    for whole in range(factor, max(factor - 2, 1), -1):
        if image.width % whole == 0 and image.height % whole == 0:
            return image.reduce(whole)
    if factor < 2:
        return image
    return image.resize((round(image.width / factor), round(image.height / factor)), Image.Resampling.BOX)
