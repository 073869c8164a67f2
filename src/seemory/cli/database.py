"""Commands about Postgres: its address, its shell, its schema, and stopping the embedded one."""

from __future__ import annotations

import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seemory.cli.display import print_json, progress
from seemory.cli.options import as_json, memory_for

if TYPE_CHECKING:
    from seemory.store.backup import Manifest
    from seemory.telemetry import Progress, ProgressListener

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
@click.option("--shards", type=click.IntRange(min=1), default=32, show_default=True, help="Parts of each table.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@_home
@as_json
def distribute(shards: int, dry_run: bool, home: Path | None, json_: bool) -> None:
    """Spread the tables over a Citus cluster by owner: all of them or none, and rows that are there move along."""
    from seemory.errors import UsageError
    from seemory.store.distribution import distribute_database

    with memory_for(home) as memory:
        if not memory.settings.database_url:
            raise UsageError(
                "the embedded server is one machine: set SEEMORY_DATABASE_URL to the coordinator of a Citus cluster"
            )
        placements = distribute_database(
            memory.database.conninfo, shards=shards, dry_run=dry_run, listen=lambda name: click.echo(name, err=True)
        )
    if json_:
        print_json([asdict(placement) for placement in placements])
        return
    for placement in placements:
        done = "was" if placement.done_before else "would be" if dry_run else "is now"
        click.echo(f"{placement.table}: {done} {placement.kind}, {placement.rows:,} rows")


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
@click.option(
    "--old-programs",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the older Postgres' programs are, if they are no longer installed.",
)
@click.option("--keep-old/--drop-old", default=True, help="Keep the old data folder beside the new one (the default).")
@_home
@as_json
def upgrade(old_programs: Path | None, keep_old: bool, home: Path | None, json_: bool) -> None:
    """Move the data to a newer Postgres. The embedded server's alone; nobody may use it meanwhile."""
    from seemory.errors import UsageError
    from seemory.settings import read_settings
    from seemory.store.embedded.programs import major_of
    from seemory.store.embedded.upgrade import upgrade as move_on

    settings = read_settings(home=home)
    if settings.database_url:
        raise UsageError("SEEMORY_DATABASE_URL names a server of yours, and only the embedded one is upgraded here")
    done = move_on(settings.home, old_programs=old_programs, keep_old=keep_old, listen=_say_stages())
    major = major_of(settings.home / "postgres")
    if json_:
        print_json({"upgraded": done and asdict(done) | {"kept": done.kept and str(done.kept)}, "major": major})
    elif done is None:
        click.echo(f"nothing to do: PostgreSQL {major}" if major else f"nothing to do: no data in {settings.home} yet")
    else:
        click.echo(
            f"PostgreSQL {done.before} → {done.after} in {done.seconds:.1f} s: "
            f"{done.rows:,} rows in {done.tables} tables, every one compared"
        )
        if done.rebuilt:
            click.echo(f"built anew: {', '.join(done.rebuilt)}", err=True)
        if done.kept:
            click.echo(f"the old data is kept in {done.kept}; seemory db upgrade --drop-old deletes it", err=True)


def _say_stages() -> ProgressListener:
    """A line on stderr as each stage begins."""
    stages = {
        "check": "reading every row of the old cluster",
        "make": "making a new cluster beside it",
        "move": "copying it over (pg_upgrade)",
        "compare": "reading every row of the new one, and comparing",
        "exchange": "putting the new one in its place",
    }

    def listen(event: Progress) -> None:
        if said := stages.pop(event.stage, None):
            click.echo(f"{said} …", err=True)

    return listen


@db.command()
@_home
def stop(home: Path | None) -> None:
    """Stop the embedded server, whoever uses it."""
    from seemory.settings import read_settings
    from seemory.store.connect import stop_embedded

    stopped = stop_embedded(read_settings(home=home).home)
    click.echo("stopped" if stopped else "was not running")
