"""Commands about changing the encoder: reembed start, status, switch, rollback, drop; and backfill."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seemory.cli.display import print_json, print_path, progress
from seemory.cli.generations import print_columns, print_side_by_side, print_status, print_verification, say_swap
from seemory.cli.options import as_json, memory_for, on_ray, where_it_is

if TYPE_CHECKING:
    from seemory.reembedding.blue_green import Reembedding

_home = click.option("--home", type=click.Path(path_type=Path, file_okay=False), help="The data folder.")
_collection = click.option("--collection", help="The named set of items.")
_force = click.option("--force", is_flag=True, help="Also if it is not ready, or lacks items.")


_queries = click.option(
    "--queries",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file of words, one query a line, in place of the saved ones.",
)
_one_owner = click.option("--owner", "one", multiple=True, help="Only for this owner; repeatable.")
_owners = click.option("--owners", metavar="A,B,C", help="Only for these owners.")


@click.group()
def reembed() -> None:
    """Change a collection's encoder while searches go on."""


@reembed.command()
@click.option("--to", required=True, metavar="MODEL", help="The encoder to change to: a catalogue name or a folder.")
@click.option("--owner", "owners", multiple=True, help="Only this owner's items; repeatable. By default everybody's.")
@_queries
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
    with (
        memory_for(home, collection) as memory,
        redirect_stdout(sys.stderr),  # Ray remarks there that a node has gone; that place is the answer's
        memory.embedding(ray) as embedding,
        progress("Embedding anew") as listen,
    ):
        report = memory.reembedding(embedding).start(to, owners=owners or None, words=_lines(queries), listen=listen)
    if report.note:
        click.echo(report.note, err=True)
    if json_:
        print_json(report.as_json())
    else:
        generation = report.generation
        click.echo(
            f"{report.embedded:,} embedded with {generation.model} in {report.seconds:.1f} s, "
            f"{report.failed:,} failed; {generation.table} is {generation.state}"
        )
        print_verification(report.verification.as_json())
        if generation.state == "ready":
            click.echo("`seemory reembed switch` makes it answer.", err=True)
    return 0 if report.verification.passed else 1


@reembed.command()
@_home
@_collection
@as_json
def status(json_: bool, home: Path | None, collection: str | None) -> None:
    """Say how far each generation is, who is answered by it, what failed, how large and how fast it is."""
    with memory_for(home, collection) as memory:
        document = memory.reembedding().status()
    if json_:
        print_json(document)
        return
    for generation in document["generations"]:
        print_status(generation)
    if len(document["generations"]) > 1:
        print_side_by_side(document)
    if not document["generations"]:
        click.echo("nothing was ever indexed into this collection", err=True)


@reembed.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--clear", is_flag=True, help="Forget the saved ones.")
@_home
@_collection
@as_json
def queries(file: Path | None, clear: bool, json_: bool, home: Path | None, collection: str | None) -> None:
    """Save FILE's lines as the words that generations are compared by, or list the saved ones."""
    with memory_for(home, collection) as memory:
        reembedding = memory.reembedding()
        if clear or file is not None:
            reembedding.save_queries(_lines(file) or [])
        saved = reembedding.queries()
    if json_:
        print_json({"queries": saved})
        return
    for words in saved:
        click.echo(words)
    if not saved:
        click.echo("no queries are saved", err=True)


@reembed.command()
@click.option(
    "--by", metavar="WHAT", help="Group items by folder (the default), by tag, or by a key of their metadata."
)
@click.option(
    "--labels",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Group items by a CSV file: path, label.",
)
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Draw it, into this file.")
@_queries
@_home
@_collection
@as_json
def report(
    by: str | None,
    labels: Path | None,
    html: Path | None,
    queries: Path | None,
    json_: bool,
    home: Path | None,
    collection: str | None,
) -> None:
    """Say how the space changes from one generation to the next: cosines, groups, answers, bytes, milliseconds."""
    from seemory.reembedding.space_page import agreement, rows_of, write_page
    from seemory.reembedding.space_report import by_file, by_folder, by_key, by_tag

    if by is not None and labels is not None:
        raise click.UsageError("items are grouped by --by or by --labels, not by both")
    known = {None: by_folder, "folder": by_folder, "tag": by_tag}
    label = by_file(labels) if labels else known.get(by) or by_key(str(by))
    named = labels.name if labels else by or "folder"
    with memory_for(home, collection) as memory:
        found = memory.reembedding().report(label=label, labelled_by=named, words=_lines(queries))
    if html is not None:
        write_page(found, html)
    if json_:
        print_json(found.as_json())
        return
    print_columns(rows_of(found))
    for line in agreement(found):
        click.echo(line)
    for note in (*found.notes, *([f"drawn in {html}"] if html else [])):
        click.echo(note, err=True)


@reembed.command()
@_one_owner
@_owners
@click.option("--share", type=click.FloatRange(0, 100), metavar="PERCENT", help="Only for so many of all owners.")
@_force
@_home
@_collection
@as_json
def switch(
    one: tuple[str, ...],
    owners: str | None,
    share: float | None,
    force: bool,
    json_: bool,
    home: Path | None,
    collection: str | None,
) -> None:
    """Let the ready generation answer, for everyone or some owners, from that moment on.

    The old one is kept, and kept up to date.
    """
    if force:
        click.echo("forced: the new generation may lack items, and what it lacks is in no answer", err=True)
    with memory_for(home, collection) as memory:
        reembedding = memory.reembedding()
        swap = reembedding.switch(_whom(reembedding, one, owners, share), force=force)
    say_swap(swap, json_)


@reembed.command()
@_one_owner
@_owners
@_force
@_home
@_collection
@as_json
def rollback(
    one: tuple[str, ...], owners: str | None, force: bool, json_: bool, home: Path | None, collection: str | None
) -> None:
    """Let the older generation answer again, for everyone or some owners, from that moment on."""
    if force:
        click.echo("forced: the old generation may lack items, and what it lacks is in no answer", err=True)
    with memory_for(home, collection) as memory:
        reembedding = memory.reembedding()
        swap = reembedding.rollback(_whom(reembedding, one, owners, None), force=force)
    say_swap(swap, json_)


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


def _lines(file: Path | None) -> list[str] | None:
    """The lines of a file that are not empty; None without a file: those that are saved hold."""
    if file is None:
        return None
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{file} is no text in UTF-8: {error}") from error
    return [line.strip() for line in lines if line.strip()]


def _whom(reembedding: Reembedding, one: tuple[str, ...], owners: str | None, share: float | None) -> list[str] | None:
    """The owners that were named or that a share takes in; None: everybody."""
    named = [*one, *(name.strip() for name in (owners or "").split(",") if name.strip())]
    if share is not None and (named or owners is not None):
        raise click.UsageError("name owners, or give a share of them, not both")
    if share is not None:
        return reembedding.owners_in(share)
    if owners is not None and not named:
        raise click.UsageError("--owners names nobody: leave it out to mean everybody")
    return named or None
