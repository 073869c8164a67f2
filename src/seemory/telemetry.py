"""Progress events, which long work tells whoever wants to show them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


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
