"""Commands about the service's keys: keys create, keys list, keys revoke."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from seemory.cli.display import print_json
from seemory.cli.options import as_json, memory_for

if TYPE_CHECKING:
    from seemory.store.keys import Scope

_home = click.option("--home", type=click.Path(path_type=Path, file_okay=False), help="The data folder.")


@click.group()
def keys() -> None:
    """Keys that open the service (seemory serve): who may ask, and for whose memory."""


@keys.command()
@click.option("--owner", required=True, help="Whose memory it opens.")
@click.option(
    "--scope",
    type=click.Choice(["read", "write", "admin"]),
    required=True,
    help="read: searches; write: adds and removes as well; admin: the operator's routes too.",
)
@_home
@as_json
def create(owner: str, scope: Scope, home: Path | None, json_: bool) -> None:
    """Make a key and print it, this once: only its hash is kept."""
    from seemory.store.keys import Keys

    with memory_for(home) as memory:
        secret, key = Keys(memory.database).create(owner, scope)
    if json_:
        print_json({"key": secret} | key.as_json())
    else:
        click.echo(secret)
        click.echo(f"{scope} key {str(key.id)[:8]} for {owner}; it is not shown again", err=True)


@keys.command(name="list")
@_home
@as_json
def list_(home: Path | None, json_: bool) -> None:
    """List all keys by what is known of them: id, scope, age and owner."""
    from seemory.store.keys import Keys

    with memory_for(home) as memory:
        found = Keys(memory.database).all()
    if json_:
        print_json({"keys": [key.as_json() for key in found]})
        return
    for key in found:
        ended = f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else "opens"
        click.echo(f"{str(key.id)[:8]}  {key.scope:5}  {key.created_at:%Y-%m-%d}  {ended:18}  {key.owner}")


@keys.command()
@click.argument("key")
@_home
@as_json
def revoke(key: str, home: Path | None, json_: bool) -> None:
    """Make a key, named by its id or a unique beginning of it, open nothing from the next request on."""
    from seemory.store.keys import Keys

    with memory_for(home) as memory:
        revoked = Keys(memory.database).revoke(key)
    if json_:
        print_json(revoked.as_json())
    else:
        click.echo(f"revoked {str(revoked.id)[:8]} of {revoked.owner}")
