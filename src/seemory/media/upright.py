"""One decoded frame → what detectors look at (small, as coded) and what encoders look at (upright, square pixels)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter

from seemory.types import Pixels

# FFmpeg's quick conversion gives grey a tint of 1 to 3 of 255. Near black that is a colour that jumps from frame to
# frame, and detectors, which look at hues, saw cuts in every fade.
_EXACT: Final = 0x40000 | 0x2000 | 0x4000  # SWS_ACCURATE_RND, SWS_FULL_CHR_H_INT, SWS_FULL_CHR_H_INP
_BILINEAR: Final = 0x2 | _EXACT
_AREA: Final = 0x20 | _EXACT

DETECTED: Final = 256
"""Longest side of what detectors look at, in pixels: PySceneDetect's own default."""


class Views:
    """Turns frames of one film into pixels; scaling contexts are kept from frame to frame."""

    def __init__(self, pixel_aspect: float, side: int) -> None:
        """`side` is the short side, in pixels, that `upright` scales larger frames down to."""
        from av.video.reformatter import VideoReformatter

        self._aspect = pixel_aspect
        self._side = side
        self._small: VideoReformatter = VideoReformatter()
        self._large: VideoReformatter = VideoReformatter()

    def small(self, frame: VideoFrame) -> Pixels:
        """`(h, w, 3)` uint8 **BGR**, as coded, the longest side at most 256 pixels: OpenCV's order of colours."""
        scale = min(1.0, DETECTED / max(frame.width, frame.height))
        return _scaled(self._small, frame, frame.width * scale, frame.height * scale, "bgr24", _BILINEAR)

    def upright(self, frame: VideoFrame) -> Pixels:
        """`(h, w, 3)` uint8 RGB as a person sees it: turned as the film says, its pixels square, never enlarged."""
        width, height = frame.width * max(self._aspect, 1.0), frame.height / min(self._aspect, 1.0)
        scale = min(1.0, self._side / min(width, height))
        pixels = _scaled(self._large, frame, width * scale, height * scale, "rgb24", _AREA)
        return turned(pixels, display_matrix(frame))


def _scaled(scaler: VideoReformatter, frame: VideoFrame, width: float, height: float, colours: str, how: int) -> Pixels:
    size = {"width": max(2, round(width)), "height": max(2, round(height))}
    return np.asarray(scaler.reformat(frame, **size, format=colours, interpolation=how).to_ndarray(), dtype=np.uint8)


def display_matrix(frame: VideoFrame) -> NDArray[np.int32] | None:
    """`(2, 2)`: how a pixel (x, y) is moved for display, as (x, y) @ matrix; None where the film says nothing."""
    from av.sidedata.sidedata import Type

    found = next((one for one in frame.side_data if getattr(one, "type", None) is Type.DISPLAYMATRIX), None)
    said = b"" if found is None else bytes(found)  # type: ignore[arg-type, unused-ignore]
    return np.frombuffer(said[:36], "=i4").reshape(3, 3)[:2, :2] if len(said) >= 36 else None


def turned(pixels: Pixels, matrix: NDArray[np.int32] | None) -> Pixels:
    """The pixels turned by quarters and mirrored as the matrix says; angles between go to the nearest quarter."""
    if matrix is None or not matrix.any():
        return pixels
    (a, b), (c, d) = matrix.tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        flip_x, flip_y = a < 0, d < 0
    else:
        pixels = pixels.transpose(1, 0, 2)
        flip_x, flip_y = c < 0, b < 0
    return np.ascontiguousarray(pixels[:: -1 if flip_y else 1, :: -1 if flip_x else 1])


def is_on_its_side(matrix: NDArray[np.int32] | None) -> bool:
    """Whether width and height change places."""
    if matrix is None:
        return False
    (a, b), (c, d) = matrix.tolist()
    return bool(abs(a) + abs(d) < abs(b) + abs(c))
