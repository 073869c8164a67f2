"""Commands about what is remembered in words: remember, recall. `forget` is the same as for pictures."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seemory.cli.display import print_json, print_path, progress
from seemory.cli.options import as_json, memory_for, where_it_is

if TYPE_CHECKING:
    from seemory.remembering.recalling import Recalled


@click.command()
@click.argument("words", nargs=-1)
@click.option("--tag", "tags", multiple=True, help="A keyword; repeatable.")
@click.option("--when", help="When it was: 2026-05-04 or 2026-05-04T18:30.")
@click.option(
    "--from",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Remember all of a .txt (by paragraph), .md (by section) or .jsonl; repeatable.",
)
@where_it_is
@as_json
def remember(
    words: tuple[str, ...],
    tags: tuple[str, ...],
    when: str | None,
    files: tuple[Path, ...],
    json_: bool,
    **where: Any,
) -> int:
    """Remember the text that WORDS make; said before in nearly the same words, it is counted."""
    from seemory.remembering.texts import moment

    if bool(words) == bool(files):
        raise click.UsageError("give a text, or files with --from")
    if files and (tags or when):
        raise click.UsageError("--tag and --when are about one text; a .jsonl says them for each of its own")
    with memory_for(**where) as memory:
        if files:
            with progress("Remembering") as listen:
                report = memory.remember_from(*files, listen=listen)
            if json_:
                print_json(asdict(report))
            else:
                for number, reason in report.errors:
                    click.echo(f"  text {number}: {print_path(reason)}", err=True)
                bad = f", {report.bad:,} bad" if report.bad else ""
                click.echo(f"{report.new:,} new, {report.merged:,} said before{bad}")
            _say_waiting(report.waiting)
            return 1 if report.bad else 0
        done = memory.remember(" ".join(words), tags=tags, when=None if when is None else moment(when))
    if json_:
        print_json(asdict(done) | {"alike": [{"item_id": str(one), "cosine": cosine} for one, cosine in done.alike]})
    else:
        how = "remembered" if done.new else f"remembered before, {done.times} times now"
        alike = f"; {len(done.alike)} alike" if done.alike else ""
        click.echo(f"{str(done.item_id)[:8]}  {how}{alike}")
    _say_waiting(done.waiting)
    return 0


@click.command()
@click.argument("words", nargs=-1, required=True)
@click.option("--limit", "-n", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many.")
@click.option("--kind", type=click.Choice(["image", "scene", "text"]), help="Only this kind; text: what was said.")
@click.option(
    "--where", "conditions", multiple=True, help="A condition such as tag=travel or taken=2026-05; repeatable."
)
@where_it_is
@as_json
def recall(
    words: tuple[str, ...], limit: int, kind: Any, conditions: tuple[str, ...], json_: bool, **where: Any
) -> None:
    """Find what is remembered of WORDS: texts, pictures and scenes in one ranking."""
    with memory_for(**where) as memory:
        found = memory.recall(" ".join(words), limit=limit, kind=kind, where=conditions)
    if json_:
        print_json({"query": " ".join(words), "recalled": [one.as_json() for one in found]})
        return
    if not found:
        click.echo("nothing found", err=True)
    for one in found:
        click.echo(f"{one.hit.rank:4}  {_line(one)}")


def _line(one: Recalled) -> str:
    text = " ".join((one.text or "").split())
    told = text if one.hit.kind == "text" else f"{one.hit.uri}{': ' + text if text else ''}"
    more = [f"{one.when:%Y-%m-%d}"] if one.when else []
    more += [f"{one.times} times"] if one.times > 1 else []
    more += [f"#{tag}" for tag in one.tags]
    line = f"{str(one.hit.item_id)[:8]}  {told[:200]}{'  (' + ', '.join(more) + ')' if more else ''}"
    return print_path("".join(character if character.isprintable() else " " for character in line))


def _say_waiting(waiting: str | None) -> None:
    if waiting:
        click.echo(f"found by its words alone until `seemory describe --catch-up`: {waiting}", err=True)
