"""Pictures of the evidence: where a photograph is sharp, what stands out, its lines and thirds, its hues.

All are drawn from the very maps that the scores rest on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from seemory.advisors.canvas import Canvas, Map
from seemory.advisors.dimensions import require_packages
from seemory.types import Pixels

if TYPE_CHECKING:
    from PIL import Image

    from seemory.advisors.figures import Seen

_LINE: Final = (255, 214, 10)
_FOUND: Final = (0, 200, 255)
_MONOCHROME: Final = 2.0


def overlays(photograph: Pixels) -> Mapping[str, Image.Image]:
    """RGB pictures of the evidence, by name: `sharpness`, `saliency`, `thirds` and `hues`.

    The first three lie over the photograph, `(H, W, 3)` uint8 RGB, with a longer side of 768 pixels; the fourth is a
    square of 384.

    Raises:
        UsageError: as `dimensions.measure`.
    """
    require_packages()
    from seemory.advisors.figures import look

    seen = look(Canvas(photograph))
    drawings: dict[str, Callable[[Seen], NDArray[np.uint8]]] = {
        "sharpness": lambda seen: _heat(seen, seen.sharp.edges * (seen.sharp.detail - 1).clip(0)),
        "saliency": lambda seen: _heat(seen, seen.attention.saliency),
        "thirds": _thirds,
        "hues": _hues,
    }
    from PIL import Image

    return {name: Image.fromarray(draw(seen)) for name, draw in drawings.items()}


def _enlarged(seen: Seen) -> NDArray[np.uint8]:
    import cv2

    return np.asarray(cv2.resize(seen.canvas.rgb, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _heat(seen: Seen, values: Map) -> NDArray[np.uint8]:
    """The grey photograph under a map, dark violet where it is least and yellow where it is most."""
    import cv2

    top = max(float(np.quantile(values, 0.99)), 1e-9)
    scaled = np.rint((values / top).clip(0, 1) * 255).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(scaled, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    large = cv2.resize(colours, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    grey = cv2.cvtColor(cv2.cvtColor(_enlarged(seen), cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(large, 0.65, grey, 0.35, 0), dtype=np.uint8)


def _thirds(seen: Seen) -> NDArray[np.uint8]:
    """The lines of thirds, the strongest straight edges, the middle of the subject (ring) and of the weight (cross)."""
    import cv2

    drawn = _enlarged(seen)
    height, width = drawn.shape[:2]
    for part in (1, 2):
        cv2.line(drawn, (width * part // 3, 0), (width * part // 3, height), _LINE, 1, cv2.LINE_AA)
        cv2.line(drawn, (0, height * part // 3), (width, height * part // 3), _LINE, 1, cv2.LINE_AA)
    for start_x, start_y, end_x, end_y in straight_lines(seen.canvas):
        cv2.line(drawn, (int(2 * start_x), int(2 * start_y)), (int(2 * end_x), int(2 * end_y)), _FOUND, 2, cv2.LINE_AA)
    subject = seen.attention.subject
    share = float(subject.sum()) + 1e-9
    middle = tuple(
        int((float((places * subject).sum()) / share + 1) / 2 * side)
        for places, side in ((seen.canvas.across, width), (seen.canvas.down, height))
    )
    cv2.circle(drawn, middle, 16, _LINE, 2, cv2.LINE_AA)
    weight = (int((seen.balance.across + 1) / 2 * width), int((seen.balance.down + 1) / 2 * height))
    cv2.drawMarker(drawn, weight, _LINE, cv2.MARKER_CROSS, 20, 2, cv2.LINE_AA)
    return drawn


def straight_lines(canvas: Canvas, most: int = 12) -> NDArray[np.float32]:
    """`(n, 4)` start and end, in canvas pixels, of the longest straight edges, by OpenCV's line segment detector.

    Von Gioi et al., 2012, "LSD: a line segment detector". They are for the eye: the scores weigh all directions.
    """
    import cv2

    found = cv2.createLineSegmentDetector().detect(np.rint(canvas.lightness * 2.55).astype(np.uint8))[0]
    if found is None:
        return np.zeros((0, 4), np.float32)
    lines = np.asarray(found, dtype=np.float32).reshape(-1, 4)
    lengths = np.hypot(lines[:, 2] - lines[:, 0], lines[:, 3] - lines[:, 1])
    order = np.argsort(lengths)[::-1][:most]
    return np.asarray(lines[order][lengths[order] > 0.08 * max(canvas.height, canvas.width)], dtype=np.float32)


def _hues(seen: Seen) -> NDArray[np.uint8]:
    """The hue circle, as long a ray for each hue as there is of it, and the sectors of the nearest template.

    A monochrome picture has neither.
    """
    import cv2

    from seemory.advisors.colour import TEMPLATES

    side = 384
    step = (np.arange(side) - side / 2 + 0.5).astype(np.float32)
    x, y = np.meshgrid(step, -step)  # hue grows against the clock, as in the a*b* plane
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    lab = np.stack([np.full_like(x, 70), 45 * np.cos(angle), 45 * np.sin(angle)], axis=2).astype(np.float32)
    colours = np.rint(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB).clip(0, 1) * 255)
    histogram = seen.colours.histogram
    bins = np.floor(np.degrees(angle) % 360 / 360 * len(histogram)).astype(int) % len(histogram)
    monochrome = seen.colours.chroma < _MONOCHROME
    reach = 20 + 125 * (0 if monochrome else np.sqrt(histogram / max(float(histogram.max()), 1e-9))[bins])
    shown = np.where(((radius < reach) | ((radius > 160) & (radius < 180)))[:, :, None], colours, 250)
    for centre, width in () if monochrome else TEMPLATES[seen.colours.template]:
        away = np.abs((np.degrees(angle) - seen.colours.turn - centre + 180) % 360 - 180)
        shown[(away < width / 2) & (radius > 182) & (radius < 190)] = 40
    return shown.astype(np.uint8)
