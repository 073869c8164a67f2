"""Commands about what is said of pictures, and how much it counts: describe, prefer."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seemory.cli.display import print_json, print_path, progress
from seemory.cli.options import as_json, memory_for, weight_option, where_it_is

if TYPE_CHECKING:
    from seemory.describing.describer import DescribeReport


@click.command()
@click.argument("item", required=False)
@click.option("--caption", help="What it shows; an empty text takes the caption away, and so below.")
@click.option("--tag", "tags", multiple=True, help="A keyword, in place of those there were; repeatable.")
@click.option("--notes", help="Whatever else is to be said.")
@click.option("--transcript", help="What is spoken in it.")
@click.option("--language", help="Text search configuration of these words, for example german.")
@click.option(
    "--from",
    "table",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A .csv, .tsv or .jsonl with a row for each item.",
)
@click.option("--catch-up", is_flag=True, help="Only make the sentence vectors that are still missing.")
@where_it_is
@as_json
def describe(
    item: str | None, table: Path | None, catch_up: bool, tags: tuple[str, ...], json_: bool, **given: Any
) -> int:
    """Say what ITEM shows (an id, the beginning of one, or a path), or what a table of items shows."""
    said = {name: given.pop(name) for name in ("caption", "notes", "transcript", "language")}
    words = {name: value for name, value in said.items() if value is not None} | ({"tags": tags} if tags else {})
    if (item is not None) + (table is not None) + catch_up != 1:
        raise click.UsageError("name an ITEM, or a table with --from, or use --catch-up")
    if words and item is None:
        raise click.UsageError(f"--{next(iter(words)).removesuffix('s')} is about one ITEM: name it")
    with memory_for(**given) as memory, progress("Describing") as listen:
        if item is not None:
            report = memory.describe(item, **words)
        elif table is not None:
            report = memory.describe_from(table, listen=listen)
        else:
            report = memory.catch_up(listen=listen)
    if json_:
        print_json(asdict(report))
    else:
        _print(report)
    return 1 if report.bad or report.waiting else 0


def _print(report: DescribeReport) -> None:
    for line, item, reason in report.errors:
        click.echo(f"  line {line}: {print_path(item)}: {reason}", err=True)
    if report.bad > len(report.errors):
        click.echo(f"  … and {report.bad - len(report.errors):,} more", err=True)
    if report.waiting:
        click.echo(f"the words are kept, their sentence vectors could not be made: {report.waiting}", err=True)
    bad = f", {report.bad:,} rows could not be used" if report.bad else ""
    click.echo(f"{report.described:,} described, {report.embedded:,} sentence vectors made{bad}")


@click.command()
@weight_option
@click.option("--clear", is_flag=True, help="Forget the saved weights: the settings' count again.")
@where_it_is
@as_json
def prefer(weights: dict[str, float], clear: bool, json_: bool, **where: Any) -> None:
    """Save how much each channel counts in your searches, or say what is saved."""
    with memory_for(**where) as memory:
        if clear:
            memory.prefer_defaults()
        saved = memory.prefer(**weights)
        counting = memory.default_weights | saved
    if json_:
        print_json({"saved": saved, "weights": counting})
    else:
        for name, weight in counting.items():
            click.echo(f"{name:8} {weight:g}{'' if name in saved else '  (default)'}")
