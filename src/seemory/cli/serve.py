"""The command that serves: serve."""

from __future__ import annotations

from pathlib import Path

import click

from seemory.cli.display import progress_if_any
from seemory.cli.options import where_it_is
from seemory.errors import UsageError


@click.command()
@click.option("--host", help="Address to listen on; by default 127.0.0.1, this machine alone.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port to listen on; 0: any that is free.")
@click.option(
    "--keys",
    type=click.Choice(["auto", "required", "none"]),
    help="Who needs a key: all but this machine (auto, the default), everybody, or nobody.",
)
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that answer at the port.")
@where_it_is
def serve(
    host: str | None,
    port: int | None,
    keys: str | None,
    workers: int | None,
    home: Path | None,
    collection: str | None,
    owner: str | None,
    model: str | None,
) -> None:
    """Answer searches and take uploads over HTTP."""
    try:
        from seemory.service.serving import serve as run
    except ImportError as error:
        raise UsageError(f"serving needs an extra: pip install 'seemory[serve]' ({error})") from error
    from seemory.settings import read_settings

    settings = read_settings(home=home, collection=collection, owner=owner)
    said = {"host": host, "port": port, "keys": keys, "workers": workers}
    given = {name: value for name, value in said.items() if value is not None}
    settings = settings.model_copy(update={"service": settings.service.model_copy(update=given)})
    with progress_if_any("Fetching the model") as listen:
        run(settings, model=model, listen=listen, say=lambda line: click.echo(line, err=True))
