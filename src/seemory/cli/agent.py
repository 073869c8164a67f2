"""The command that gives an agent its memory: mcp."""

from __future__ import annotations

from pathlib import Path

import click

from seemory.cli.options import memory_for, where_it_is
from seemory.errors import UsageError


@click.command()
@click.option("--http", is_flag=True, help="Over streamable HTTP on this machine, and not over stdin and stdout.")
@click.option("--port", type=click.IntRange(1, 65_535), default=8601, show_default=True, help="The port for --http.")
@where_it_is
def mcp(http: bool, port: int, home: Path | None, collection: str | None, owner: str | None, model: str | None) -> None:
    """Give an agent this memory, by the Model Context Protocol."""
    try:
        from seemory.mcp import make_server, serve_here
    except ImportError as error:
        raise UsageError(f"the Model Context Protocol needs an extra: pip install 'seemory[mcp]' ({error})") from error
    with memory_for(home, collection, owner, model) as memory:
        server = make_server(memory)
        if http:
            click.echo(f"{memory.owner}'s {memory.collection} for agents at http://127.0.0.1:{port}/mcp", err=True)
            serve_here(server, port)
        else:
            server.run("stdio")
