"""Commands about changing the encoder: reembed start, status, switch, rollback, drop; and backfill."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from seemory.cli.display import print_json, print_path, progress
from seemory.cli.options import as_json, memory_for, on_ray, where_it_is

_home = click.option("--home", type=click.Path(path_type=Path, file_okay=False), help="The data folder.")
_collection = click.option("--collection", help="The named set of items.")
_force = click.option("--force", is_flag=True, help="Also if it is not ready, or lacks items.")


@click.group()
def reembed() -> None:
    """Change a collection's encoder while searches go on."""


@reembed.command()
@click.option("--to", required=True, metavar="MODEL", help="The encoder to change to: a catalogue name or a folder.")
@click.option("--owner", "owners", multiple=True, help="Only this owner's items; repeatable. By default everybody's.")
@click.option(
    "--queries", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A file of words, one query a line."
)
@on_ray
@_home
@_collection
@as_json
def start(
    to: str,
    owners: tuple[str, ...],
    queries: Path | None,
    ray: str | None,
    json_: bool,
    home: Path | None,
    collection: str | None,
) -> int:
    """Embed all items anew beside the live generation, and verify. Run it again to go on after a stop of any kind."""
    lines = queries.read_text(encoding="utf-8").splitlines() if queries else []
    words = [line.strip() for line in lines if line.strip()]
    with (
        memory_for(home, collection) as memory,
        memory.embedding(ray) as embedding,
        progress("Embedding anew") as listen,
    ):
        report = memory.reembedding(embedding).start(to, owners=owners or None, words=words, listen=listen)
    if json_:
        print_json(report.as_json())
    else:
        generation = report.generation
        click.echo(
            f"{report.embedded:,} embedded with {generation.model} in {report.seconds:.1f} s, "
            f"{report.failed:,} failed; {generation.table} is {generation.state}"
        )
        _print_verification(report.verification.as_json())
        if generation.state == "ready":
            click.echo("`seemory reembed switch` makes it answer.", err=True)
    return 0 if report.verification.passed else 1


@reembed.command()
@_home
@_collection
@as_json
def status(json_: bool, home: Path | None, collection: str | None) -> None:
    """Say how far each generation is, what failed, how large it is, and how its verification went."""
    with memory_for(home, collection) as memory:
        document = memory.reembedding().status()
    if json_:
        print_json(document)
        return
    for generation in document["generations"]:
        rate = f", {generation['rate']:.1f}/s" if generation["rate"] else ""
        click.echo(
            f"{generation['table']}  {generation['state']:8}  {generation['model']}, {generation['dim']} wide: "
            f"{generation['done']:,} of {generation['total']:,} items{rate}, {generation['bytes'] / 1e6:.1f} MB"
        )
        if pairs := generation["cosines"]:
            click.echo(f"  cosines of random pairs: {pairs['p05']:.2f} to {pairs['p95']:.2f}, mean {pairs['mean']:.2f}")
        for reason, count in generation["failures"].items():
            click.echo(f"  {count:,} without a vector: {print_path(reason)}")
        if generation["verification"]:
            _print_verification(generation["verification"])
    if not document["generations"]:
        click.echo("nothing was ever indexed into this collection", err=True)


@reembed.command()
@_force
@_home
@_collection
@as_json
def switch(force: bool, json_: bool, home: Path | None, collection: str | None) -> None:
    """Let the ready generation answer, for everyone from that moment on. The old one is kept, and kept up to date."""
    if force:
        click.echo("forced: the new generation may lack items, and what it lacks is in no answer", err=True)
    with memory_for(home, collection) as memory:
        live, before = memory.reembedding().switch(force=force)
    _say_swap(live, before, json_)


@reembed.command()
@_force
@_home
@_collection
@as_json
def rollback(force: bool, json_: bool, home: Path | None, collection: str | None) -> None:
    """Let the retired generation answer again, for everyone from that moment on."""
    if force:
        click.echo("forced: the old generation may lack items, and what it lacks is in no answer", err=True)
    with memory_for(home, collection) as memory:
        live, before = memory.reembedding().rollback(force=force)
    _say_swap(live, before, json_)


@reembed.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@_home
@_collection
def drop(yes: bool, home: Path | None, collection: str | None) -> None:
    """Delete the generation beside the live one: the retired one, or one that is not wanted after all."""
    with memory_for(home, collection) as memory:
        reembedding = memory.reembedding()
        beside = reembedding.beside()
        if beside is not None and not yes:
            click.confirm(f"Delete {beside.table} ({beside.state}, {beside.model}) with all its vectors?", abort=True)
        gone = reembedding.drop()
    click.echo(f"{gone.table} ({gone.state}, {gone.model}) is gone")


@click.command()
@click.option("--retry", is_flag=True, help="Read their files and embed them again.")
@click.option("--limit", "-n", default=20, show_default=True, type=click.IntRange(0), help="How many are named.")
@where_it_is
@as_json
def backfill(retry: bool, limit: int, json_: bool, **where: Any) -> int:
    """List the items that have no vector, with the reasons, and embed them again."""
    with memory_for(**where) as memory, progress("Backfilling") as listen:
        report = memory.backfill(retry=retry, limit=limit, listen=listen)
    if json_:
        print_json(report.as_json())
    else:
        for _, uri, reason in report.items:
            click.echo(f"{print_path(uri)}: {reason}")
        for reason, count in report.reasons.items():
            click.echo(f"{count:>10,}  {print_path(reason)}")
        tried = f"{report.embedded:,} of {report.retried:,} embedded now, " if retry else ""
        click.echo(f"{tried}{report.without_vector:,} without a vector")
    return 1 if retry and report.without_vector else 0


def _say_swap(live: Any, before: Any, json_: bool) -> None:
    if json_:
        print_json({"live": asdict(live), "before": asdict(before)})
    else:
        click.echo(f"{live.table} ({live.model}) answers now; {before.table} ({before.model}) is {before.state}")


def _print_verification(found: dict[str, Any]) -> None:
    figures = [f"{found['rows']:,} of {found['items']:,} items"]
    if found["fidelity_least"] is not None:
        figures.append(f"fidelity {found['fidelity_least']:.5f} or more in {found['sampled']} recomputed")
    figures.append("all exact" if found["recall"] is None else f"index recall {found['recall']:.3f}")
    if found["overlap"] is not None:
        figures.append(f"overlap@10 {found['overlap']:.2f}")
    if found["overlap_words"] is not None:
        figures.append(f"for words {found['overlap_words']:.2f}")
    click.echo(f"  {'verified' if found['passed'] else 'not passed'}: {', '.join(figures)}")
    for problem in found["problems"]:
        click.echo(f"  problem: {problem}")
