"""Options that many commands share, and how a command gets its memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from seemory.cli.display import progress_if_any

if TYPE_CHECKING:
    from seemory.memory import Memory
    from seemory.models.encoder import Encoder
    from seemory.settings import Settings
    from seemory.telemetry import ProgressListener

F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option("--json", "json_", is_flag=True, help="One JSON document on stdout, nothing else there.")
on_ray = click.option(
    "--ray", metavar="ADDRESS", help="Decode and embed on this Ray cluster: HOST:PORT, auto (this machine's) or local."
)


def where_it_is(command: F) -> F:
    """Adds `--home`, `--collection`, `--owner` and `--model`."""
    for option in (
        click.option("--model", help="Encoder of a new collection: a catalogue name, a folder, or auto."),
        click.option("--owner", help="Whose memory it is."),
        click.option("--collection", help="The named set of items."),
        click.option("--home", type=click.Path(path_type=Path, file_okay=False), help="The data folder."),
    ):
        command = option(command)
    return command


def _read_weights(_: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, float]:
    weights = {}
    for text in given:
        name, _equals, value = text.partition("=")
        try:
            weights[name.strip()] = float(value)
        except ValueError:
            raise click.BadParameter(f"{text!r}: write CHANNEL=NUMBER, for example words=0.5", param=option) from None
    return weights


weight_option = click.option(
    "--weight",
    "weights",
    multiple=True,
    metavar="CHANNEL=W",
    callback=_read_weights,
    help="How much a channel counts: visual, text or words, for example words=0; repeatable.",
)


@contextmanager
def memory_for(
    home: Path | None, collection: str | None = None, owner: str | None = None, model: str | None = None
) -> Iterator[Memory]:
    """The memory that the options and the settings name, closed at the end."""
    from seemory.memory import open_memory

    with (
        progress_if_any("Fetching the model") as listen,
        open_memory(home=home, collection=collection, owner=owner, model=model, listen=listen) as memory,
    ):
        yield memory


def encoder_of(name: str, settings: Settings, listen: ProgressListener) -> Encoder:
    """The encoder of that name as the settings would have it run, for commands that need no memory."""
    from seemory.models.loading import load_encoder

    options = settings.models
    return load_encoder(
        name,
        home=settings.home,
        threads=options.threads,
        offline=options.offline,
        runtime=options.runtime,
        listen=listen,
    )


def say_notice(memory: Memory) -> None:
    """Say on stderr which encoder `auto` became, if that is news."""
    if memory.notice:
        click.echo(memory.notice, err=True)
