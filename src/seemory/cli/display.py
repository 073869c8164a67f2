"""How results look on a terminal: tables, small pictures, a progress bar with rate and time left."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from seemory.telemetry import Progress, ProgressListener
from seemory.timecode import clock

if TYPE_CHECKING:
    from seemory.types import Hit, Route

PLAIN_EVERY_S = 5.0


def print_json(document: Any) -> None:
    """One JSON document on stdout; file names that are no Unicode keep their escaped bytes."""
    click.echo(json.dumps(document, ensure_ascii=False, indent=2, default=str).encode("utf-8", "backslashreplace"))


def print_path(text: str) -> str:
    """A path that any terminal can print: undecodable bytes are shown as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def print_hits(hits: Sequence[Hit], thumbnail: Callable[[UUID], bytes | None]) -> None:
    """One line a hit, and, where the terminal has the colours for it, a small picture above each line."""
    pictures = shows_pictures()
    for hit in hits:
        if pictures and (small := thumbnail(hit.item_id)):
            _print_picture(small)
        click.echo(f"{hit.rank:4}  {_line(hit)}")
        _print_passages(hit)
        for neighbour in hit.neighbours:
            click.echo(f"{'+':>4}  {_line(neighbour)}")
            _print_passages(neighbour)


def _line(hit: Hit) -> str:
    """Score, cosine, id, file, and of a scene its times, the moment nearest to the query and what was missing."""
    cosine = "  -   " if hit.cosine is None else f"{hit.cosine:+.3f}"
    when = "" if hit.start_s is None or hit.end_s is None else f"  {clock(hit.start_s)}-{clock(hit.end_s)}"
    moment = "" if hit.moment_s is None else f" at {clock(hit.moment_s)}"
    missing = f"  (not by {', '.join(hit.missing)})" if hit.missing else ""
    return f"{hit.score:.2f}  cosine {cosine}  {str(hit.item_id)[:8]}  {print_path(hit.uri)}{when}{moment}{missing}"


def say_route(route: Route | None) -> None:
    """One line on stderr about what sight was there for, where a route was chosen."""
    if route is None:
        return
    said = f"sight {route.visual}" if route.visual in ("leads", "re-ranks") else f"sight is {route.visual}"
    pool = "" if route.pool is None else f"; {route.seen} of {route.pool} that words named were looked at"
    skipped = f"; their order stayed: {route.skipped}" if route.skipped else ""
    click.echo(f"{said}: {route.reason}{pool}{skipped}", err=True)


def say_larger(home: Path, encoder: str | None) -> None:
    """One line on stderr on how to move up from the bundled encoder: on a terminal, once in each data folder."""
    told = home / ".told-of-larger-encoders"
    if encoder != "seemory-mini" or not sys.stderr.isatty() or told.exists():
        return
    from seemory.doctor import LARGER

    click.echo(f"found by seemory-mini, the small bundled encoder; {LARGER}", err=True)
    with suppress(OSError):  # a folder that cannot be written: then it is said again
        home.mkdir(parents=True, exist_ok=True)
        told.touch()


def _print_passages(hit: Hit) -> None:
    for passage in hit.passages:
        where = passage.source if passage.start_s is None else clock(passage.start_s)
        click.echo(f"      {where}: {_printable(passage.marked())}")


def _printable(text: str) -> str:
    """What others wrote, without what a terminal would take for commands."""
    return "".join(character if character.isprintable() else " " for character in text)


def shows_pictures() -> bool:
    """Whether stdout is a terminal with 24-bit colour, on which half blocks make a picture."""
    if not sys.stdout.isatty():
        return False
    from rich.console import Console

    return Console().color_system == "truecolor"


def _print_picture(encoded: bytes, columns: int = 32) -> None:
    from PIL import Image
    from rich.console import Console
    from rich_pixels import Pixels

    with Image.open(io.BytesIO(encoded)) as picture:
        rows = max(2, round(columns * picture.height / picture.width))
        Console().print(Pixels.from_image(picture.convert("RGB").resize((columns, rows))))


@contextmanager
def progress(description: str) -> Iterator[ProgressListener]:
    """A listener that draws a bar with rate and time left on a terminal, and plain lines elsewhere, on stderr."""
    if sys.stderr.isatty():
        with _bar(description) as listener:
            yield listener
    else:
        yield _PlainLines(description)


@contextmanager
def progress_if_any(description: str) -> Iterator[ProgressListener]:
    """Like `progress`, for work that may not be needed: nothing is shown before the first event or after the last."""
    with ExitStack() as shown:
        listeners: list[ProgressListener] = []

        def listen(event: Progress) -> None:
            if not listeners:
                listeners.append(shown.enter_context(progress(description)))
            listeners[0](event)
            if event.total is not None and event.done >= event.total:
                listeners.clear()
                shown.close()

        yield listen


@contextmanager
def _bar(description: str) -> Iterator[ProgressListener]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        ProgressColumn,
        Task,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.0f}/s" if task.speed else "")

    name = TextColumn("{task.description}", markup=False)
    columns = (name, BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str | None, TaskID] = {None: bar.add_task(description, total=None)}

        def listen(event: Progress) -> None:
            for subject in [name for name in tasks if name not in (None, event.subject)]:
                bar.remove_task(tasks.pop(subject))
            if event.subject not in tasks:  # a line of its own for what takes long
                tasks[event.subject] = bar.add_task(print_path(event.subject or ""), total=None)
            bar.update(tasks[event.subject], completed=event.done, total=event.total)

        yield listen


class _PlainLines:
    """A line every few seconds, for logs."""

    def __init__(self, description: str) -> None:
        self._description = description
        self._last = time.monotonic()
        self._starts: dict[str | None, float] = {None: self._last}

    def __call__(self, event: Progress) -> None:
        now = time.monotonic()
        start = self._starts.setdefault(event.subject, now)
        if now - self._last < PLAIN_EVERY_S:
            return
        self._last = now
        rate = event.done / max(now - start, 1e-9)
        left = f", {(event.total - event.done) / rate:.0f} s left" if event.total and rate else ""
        what = f"{self._description} {print_path(event.subject)}" if event.subject else self._description
        click.echo(f"{what}: {event.done} of {event.total or '?'} {event.unit}, {rate:.0f}/s{left}", err=True)
