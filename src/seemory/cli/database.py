"""Commands about Postgres: its address, its shell, its schema, and stopping the embedded one."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seemory.cli.display import print_json, progress
from seemory.cli.options import as_json, memory_for

if TYPE_CHECKING:
    from seemory.store.backup import Manifest

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
    from seemory.store.backup import command_environment
    from seemory.store.connect import psql_command

    with memory_for(home) as memory:
        address, environment = command_environment(memory.database.session(memory.owner))
        command = psql_command(address, encrypted=memory.database.encrypted)
        return subprocess.run([*command, *arguments], env=environment, check=False).returncode


@db.command()
@_home
def migrate(home: Path | None) -> None:
    """Bring the schema up to date (every command does it by itself; this one says what was done)."""
    from seemory.store.address import shown

    with memory_for(home) as memory:
        click.echo(f"the schema of {shown(memory.database.url)} is up to date")


@db.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_home
@as_json
def backup(file: Path, home: Path | None, json_: bool) -> None:
    """Write the whole memory, every owner and collection of it, to FILE; it is there whole or not at all."""
    from seemory.store.backup import back_up
    from seemory.store.connect import unbound_url

    with memory_for(home) as memory, progress("Backing up") as listen:
        url = memory.database.url if memory.settings.database_url else unbound_url(memory.home)
        click.echo("reading the database, then verifying the file …", err=True)
        manifest = back_up(url, file, listen=listen)
    _print_manifest(file, manifest, "written", json_)


@db.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--replace", is_flag=True, help="Throw away what the memory holds now, once the backup is in.")
@_home
@as_json
def restore(file: Path, replace: bool, home: Path | None, json_: bool) -> None:
    """Bring a backup back, all of it or nothing; a memory that is not empty is left alone without --replace."""
    from seemory.store.restore import restore as bring_back

    with memory_for(home) as memory, progress("Restoring") as listen:
        click.echo("checking the file, then writing, counting and indexing in one transaction …", err=True)
        database = memory.database
        manifest = bring_back(database.conninfo, file, replace=replace, encrypted=database.encrypted, listen=listen)
    _print_manifest(file, manifest, "restored", json_)


def _print_manifest(file: Path, manifest: Manifest, done: str, json_: bool) -> None:
    counts = {"assets": manifest.assets, "items": manifest.items, "vectors": manifest.vectors}
    if json_:
        print_json({"file": str(file), "bytes": manifest.size, "made_at": manifest.made_at, **counts})
    else:
        said = f"{manifest.assets:,} files, {manifest.items:,} items, {manifest.vectors:,} vectors"
        click.echo(f"{done}: {said}, {manifest.size / 1e6:,.1f} MB of {manifest.made_at}")


@db.command()
@_home
def stop(home: Path | None) -> None:
    """Stop the embedded server, whoever uses it."""
    from seemory.settings import read_settings
    from seemory.store.connect import stop_embedded

    stopped = stop_embedded(read_settings(home=home).home)
    click.echo("stopped" if stopped else "was not running")
