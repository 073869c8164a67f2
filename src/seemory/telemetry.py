"""Progress events, which long work tells whoever wants to show them, and counters of what was done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one stage of a piece of work is; `total` is None while it is not known."""

    stage: str
    done: int
    total: int | None = None
    unit: str = "files"
    subject: str | None = None
    """What of it is under way, where that takes long: the name of a film."""


ProgressListener = Callable[[Progress], None]
"""Called from the working thread, often: a listener must be quick, and raises nothing but `Stopped`."""


class Stopped(BaseException):
    """Raised by a listener to end the work there, as Ctrl-C would: what is committed is kept, the rest is not begun.

    No error, and so no `Exception`: nothing that takes a failure for one file's may swallow it.
    """


def ignore(_: Progress) -> None:
    """Listen to nothing."""


class Counter:
    """A number that only grows, of this process. May be added to by several threads at once."""

    def __init__(self, says: str) -> None:
        """At 0; `says` is what it counts."""
        self.says = says
        self._lock = Lock()
        self._value = 0

    def add(self, count: int = 1) -> None:
        """Count so many more."""
        with self._lock:
            self._value += count

    @property
    def value(self) -> int:
        """How many so far."""
        return self._value


COUNTERS = {
    "text_passes": Counter("Forward passes of text towers."),
    "texts_embedded": Counter("Texts that went through a text tower."),
    "queries_embedded": Counter("Texts of queries whose vector was asked for."),
    "queries_remembered": Counter("Of these, the ones whose vector was known from before: no forward pass."),
    "image_passes": Counter("Forward passes of picture towers."),
    "pictures_embedded": Counter("Pictures that went through a picture tower."),
    "pictures_decoded": Counter("Picture files that were decoded, or were tried to be."),
}
"""All there are, by name."""


def counted() -> dict[str, int]:
    """What this process has counted so far, by the names of `COUNTERS`."""
    return {name: counter.value for name, counter in COUNTERS.items()}
