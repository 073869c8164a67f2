"""Commands about Postgres: its address, its shell, its schema, and stopping the embedded one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import click

from seemory.cli.options import memory_for

_home = click.option("--home", type=click.Path(path_type=Path, file_okay=False), help="The data folder.")


@click.group()
def db() -> None:
    """The database behind the memory."""


@db.command()
@_home
def url(home: Path | None) -> None:
    """Print the database's URL, starting the embedded server if needed."""
    with memory_for(home) as memory:
        click.echo(memory.database.url)


@db.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@_home
def psql(arguments: tuple[str, ...], home: Path | None) -> int:
    """Open psql on the database; more arguments go to psql, for example -c 'SELECT …'."""
    from seemory.store.connect import psql_command

    with memory_for(home) as memory:
        environment = os.environ | {"PGOPTIONS": f"-c seemory.owner={memory.owner} -c search_path=seemory,public"}
        return subprocess.run([*psql_command(memory.database.url), *arguments], env=environment, check=False).returncode


@db.command()
@_home
def migrate(home: Path | None) -> None:
    """Bring the schema up to date (every command does it by itself; this one says what was done)."""
    with memory_for(home) as memory:
        click.echo(f"the schema of {memory.database.url} is up to date")


@db.command()
@_home
def stop(home: Path | None) -> None:
    """Stop the embedded server, whoever uses it."""
    from seemory.settings import read_settings
    from seemory.store.connect import stop_embedded

    stopped = stop_embedded(read_settings(home=home).home)
    click.echo("stopped" if stopped else "was not running")
