"""Films made for the tests: small, of real photographs or plain colours, with whatever is odd about films."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

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
    sound: bool = False,
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
        voice = film.add_stream("aac", rate=44_100, layout="mono") if sound else None
        for n, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.time_base = Fraction(1, 90_000)
            frame.pts = round((n / rate if times is None else times[n]) * 90_000)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
        if voice is not None:
            film.mux(tone(voice, len(frames) / rate))
    return path


def write_sound(path: Path, seconds: float = 1.0) -> Path:
    """A file with sound alone."""
    with av.open(str(path), "w") as film:
        voice = film.add_stream("aac", rate=44_100, layout="mono")
        film.mux(tone(voice, seconds))
    return path


def tone(stream: av.AudioStream, seconds: float) -> list[av.Packet]:
    packets = []
    for start in range(0, int(seconds * 44_100), 1024):
        wave = np.sin(np.arange(start, start + 1024) / 44_100 * 440 * 2 * np.pi).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 44_100, start, Fraction(1, 44_100)
        packets += stream.encode(frame)
    return packets + stream.encode(None)
