"""Where one scene of a film ends and the next begins: PySceneDetect's detectors, fed frame by frame.

Fed, and not let loose on the file, so that one decoding pass serves all detectors and the choosing of frames. They
get true times, so that the shortest scene is one in seconds in films without an even rate too.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Literal, get_args

from seemory.types import Pixels

if TYPE_CHECKING:
    from scenedetect.common import FrameTimecode
    from scenedetect.detector import SceneDetector

Detector = Literal["adaptive", "content", "threshold", "best"]
DETECTORS: Final = get_args(Detector)

_MICRO: Final = Fraction(1, 1_000_000)


def _adaptive(shortest_s: float) -> SceneDetector:
    from scenedetect.detectors import AdaptiveDetector

    return AdaptiveDetector(adaptive_threshold=3.0, min_scene_len=shortest_s, window_width=2, min_content_val=15.0)


def _content(shortest_s: float) -> SceneDetector:
    from scenedetect.detectors import ContentDetector

    return ContentDetector(threshold=27.0, min_scene_len=shortest_s)


def _threshold(shortest_s: float) -> SceneDetector:
    from scenedetect.detectors import ThresholdDetector

    return ThresholdDetector(threshold=12, min_scene_len=shortest_s)


_MAKERS: Final[Mapping[str, Callable[[float], SceneDetector]]] = {
    "adaptive": _adaptive,
    "content": _content,
    "threshold": _threshold,
}


class CutFinder:
    """Sees a film's frames once, in order, and says where each detector cuts."""

    def __init__(self, detector: Detector, rate: float, *, shortest_s: float = 1.0) -> None:
        """`rate` is the film's announced frames a second; `shortest_s` the shortest scene, in seconds.

        A cut in the last second of a film still counts, as with PySceneDetect: its last scene may be shorter.
        """
        self._rate = Fraction(rate).limit_denominator(100_000)
        names = tuple(_MAKERS) if detector == "best" else (detector,)
        self._detectors = {name: _MAKERS[name](shortest_s) for name in names}
        self.cuts: dict[str, list[int]] = {name: [] for name in names}
        """So far: for each detector the indices of the frames that begin a scene, but for the first."""
        self._times = array("d")  # 8 bytes a frame: two hours are 1.7 MB
        self._last: FrameTimecode | None = None

    def see(self, time_s: float, frame: Pixels) -> list[tuple[str, int]]:
        """(detector, index of the frame that begins a scene) for each cut that is sure now; it may lie far behind.

        `frame` is `(h, w, 3)` uint8 BGR, the next one.
        """
        from scenedetect.common import FrameTimecode, Timecode

        self._times.append(time_s)
        self._last = FrameTimecode(Timecode(round(time_s * 1_000_000), _MICRO), fps=self._rate)
        return self._noted({name: one.process_frame(self._last, frame) for name, one in self._detectors.items()})

    def end(self) -> list[tuple[str, int]]:
        """The cuts that only the film's end makes sure."""
        last = self._last
        return [] if last is None else self._noted({n: one.post_process(last) for n, one in self._detectors.items()})

    def best(self) -> str:
        """The detector with most scenes, the first of equal ones."""
        return max(self.cuts, key=lambda name: len(self.cuts[name]))

    def time_of(self, index: int) -> float:
        """When the frame of that index is shown."""
        return self._times[index]

    def _noted(self, found: Mapping[str, list[FrameTimecode]]) -> list[tuple[str, int]]:
        sure = []
        for name, codes in found.items():
            for code in codes:
                index = self._nearest(float(code.seconds))
                if index > (self.cuts[name][-1] if self.cuts[name] else 0):
                    self.cuts[name].append(index)
                    sure.append((name, index))
        return sure

    def _nearest(self, time_s: float) -> int:
        """The frame shown nearest to a time: the middle of a fade may fall between two."""
        after = min(bisect_left(self._times, time_s), len(self._times) - 1)
        before = max(after - 1, 0)
        return before if time_s - self._times[before] < self._times[after] - time_s else after
