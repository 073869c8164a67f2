"""The command that gives an agent its memory: mcp."""

from __future__ import annotations

from pathlib import Path

import click

from seemory.cli.options import memory_for, where_it_is
from seemory.errors import UsageError


@click.command()
@click.option("--http", is_flag=True, help="Over streamable HTTP on this machine, and not over stdin and stdout.")
@click.option("--port", type=click.IntRange(1, 65_535), default=8601, show_default=True, help="The port for --http.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address for --http; others need --keys.")
@click.option(
    "--keys", is_flag=True, help="Over HTTP each request shows a key, and is answered from its owner's memory."
)
@where_it_is
def mcp(
    http: bool,
    port: int,
    host: str,
    keys: bool,
    home: Path | None,
    collection: str | None,
    owner: str | None,
    model: str | None,
) -> None:
    """Give an agent this memory, by the Model Context Protocol."""
    try:
        from seemory.mcp import make_server, serve_over_http
    except ImportError as error:
        raise UsageError(f"the Model Context Protocol needs an extra: pip install 'seemory[mcp]' ({error})") from error
    if keys and not http:
        raise UsageError("keys are shown over HTTP: say --http as well")
    if http and not keys and host not in ("127.0.0.1", "localhost", "::1"):
        raise UsageError(f"{host!r} is not this machine alone: say --keys, and make one (seemory keys create)")
    from seemory.store.keys import Keys

    with memory_for(home, collection, owner, model) as memory:
        server = make_server(memory, keys=Keys(memory.database) if keys else None)
        if http:
            whose = memory.collection if keys else f"{memory.owner}'s {memory.collection}"
            click.echo(f"{whose} for agents at http://{host}:{port}/mcp", err=True)
            serve_over_http(server, host, port, keys=keys)
        else:
            server.run("stdio")
