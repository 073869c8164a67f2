"""Commands about reference photographs: advise, advisor."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seemory.cli.display import print_json, print_path, progress
from seemory.cli.options import as_json, memory_for, say_notice, where_it_is
from seemory.errors import UsageError

if TYPE_CHECKING:
    from seemory.advisors.advice import Advice
    from seemory.advisors.comparison import Comparison
    from seemory.advisors.library import LibraryReport


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--advisor", required=True, help="Whose library: a name that `seemory advisor list` shows.")
@click.option(
    "--mode",
    type=click.Choice(["similar", "dimensions", "critic", "combined"]),
    default="combined",
    show_default=True,
    help="The works it is like; its eight scores beside theirs; a critic's words; or all there is.",
)
@click.option("--limit", "-n", default=3, show_default=True, type=click.IntRange(1, 100), help="Nearest works named.")
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page to print, and nothing else."
)
@where_it_is
@as_json
def advise(file: Path, advisor: str, mode: Any, limit: int, html: Path | None, json_: bool, **where: Any) -> None:
    """Say what an advisor's library says of a photograph. Nothing of the photograph is kept."""
    with memory_for(**where) as memory:
        start = time.perf_counter()
        advice = memory.advise(file, advisor, mode=mode, limit=limit)
        milliseconds = round((time.perf_counter() - start) * 1000, 1)
        if html is not None:
            _write(html, memory.advisors.page(advice, file))
    if json_:
        print_json(advice.as_json() | {"milliseconds": milliseconds})
    elif html is not None:
        click.echo(f"{print_path(str(html))} written")
        for line in advice.missing:
            click.echo(line, err=True)
    else:
        _print_advice(advice)


@click.group()
def advisor() -> None:
    """Keep libraries of reference photographs."""


@advisor.command("add")
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--bio", type=click.Path(path_type=Path, dir_okay=False), help="A text about the advisor.")
@click.option(
    "--catalogue",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A .csv or .json with title, year, source and licence by file.",
)
@where_it_is
@as_json
def add(name: str, folder: Path, bio: Path | None, catalogue: Path | None, json_: bool, **where: Any) -> int:
    """Bring the pictures in FOLDER into the library of NAME. Run it again any time: only what is new costs work."""
    with memory_for(**where) as memory, progress("Adding") as listen:
        report = memory.advisors.add(name, folder, biography=bio, catalogue=catalogue, listen=listen)
        say_notice(memory)
    return _print_report(report, json_)


@advisor.command("list")
@where_it_is
@as_json
def list_(json_: bool, **where: Any) -> None:
    """List the advisors."""
    with memory_for(**where) as memory:
        found = memory.advisors.all()
    if json_:
        print_json({"advisors": [asdict(one) for one in found]})
        return
    for one in found:
        first = (one.biography or "").partition("\n")[0]
        click.echo(f"{one.name:20} {one.references:5,} works  {first[:70]}".rstrip())
    if not found:
        click.echo("no advisors yet: `seemory advisor add NAME DIR` makes one", err=True)


@advisor.command()
@click.argument("name")
@where_it_is
@as_json
def show(name: str, json_: bool, **where: Any) -> None:
    """Show what is in the library of NAME."""
    with memory_for(**where) as memory:
        found = memory.advisors.find(name)
        works = memory.advisors.references(name)
    if json_:
        print_json(asdict(found) | {"works": [work.as_json() | {"file_is_here": work.is_here} for work in works]})
        return
    click.echo(f"{found.name}, {found.references:,} works")
    if found.biography:
        click.echo(found.biography)
    for work in works:
        told = [work.name, work.year, work.source, work.licence, None if work.is_here else "the file is gone"]
        click.echo(f"{work.key}  {print_path(', '.join(one for one in told if one))}")


@advisor.command()
@click.argument("name")
@click.argument("works", nargs=-1)
@click.option("--yes", is_flag=True, help="Do not ask.")
@where_it_is
def remove(name: str, works: tuple[str, ...], yes: bool, **where: Any) -> None:
    """Remove the library of NAME, or of it these WORKS (key, file name or title). Files are never touched."""
    if not yes and sys.stdin.isatty():
        what = f"{len(works)} works of {name}" if works else f"{name} with all works"
        click.confirm(f"Remove {what}? The files stay on disk.", abort=True)
    with memory_for(**where) as memory:
        click.echo(f"{memory.advisors.remove(name, works)} works removed")


@advisor.command()
@click.argument("name", required=False)
@click.option("--encoder", metavar="MODEL", help="Make them for this encoder, by default for the one that answers now.")
@where_it_is
@as_json
def refresh(name: str | None, encoder: str | None, json_: bool, **where: Any) -> int:
    """Make what an encoder has not made yet of the works in one library, or in all of them."""
    with memory_for(**where) as memory, progress("Refreshing") as listen:
        report = memory.advisors.refresh(name, encoder=encoder, listen=listen)
    return _print_report(report, json_)


def _print_scores(comparison: Comparison) -> None:
    from seemory.advisors.wording import NAMES

    click.echo(f"\n{'':26} yours  middle    best")
    for one in comparison.standings:
        best = print_path(one.best.reference.name)
        mark = {"strength": "+", "priority": "-", "level": " "}[one.place]
        click.echo(f"{mark} {NAMES[one.dimension]:24} {one.score:5.1f} {one.usual:7.1f} {one.best_score:7.1f}  {best}")
    click.echo("\nto study:")
    for study in comparison.to_study:
        gap = f"{study.gap:+.1f} in {NAMES[study.dimension]}"
        name = print_path(study.work.reference.name)
        click.echo(f"{study.relevance:10.2f}  {name}, {gap}, cosine {study.work.cosine:.2f}")


def _print_report(report: LibraryReport, json_: bool) -> int:
    if json_:
        print_json(report.as_json())
    else:
        for path, reason in report.errors:
            click.echo(f"  {print_path(path)}: {reason}", err=True)
        for name in report.unmatched:
            click.echo(f"  the catalogue names {print_path(name)}, and no picture is called so", err=True)
        parts = [f"{report.added:,} added", f"{report.known:,} known", f"{report.computed:,} computed"]
        parts += [f"{report.corrected:,} corrected"] if report.corrected else []
        parts += [f"{report.failed:,} failed"] if report.failed else []
        click.echo(f"{report.advisor}: {', '.join(parts)} in {report.seconds:.1f} s")
    return 1 if report.failed else 0


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error}") from error


def _print_advice(advice: Advice) -> None:
    for statement in advice.words:
        click.echo(print_path(statement.text))
    if advice.comparison:
        _print_scores(advice.comparison)
    for rank, one in enumerate(advice.similar, start=1):
        work = one.reference
        told = [work.name, work.year, work.source, work.licence, None if work.is_here else "the file is gone"]
        click.echo(f"{rank:4}  {one.likeness:.2f}  {print_path(', '.join(part for part in told if part))}")
        click.echo(f"            {one.reason}")
    for line in advice.missing:
        click.echo(line, err=True)
