"""A film's frames in one pass, with true times; and single frames again, by seeking.

Times are those of the frames themselves (pts), never a count divided by a rate: films of phones and screens have no
even rate. They count from the film's beginning, as players show them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from seemory.errors import MediaError, UnreadableMedia
from seemory.media.film_opening import FilmLimits, OpenFilm, decoder_error, opened_film
from seemory.media.upright import Views, display_matrix, is_on_its_side
from seemory.timecode import clock
from seemory.types import PictureFacts, Pixels

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_BAD_IN_A_ROW: Final = 2000  # packets: the rest of the file is given up
_SHORT: Final = 1.0  # seconds by which a film may end early before it is called cut short
_NEAR: Final = 0.001  # seconds by which times of the same frame may differ
_NEARBY: Final = 2.0  # seconds: what is no further on is decoded up to, and not sought

__all__ = ["Film", "FilmLimits", "Frame", "frames_at", "open_film"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame, as the decoder holds it: nothing is converted before somebody looks."""

    index: int
    """Its place among the frames that could be decoded, from 0."""
    time_s: float
    """When it is shown, from the film's beginning; always later than the frame before."""
    image: VideoFrame


@dataclass(slots=True)
class Damage:
    """What of a film could not be read."""

    packets: int = 0
    first_s: float | None = None
    last_s: float | None = None
    ending: str | None = None
    """Why the film ended before its time."""

    def note(self, time_s: float) -> None:
        """Count a frame that could not be decoded, near that time."""
        self.packets += 1
        self.first_s = time_s if self.first_s is None else self.first_s
        self.last_s = time_s

    def __str__(self) -> str:
        """What is wrong, in words; empty for a film that is whole."""
        said = []
        if self.packets and self.first_s is not None and self.last_s is not None:
            where = clock(self.first_s)
            where += "" if self.last_s - self.first_s < 1 else f" to {clock(self.last_s)}"
            plural = "" if self.packets == 1 else "s"
            said.append(f"{self.packets:,} piece{plural} near {where} could not be decoded")
        if self.ending:
            said.append(self.ending)
        return "; ".join(said)


@dataclass(slots=True)
class Film:
    """An open film."""

    facts: PictureFacts
    """Width and height as a person sees them, known exactly once the first frame was decoded."""
    announced_s: float | None
    """Its length in seconds, where it says so."""
    rate: float
    """Frames a second, as announced: for guesses."""
    damage: Damage = field(default_factory=Damage)
    """What could not be read, so far."""
    end_s: float = 0.0
    """When the last decoded frame ends."""
    _source: OpenFilm | None = None
    _origin: float | None = None

    def views(self, side: int) -> Views:
        """How its frames become pixels; `side` is the short side that larger ones are scaled down to."""
        return Views(self._open.pixel_aspect, side)

    def frames(self) -> Iterator[Frame]:
        """The frames that can be decoded, in the order in which they are shown, one decoding pass.

        Damage is noted and passed over. Raises UnreadableMedia where not one frame can be decoded.
        """
        source, last, step, index = self._open, None, 1 / self.rate, -1
        for image in self._decoded():
            time_s = self._time(image)
            if time_s is None or (last is not None and time_s <= last):
                time_s = 0.0 if last is None else last + step / 100  # no time, or one that runs backwards
            if time_s > source.limits.max_hours * 3600 or index + 1 >= source.limits.max_frames:
                self.damage.ending = f"only the first {clock(last or 0.0)} were read, as much as the limits allow"
                break
            index += 1
            if index == 0 and is_on_its_side(display_matrix(image)):
                self.facts = replace(self.facts, width=self.facts.height, height=self.facts.width)
            length = float((image.duration or 0) * (image.time_base or 0))
            self.end_s = time_s + (length if 0 < length < 60 else step)
            last = time_s
            yield Frame(index, time_s, image)
        if index < 0:
            raise UnreadableMedia(f"not one frame of it can be decoded ({self.damage}); copy it again from its source")
        short = (self.announced_s or 0.0) - self.end_s
        if self.damage.ending is None and short > max(_SHORT, 0.02 * (self.announced_s or 0.0)):
            self.damage.ending = (
                f"it ends at {clock(self.end_s)} and announces {clock(self.announced_s or 0.0)}: cut short"
            )

    def at(self, times: Sequence[float]) -> Iterator[Frame]:
        """The frames shown at these times, which rise; by seeking, so that what lies between is not all decoded.

        A frame that is not there any more gives the one before it, if that is near. `index` counts the frames handed
        out. Raises UnreadableMedia where there is none.
        """
        import av

        source = self._open
        base = float(source.stream.time_base or 1)
        decoded, reached = self._decoded(), 0.0
        first = next(decoded, None)  # of which the origin of all times is learned
        if first is not None:
            self._time(first)
        for index, wanted in enumerate(times):
            if not 0 < wanted - reached < _NEARBY:
                try:
                    target = int((wanted + (self._origin or 0.0) - _NEAR) / base)
                    source.container.seek(target, stream=source.stream, backward=True)
                except av.error.FFmpegError as error:
                    raise decoder_error(error) from error
                decoded = self._decoded()
            best: tuple[float, VideoFrame] | None = None
            for image in decoded:
                time_s = self._time(image)
                if time_s is None or time_s > wanted + _NEAR:
                    best = best or (wanted, image)
                    break
                best = (time_s, image)
                if time_s >= wanted - _NEAR:
                    break
            reached = wanted
            if best is None or best[0] < wanted - _SHORT:
                raise UnreadableMedia(f"there is no frame at {clock(wanted)} any more; index it again")
            yield Frame(index, best[0], best[1])

    @property
    def _open(self) -> OpenFilm:
        assert self._source is not None
        return self._source

    def _time(self, image: VideoFrame) -> float | None:
        if image.pts is None or image.time_base is None:
            return None
        raw = float(image.pts * image.time_base)
        if self._origin is None:
            start = self._open.container.start_time
            begin = raw if start is None else start / 1_000_000
            self._origin = begin if begin <= raw < begin + 60 else raw  # what begins a minute late begins at itself
        return raw - self._origin

    def _decoded(self) -> Iterator[VideoFrame]:
        import av

        bad = 0
        for packet in self._packets():
            try:
                decoded = packet.decode()
                bad = 0
            except (av.error.FFmpegError, ValueError, OverflowError) as error:
                if isinstance(error, av.error.EOFError):
                    return
                bad += 1
                self.damage.note(self.end_s)
                if bad > _BAD_IN_A_ROW:
                    self.damage.ending = f"nothing after {clock(self.end_s)} can be decoded"
                    return
                continue
            for image in decoded:
                if getattr(image, "is_corrupt", False):
                    self.damage.note(self.end_s)
                elif image.width * image.height <= self._open.limits.max_pixels:
                    yield image

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        import av

        source = self._open
        packets = source.container.demux(source.stream)
        while True:
            try:
                yield next(packets)
            except StopIteration:
                return
            except (av.error.FFmpegError, OSError, ValueError) as error:
                self.damage.ending = f"it cannot be read beyond {clock(self.end_s)} ({decoder_error(error)})"
                return


@contextmanager
def open_film(path: Path, limits: FilmLimits | None = None) -> Iterator[Film]:
    """A film, open for the length of the block.

    Raises only MediaError, within the block as well: see `opened_film`. The message leaves the path to the caller.
    """
    try:
        with opened_film(path, limits or FilmLimits()) as source:
            yield Film(source.facts, source.announced_s, float(source.rate), _source=source)
    except MediaError:
        raise
    except MemoryError as error:
        raise UnreadableMedia("decoding it needs more memory than there is; scale it down") from error


def frames_at(path: Path, times: Sequence[float], *, side: int, limits: FilmLimits | None = None) -> list[Pixels]:
    """`(h, w, 3)` uint8 RGB of the frames shown at these rising times, upright, short side at most `side`.

    Raises as `open_film` does.
    """
    with open_film(path, limits) as film:
        views = film.views(side)
        return [views.upright(frame.image) for frame in film.at(times)]
