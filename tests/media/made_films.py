"""Films made for the tests: small, of real photographs or plain colours, with whatever is odd about films."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from av.subtitles.subtitle import SubtitleSet
from numpy.typing import NDArray
from PIL import Image

_ASS = (
    b"[Script Info]\nScriptType: v4.00+\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\nStyle: Default,Arial,16\n"
    b"[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
)
Frames = Iterable[NDArray[np.uint8]]


def still(path: Path, size: tuple[int, int] = (320, 240)) -> NDArray[np.uint8]:
    """A photograph cut and scaled to width x height, `(h, w, 3)` RGB."""
    picture = Image.open(path).convert("RGB")
    scale = max(size[0] / picture.width, size[1] / picture.height)
    large = picture.resize((round(picture.width * scale) + 1, round(picture.height * scale) + 1))
    return np.asarray(large.crop((0, 0, *size)))


def moving(picture: NDArray[np.uint8], count: int) -> list[NDArray[np.uint8]]:
    """So many frames of a slow pan over a picture."""
    return [np.roll(picture, -n, axis=1) for n in range(count)]


def plain(colour: tuple[int, int, int], count: int, size: tuple[int, int] = (320, 240)) -> list[NDArray[np.uint8]]:
    return [np.full((size[1], size[0], 3), colour, np.uint8)] * count


def write_film(
    path: Path,
    frames: Frames,
    *,
    rate: int = 25,
    times: Sequence[float] | None = None,
    rotation: int | None = None,
    aspect: Fraction | None = None,
    sound: bool | NDArray[np.float32] = False,
    metadata: dict[str, str] | None = None,
    gop: int = 12,
    options: dict[str, str] | None = None,
) -> Path:
    """A film of these frames, by default 25 a second, or shown at `times` (seconds)."""
    frames = list(frames)
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w", options=options or {}) as film:
        film.metadata.update(metadata or {})
        stream = film.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "crf": "18"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = width, height, "yuv420p", gop
        stream.time_base = stream.codec_context.time_base = Fraction(1, 90_000)
        stream.codec_context.max_b_frames = 0
        if rotation is not None:
            stream.set_display_rotation(rotation)
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        voice = None if sound is False else film.add_stream("aac", rate=44_100, layout="mono")
        for n, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.time_base = Fraction(1, 90_000)
            frame.pts = round((n / rate if times is None else times[n]) * 90_000)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
        if voice is not None:
            film.mux(heard(voice, tone(len(frames) / rate) if sound is True else sound))
    return path


def srt(*cues: tuple[float, float, str]) -> str:
    """A subtitle file of (from, to, words)."""

    def stamp(seconds: float) -> str:
        whole = round(seconds * 1000)
        return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02},{whole % 1000:03}"

    return "\n".join(f"{n}\n{stamp(a)} --> {stamp(b)}\n{text}\n" for n, (a, b, text) in enumerate(cues, 1))


def with_subtitles(film: Path, path: Path, subtitles: dict[str, str], *, forced: str | None = None) -> Path:
    """The film again with streams of subtitles in it, by language: mov_text in MP4, SubRip elsewhere."""
    with av.open(str(film)) as source, av.open(str(path), "w") as out:
        picture = source.streams.video[0]
        streams = {picture: out.add_stream_from_template(picture)}
        packets = [packet for packet in source.demux(picture) if packet.dts is not None]
        texts = []
        for language, text in subtitles.items():
            words = av.open(io.BytesIO(text.encode()), format="srt")
            own = words.streams.subtitles[0]
            if path.suffix == ".mp4":
                made = out.add_stream("mov_text")
                made.codec_context.subtitle_header = _ASS
                made.time_base = Fraction(1, 1000)
                texts += [(packet, made) for packet in _as_mov_text(words.demux(own), made)]
            else:
                made = out.add_stream_from_template(own)
                texts += [(packet, made) for packet in words.demux(own) if packet.pts is not None]
            made.metadata["language"] = language
            if language == forced:
                made.disposition = Disposition.forced
        for packet in packets:
            packet.stream = streams[picture]
            out.mux(packet)
        for packet, stream in texts:
            packet.stream = stream
            out.mux(packet)
    return path


def _as_mov_text(packets: Iterable[av.Packet], stream: av.subtitles.stream.SubtitleStream) -> list[av.Packet]:
    made = []
    for packet in packets:
        if packet.pts is None:
            continue
        for shown in packet.decode():
            length = round(float(packet.duration * packet.time_base) * 1000)
            words = SubtitleSet.create(text=shown.ass, start=0, end=length, pts=0)
            one = stream.codec_context.encode_subtitle(words)
            one.pts = one.dts = round(float(packet.pts * packet.time_base) * 1000)
            one.duration, one.time_base = length, Fraction(1, 1000)
            made.append(one)
    return made


def write_sound(path: Path, seconds: float = 1.0) -> Path:
    """A file with sound alone."""
    with av.open(str(path), "w") as film:
        voice = film.add_stream("aac", rate=44_100, layout="mono")
        film.mux(heard(voice, tone(seconds)))
    return path


def tone(seconds: float) -> NDArray[np.float32]:
    return np.sin(np.arange(int(seconds * 44_100)) / 44_100 * 440 * 2 * np.pi).astype(np.float32)


def heard(stream: av.AudioStream, wave: NDArray[np.float32]) -> list[av.Packet]:
    """The packets of a stream with this sound, 44,100 samples a second."""
    packets = []
    for start in range(0, len(wave), 1024):
        frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 44_100, start, Fraction(1, 44_100)
        packets += stream.encode(frame)
    return packets + stream.encode(None)
