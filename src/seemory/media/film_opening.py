"""From a path to an open film whose frames are not decoded yet, or the reason why not.

FFmpeg reads far more than films: playlists that name other files and addresses, pictures by pattern, drawings by
script. So only formats that carry their pictures themselves are allowed, nothing may be opened beside the file itself,
and what the file announces is held against limits before a frame is unpacked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from seemory.errors import MediaError, MediaTooLarge, UnreadableMedia, UnsupportedMedia
from seemory.media import raw
from seemory.media.opening import open_regular, read_head, sniff, unreadable
from seemory.types import PictureFacts

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

# fmt: off
FILM_SUFFIXES: Final = frozenset({
    ".mp4", ".m4v", ".mov", ".qt", ".mkv", ".webm", ".avi", ".divx", ".mpg", ".mpeg", ".mpe", ".m2v", ".vob", ".mts",
    ".m2ts", ".wmv", ".asf", ".flv", ".f4v", ".ogv", ".3gp", ".3g2", ".mxf", ".rm", ".rmvb", ".dv",
})
# fmt: on
"""Not `.ts`, which is TypeScript's as well: such a file is read when it is named."""

_FORMATS: Final = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,ivf,obu,av1,flv,asf,ogg,mxf,rm,dv,nut,wtv,mjpeg"
)
_MISSING: Final = (
    "films need the packages of the extra `video`: pip install 'seemory[video]', then index again with --retry-failed"
)
_MOST_STREAMS: Final = 200
_WIDEST_PIXEL: Final = 8.0  # and the narrowest is an eighth; what claims more is not believed
_FASTEST: Final = 1000.0  # frames a second; what claims more is not believed
_BUFFER: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class FilmLimits:
    """What is accepted of a film."""

    max_pixels: int = 36_000_000
    """Of one frame: 8K has 33 million."""
    max_hours: float = 12.0
    max_frames: int = 5_000_000


@dataclass(frozen=True, slots=True)
class OpenFilm:
    """An open film: what it says of itself, and what its frames come from."""

    container: InputContainer
    stream: VideoStream
    facts: PictureFacts
    announced_s: float | None
    """Its length, where it says so."""
    rate: Fraction
    """Frames a second, on the average and as announced: good for guesses, never for times."""
    pixel_aspect: float
    """Width of a pixel over its height."""
    limits: FilmLimits


def films_can_be_read() -> bool:
    """Whether the packages of the extra `video` are installed."""
    return all(find_spec(name) is not None for name in ("av", "cv2", "scenedetect"))


def is_film(path: Path) -> bool:
    """Whether a file is to be read as a film: by its first bytes, and by its name only where they tell nothing.

    A file that cannot be read at all is what its name says.
    """
    named = path.suffix.lower() in FILM_SUFFIXES
    try:
        with open_regular(path) as stream:
            head = read_head(stream)
    except MediaError:
        return named
    if sniff(head) is not None or raw.is_raw(head, path.suffix):
        return False
    return named or _announces_film(head)


@contextmanager
def opened_film(path: Path, limits: FilmLimits) -> Iterator[OpenFilm]:
    """The film of a file, closed at the end of the block.

    Raises UnreadableMedia (missing, empty, damaged, no film), UnsupportedMedia (no pictures in it, a format or codec
    that is not read, or the extra `video` is not installed), MediaTooLarge (more pixels, streams or hours than are
    accepted). The message leaves the path to the caller.
    """
    if not films_can_be_read():
        raise UnsupportedMedia(_MISSING)
    with open_regular(path) as file:
        container = _container(file, read_head(file))
        try:
            yield _described(container, limits)
        finally:
            container.close()


def _container(file: BinaryIO, head: bytes) -> InputContainer:
    import av

    av.logging.set_level(None)  # what a decoder says of a damaged file is said here, in words for people
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "", "max_streams": str(_MOST_STREAMS + 1)}
    try:
        container: InputContainer = av.open(
            file, "r", container_options=options, metadata_errors="replace", buffer_size=_BUFFER, io_open=_refused
        )
        return container
    except (av.error.FFmpegError, ValueError, OverflowError) as error:
        if head[4:8] == b"ftyp":  # its table of contents mostly stands at the end
            raise UnreadableMedia(
                f"a film whose table of contents cannot be read ({_said(error)}): it is probably cut short; copy it "
                f"again from its source"
            ) from error
        raise UnreadableMedia(
            f"no film that can be read ({_said(error)}); copy it again from its source, or convert it to MP4"
        ) from error


def _refused(*_: Any, **__: Any) -> Any:
    """Nothing but the film's own file is opened, whatever it names."""
    raise PermissionError("a film may not open other files")


def _described(container: InputContainer, limits: FilmLimits) -> OpenFilm:
    if len(container.streams) > _MOST_STREAMS:
        raise MediaTooLarge(f"more than {_MOST_STREAMS} streams; save it with those that are needed")
    stream = next((one for one in container.streams.video if not _is_cover(one)), None)
    if stream is None:
        sound = bool(container.streams.audio)
        raise UnsupportedMedia(f"no moving pictures in it{', only sound' if sound else ''}; nothing of it can be seen")
    context = stream.codec_context
    if context is None:
        raise UnsupportedMedia("its pictures are coded in a way that is not read; convert it to MP4 (H.264)")
    width, height = context.width, context.height
    if width <= 0 or height <= 0:
        raise UnreadableMedia("its pictures have no size; copy it again from its source")
    if width * height > limits.max_pixels:
        raise MediaTooLarge(
            f"frames of {width} x {height} pixels, where {limits.max_pixels:,} are allowed; scale it down, or "
            f"raise the limit"
        )
    announced = _announced(container, stream)
    if announced is not None and announced > limits.max_hours * 3600:
        raise MediaTooLarge(
            f"{announced / 3600:,.0f} hours, where {limits.max_hours:g} are allowed; cut it, or raise the limit"
        )
    context.options = {"max_pixels": str(limits.max_pixels)}  # a later frame may be larger than the header says
    stream.thread_type = "AUTO"
    aspect = float(stream.sample_aspect_ratio or 1)
    aspect = aspect if 1 / _WIDEST_PIXEL <= aspect <= _WIDEST_PIXEL else 1.0
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    rate = rate if 0 < rate <= _FASTEST else Fraction(25)
    said = {**container.metadata, **stream.metadata}
    facts = PictureFacts(
        width=max(1, round(width * aspect)),
        height=height,
        format=container.format.name.partition(",")[0].upper(),
        taken_at=_made_at(said),
        camera=_camera(said),
        metadata=_metadata(said, context.name, announced, rate),
    )
    return OpenFilm(container, stream, facts, announced, rate, aspect, limits)


def _is_cover(stream: VideoStream) -> bool:
    """Whether it is the picture on a record's sleeve, and no film."""
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def _announced(container: InputContainer, stream: VideoStream) -> float | None:
    own = None if stream.duration is None or stream.time_base is None else float(stream.duration * stream.time_base)
    whole = None if container.duration is None else container.duration / 1_000_000
    length = own if own is not None and own > 0 else whole
    return length if length is not None and math.isfinite(length) and length > 0 else None


def _made_at(said: dict[str, str]) -> datetime | None:
    try:
        made = datetime.fromisoformat(said.get("creation_time", ""))
    except ValueError:
        return None
    return made.astimezone(UTC) if made.year > 1904 else None  # QuickTime's zero


def _camera(said: dict[str, str]) -> str | None:
    maker, model = (said.get(f"com.apple.quicktime.{name}") or said.get(name) or "" for name in ("make", "model"))
    return " ".join(part.strip() for part in (maker, model) if part.strip())[:200] or None


def _metadata(said: dict[str, str], codec: str, announced: float | None, rate: Fraction) -> dict[str, Any]:
    told: dict[str, Any] = {"codec": codec, "frame_rate": round(float(rate), 3)}
    if announced is not None:
        told["duration_s"] = round(announced, 3)
    words = [said[name].strip() for name in ("title", "description", "comment") if said.get(name, "").strip()]
    if words:
        told["caption"] = " ".join(dict.fromkeys(words))[:2000]
    return told


def _announces_film(head: bytes) -> bool:
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return True
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return True
    if len(head) > 376 and head[0] == head[188] == head[376] == 0x47:  # MPEG transport stream
        return True
    return head.startswith(
        (b"\x1a\x45\xdf\xa3", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"FLV\x01", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11")
    )


def _said(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).replace("\x00", " ").split())[:120] or type(error).__name__


def decoder_error(error: Exception) -> MediaError:
    """What an exception of FFmpeg means to the person whose film it is."""
    return error if isinstance(error, MediaError) else unreadable(OSError(_said(error)))
