"""What a process counts of itself, as text for Prometheus."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, Literal

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the ranges that times are counted in."""
SIZES: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
"""Upper bounds of the ranges that sizes of batches are counted in."""

Labels = tuple[tuple[str, str], ...]
Samples = Sequence[tuple[Mapping[str, str], float]]


@dataclass(slots=True)
class _Ranges:
    counts: list[int]
    total: float = 0.0


@dataclass(slots=True)
class _Family:
    kind: Literal["counter", "gauge", "histogram"]
    says: str
    bounds: Sequence[float] = ()
    counted: dict[Labels, float] = field(default_factory=dict)
    ranges: dict[Labels, _Ranges] = field(default_factory=dict)
    read: Callable[[], Samples] | None = None


class Metrics:
    """Counters, gauges and histograms of one process. Its methods may be called from several threads."""

    def __init__(self) -> None:
        self._families: dict[str, _Family] = {}
        self._lock = Lock()

    def counter(self, name: str, says: str) -> None:
        """Have a counter of that name; its name ends in `_total`."""
        self._families[name] = _Family("counter", says)

    def histogram(self, name: str, says: str, bounds: Sequence[float]) -> None:
        """Have a histogram with these upper bounds of its ranges."""
        self._families[name] = _Family("histogram", says, bounds)

    def gauge(self, name: str, says: str, read: Callable[[], float]) -> None:
        """Have a gauge that is read when the text is made."""
        self.gauges(name, says, lambda: [({}, read())])

    def gauges(self, name: str, says: str, read: Callable[[], Samples]) -> None:
        """Have a gauge that is read when the text is made, each value with its labels."""
        self._families[name] = _Family("gauge", says, read=read)

    def known(self, name: str, says: str, samples: Samples) -> None:
        """Have a gauge with these values, each with its labels."""
        counted = {tuple(labels.items()): value for labels, value in samples}
        self._families[name] = _Family("gauge", says, counted=counted)

    def count(self, name: str, /, amount: float = 1.0, **labels: str) -> None:
        """Add to a counter."""
        key = tuple(sorted(labels.items()))
        with self._lock:
            counted = self._families[name].counted
            counted[key] = counted.get(key, 0.0) + amount

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        """Add a value to a histogram."""
        key = tuple(sorted(labels.items()))
        with self._lock:
            family = self._families[name]
            ranges = family.ranges.setdefault(key, _Ranges([0] * (len(family.bounds) + 1)))
            ranges.counts[bisect_left(family.bounds, value)] += 1
            ranges.total += value

    @contextmanager
    def timed(self, name: str, /, **labels: str) -> Iterator[None]:
        """Add the seconds of a `with` block to a histogram, however it ends."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.observe(name, time.perf_counter() - start, **labels)

    def value(self, name: str, /, **labels: str) -> float:
        """What a counter has come to."""
        with self._lock:
            return self._families[name].counted.get(tuple(sorted(labels.items())), 0.0)

    def text(self) -> str:
        """All of them in Prometheus's text format, version 0.0.4."""
        with self._lock:
            return "".join(line + "\n" for name, family in self._families.items() for line in _lines(name, family))


def _lines(name: str, family: _Family) -> Iterator[str]:
    yield f"# HELP {name} {family.says}"
    yield f"# TYPE {name} {family.kind}"
    for given, value in family.read() if family.read is not None else ():
        yield f"{name}{_braces(given)} {_number(value)}"
    for labels, value in family.counted.items():
        yield f"{name}{_braces(dict(labels))} {_number(value)}"
    for labels, ranges in family.ranges.items():
        below = 0
        for bound, count in zip((*family.bounds, float("inf")), ranges.counts, strict=True):
            below += count
            upper = "+Inf" if bound == float("inf") else f"{bound:g}"
            yield f"{name}_bucket{_braces({**dict(labels), 'le': upper})} {below}"
        yield f"{name}_sum{_braces(dict(labels))} {ranges.total:.9g}"
        yield f"{name}_count{_braces(dict(labels))} {below}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def _braces(labels: Mapping[str, str]) -> str:
    said = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{said}}}" if said else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _of_this_process() -> Metrics:
    metrics = Metrics()
    for name, says in (
        ("text_passes", "Forward passes of text towers."),
        ("texts_embedded", "Texts that went through a text tower."),
        ("queries_embedded", "Texts of queries whose vector was asked for."),
        ("queries_remembered", "Of these, the ones whose vector was known from before: no forward pass."),
        ("image_passes", "Forward passes of picture towers."),
        ("pictures_embedded", "Pictures that went through a picture tower."),
        ("pictures_decoded", "Picture files that were decoded, or were tried to be."),
    ):
        metrics.counter(f"seemory_{name}_total", says)
        metrics.count(f"seemory_{name}_total", 0)
    metrics.histogram("seemory_stage_seconds", "Time of a stage of the work, waiting for its turn included.", SECONDS)
    metrics.histogram("seemory_inference_seconds", "Time of one forward pass, by tower.", SECONDS)
    metrics.counter("seemory_timeouts_total", "Work that was given up for its time, by what it was.")
    return metrics


WORK: Final = _of_this_process()
"""What the library's work in this process comes to, counted where it is done; a service tells it beside its own."""


def counted() -> dict[str, int]:
    """What this process has counted so far of passes, texts and pictures: `text_passes`, `pictures_decoded` …"""
    whole = (name for name, family in WORK._families.items() if () in family.counted)
    return {name.removeprefix("seemory_").removesuffix("_total"): int(WORK.value(name)) for name in whole}
