"""What several workers have counted, as if it had been one: whichever of them Prometheus happens to ask."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Final

_WRITTEN_S: Final = 2.0
_DEAD_S: Final = 10.0


class Together:
    """Writes down again and again what this process has counted, and adds to it what the others have written."""

    def __init__(self, folder: Path, text: Callable[[], str]) -> None:
        """Nothing is written yet.

        Args:
            folder: where all of them write.
            text: what this process has counted, in Prometheus' text format: counters, histograms, and gauges that can
                be added up.
        """
        self._folder, self._text = folder, text
        self._own = folder / f"{os.getpid()}.prom"
        self._ended = Event()

    def start(self) -> None:
        """Write, from now on until `close`."""
        Thread(target=self._write, name="metrics", daemon=True).start()

    def close(self) -> None:
        """Write a last time: what was counted must not seem to become less."""
        self._ended.set()
        self._put()

    def text(self) -> str:
        """The sums. Gauges of workers that have ended are left out, what they have counted stays."""
        texts = [(self._text(), True)]
        for file in self._folder.glob("*.prom"):
            with suppress(OSError):
                if file != self._own:
                    texts.append((file.read_text("utf-8"), time.time() - file.stat().st_mtime < _DEAD_S))
        return summed(texts)

    def _write(self) -> None:
        while not self._ended.wait(_WRITTEN_S):
            self._put()

    def _put(self) -> None:
        with suppress(OSError):
            new = self._own.with_suffix(".new")
            new.write_text(self._text(), "utf-8")
            new.replace(self._own)


def summed(texts: Iterable[tuple[str, bool]]) -> str:
    """One text of several, equal samples added up; of those that are not alive, without the gauges."""
    heads: dict[str, list[str]] = {}
    samples: dict[str, dict[str, float]] = {}
    for text, alive in texts:
        family, counted = "", True
        for line in text.splitlines():
            if line.startswith("# HELP "):
                family = line.split(" ", 3)[2]
                heads.setdefault(family, [line])
                samples.setdefault(family, {})
            elif line.startswith("# TYPE "):
                counted = alive or not line.endswith(" gauge")
                if len(heads[family]) == 1:
                    heads[family].append(line)
            elif counted:
                name, _, value = line.rpartition(" ")
                samples[family][name] = samples[family].get(name, 0.0) + float(value)
    lines = []
    for family, head in heads.items():
        lines += [*head, *(f"{name} {value:.15g}" for name, value in samples[family].items())]
    return "".join(line + "\n" for line in lines)
