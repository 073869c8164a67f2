"""A film's sound as pieces of mono samples, cut where it is quiet: memory does not follow the film's length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from seemory.media.film_opening import FilmLimits, opened_film

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.container import InputContainer

RATE: Final = 16_000
"""Samples a second, as models that listen expect them."""

_LONGEST_S: Final = 600  # of a piece, 38 MB; a cut may cost a word, so pieces are long
_SEARCHED_S: Final = 30  # at the end of a piece, for the quietest place
_QUIET_S: Final = 0.2

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sound:
    """A piece of sound."""

    start_s: float
    """From the film's beginning."""
    samples: Samples
    """`(n,)` float32, -1 to 1, `RATE` a second."""


def sound_of(path: Path, limits: FilmLimits) -> Iterator[Sound]:
    """The first track of a film's sound, piece by piece; none where it has no sound. What is damaged is passed over.

    Raises:
        MediaError: the film cannot be opened.
    """
    with opened_film(path, limits) as film:
        if not film.container.streams.audio:
            return
        held: list[Samples] = []
        start_s, count = 0.0, 0
        for time_s, samples in _resampled(film.container):
            if time_s > limits.max_hours * 3600:
                break
            if not count:
                start_s = time_s
            held.append(samples)
            count += len(samples)
            if count >= _LONGEST_S * RATE:
                whole = np.concatenate(held)
                cut = _quietest(whole)
                yield Sound(start_s, whole[:cut])
                held, count, start_s = [whole[cut:]], len(whole) - cut, start_s + cut / RATE
        if count:
            yield Sound(start_s, np.concatenate(held))


def _quietest(samples: Samples) -> int:
    """The middle of the quietest fifth of a second, near the end."""
    width = int(_QUIET_S * RATE)
    tail = samples[-_SEARCHED_S * RATE :]
    loudness = np.square(tail[: len(tail) // width * width].reshape(-1, width)).mean(axis=1)
    return len(samples) - len(tail) + int(loudness.argmin()) * width + width // 2


def _resampled(container: InputContainer) -> Iterator[tuple[float, Samples]]:
    """(seconds from the film's beginning, samples) as they are decoded."""
    import av

    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    start = (container.start_time or 0) / 1_000_000
    packets, bad = container.demux(container.streams.audio[0]), False
    time_s = 0.0
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (av.error.FFmpegError, OSError, ValueError):
            return  # the rest cannot be read; what came before is heard
        try:
            frames = packet.decode()
            for frame in frames:
                if frame.time is not None:
                    time_s = max(0.0, frame.time - start)
                for made in resampler.resample(frame):
                    samples = _samples(made)
                    yield time_s, samples
                    time_s += len(samples) / RATE
            bad = False
        except (av.error.FFmpegError, ValueError, OverflowError) as error:
            if bad and isinstance(error, av.error.EOFError):
                return
            bad = True
            resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)


def _samples(frame: AudioFrame) -> Samples:
    return np.nan_to_num(np.asarray(frame.to_ndarray(), np.float32).reshape(-1), posinf=0.0, neginf=0.0)
