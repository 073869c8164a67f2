"""Subtitles → tracks of cues: of files beside a film, and of the text streams inside it. FFmpeg reads both.

Files come in any encoding, damaged, or as something else under the name; whatever is wrong with one becomes the track's
`problem`. What FFmpeg gives is text in the markup of ASS, which is taken off here.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from seemory.cues import LATEST_S, LONGEST_CUE, MOST_CUES, Cue, Track, without_repeats
from seemory.errors import MediaError, MediaTooLarge, UnreadableMedia, UnsupportedMedia
from seemory.media.film_opening import FilmLimits, decoder_error, films_can_be_read, opened_film
from seemory.media.opening import open_regular, unreadable
from seemory.media.subtitle_files import SubtitleFile
from seemory.media.subtitle_languages import configuration

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.subtitles.stream import SubtitleStream

_LARGEST: Final = 10_000_000  # bytes of a file
_GUESSED_FROM: Final = 64_000  # bytes that an encoding is guessed from
_MOST_STREAMS: Final = 40
_DEMUXERS: Final = {".srt": "srt", ".vtt": "webvtt", ".ass": "ass", ".ssa": "ass"}
_CODECS: Final = frozenset({"subrip", "srt", "mov_text", "webvtt", "ass", "ssa", "text"})
"""Of text. Subtitles that are pictures (DVD, Blu-ray) would have to be read by eye."""
_MARKS: Final = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def read_file(file: SubtitleFile, language: str) -> Track:
    """The track of a subtitle file; where it cannot be read, without cues and with the reason.

    `language` is the text search configuration of a file whose name tells no language.
    """
    name, tag = file.language or (language, None)
    try:
        text = _text(file.path)
        cues = _cues_of(text.encode(), _DEMUXERS[file.path.suffix.lower()])
        return Track(file.path.name, "file", name, tag, *_whole(cues))
    except (MediaError, OSError) as error:
        return Track(file.path.name, "file", name, tag, problem=str(error))


def read_streams(path: Path, limits: FilmLimits, language: str) -> tuple[Track, ...]:
    """The tracks of a film's own text subtitles, those for the whole of it first. No picture is decoded.

    Raises:
        MediaError: the film cannot be opened.
    """
    tracks = []
    with opened_film(path, limits) as film:
        start = (film.container.start_time or 0) / 1_000_000
        streams = [stream for stream in film.container.streams.subtitles if _is_text(stream)][:_MOST_STREAMS]
        collected: dict[int, list[Cue]] = {stream.index: [] for stream in streams}
        problem = None
        try:
            for place, cue in _demuxed(film.container, streams, start) if streams else ():
                if len(collected[place]) <= MOST_CUES:
                    collected[place].append(cue)
        except MediaError as error:
            problem = str(error)
        for stream in sorted(streams, key=_is_partial):
            name, tag = configuration(stream.language or "") or (language, None)
            cues, cut = _whole(collected[stream.index], required=False)
            tracks.append(Track(f"stream {stream.index}", "stream", name, tag, cues, problem or cut))
    return tuple(tracks)


def _is_text(stream: SubtitleStream) -> bool:
    return stream.codec_context is not None and stream.codec_context.name in _CODECS


def _is_partial(stream: SubtitleStream) -> bool:
    """Whether it has only what is foreign in the film."""
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.forced)


def _text(path: Path) -> str:
    """The file's text, whatever encoding it is in. Raises MediaError."""
    try:
        with open_regular(path) as stream:
            content = stream.read(_LARGEST + 1)
    except OSError as error:
        raise unreadable(error) from error
    if len(content) > _LARGEST:
        raise MediaTooLarge(f"more than {_LARGEST // 1_000_000} MB; subtitles have a hundredth of that")
    if not content.strip():
        raise UnreadableMedia("an empty file")
    marked = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), None)
    if marked is None and b"\x00" in content[:_GUESSED_FROM]:
        raise UnreadableMedia("not text")
    try:
        return content.decode(marked or "utf-8")
    except UnicodeDecodeError as error:
        guessed = None if marked else _guess(content)
        if guessed is None:
            where = f"{error.reason} at byte {error.start:,}"
            raise UnreadableMedia(f"its encoding cannot be told ({where}); save it as UTF-8") from error
        return content.decode(guessed, "replace")


def _guess(content: bytes) -> str | None:
    """The likeliest encoding of a text that is not UTF-8."""
    from charset_normalizer import from_bytes

    best = from_bytes(content[:_GUESSED_FROM]).best()
    return None if best is None else best.encoding


def _cues_of(content: bytes, demuxer: str) -> list[Cue]:
    import av

    if not films_can_be_read():
        raise UnsupportedMedia("subtitles need the packages of the extra `video`: pip install 'seemory[video]'")
    try:
        with av.open(io.BytesIO(content), "r", format=demuxer, metadata_errors="replace") as container:
            cues = []
            for _, cue in _demuxed(container, list(container.streams.subtitles), 0.0):
                cues.append(cue)
                if len(cues) > MOST_CUES:
                    break
            return cues
    except (av.error.FFmpegError, ValueError, OverflowError) as error:
        raise decoder_error(error) from error


def _demuxed(container: InputContainer, streams: list[SubtitleStream], start_s: float) -> Iterator[tuple[int, Cue]]:
    """(index of the stream, cue) as they come. Raises MediaError where the file cannot be read any further."""
    import av
    from av.subtitles.subtitle import AssSubtitle

    packets = container.demux(streams)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise decoder_error(error) from error
        if packet.pts is None or packet.time_base is None:
            continue
        begin = float(packet.pts * packet.time_base) - start_s
        end = begin + float((packet.duration or 0) * packet.time_base)
        if not 0 <= begin < LATEST_S:
            continue
        try:
            shown = [one.ass for one in packet.decode() if isinstance(one, AssSubtitle)]
        except (av.error.FFmpegError, ValueError, OverflowError):
            continue  # a damaged cue; the next one may be whole
        text = "\n".join(_plain(ass.decode("utf-8", "replace")) for ass in shown).strip()
        if text:
            yield packet.stream.index, Cue(round(begin, 3), round(min(end, LATEST_S), 3), text[:LONGEST_CUE])


def _plain(ass: str) -> str:
    """The words of an event of ASS: without its eight fields, its overrides in braces, and what it draws."""
    text = ass.split(",", 8)[-1]
    parts, at, draws = [], 0, False
    while (begin := text.find("{\\", at)) >= 0 and (end := text.find("}", begin)) >= 0:
        if not draws:
            parts.append(text[at:begin])
        for override in text[begin + 1 : end].split("\\"):
            if len(override) == 2 and override[0] == "p" and override[1].isdigit():
                draws = override[1] != "0"
        at = end + 1
    if not draws:
        parts.append(text[at:])
    words = "".join(parts).replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
    return "\n".join(" ".join(line.split()) for line in words.splitlines()).strip()


def _whole(cues: list[Cue], *, required: bool = True) -> tuple[tuple[Cue, ...], str | None]:
    """The cues without repeats, and what was left out of them."""
    if required and not cues:
        raise UnreadableMedia("no subtitle in it can be read")
    problem = f"only the first {MOST_CUES:,} subtitles are taken" if len(cues) > MOST_CUES else None
    return without_repeats(cues[:MOST_CUES]), problem
