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
    from seemory.advisors.critic.criticising import Criticised
    from seemory.advisors.critic.evaluating import Evaluation, Side
    from seemory.advisors.critic.training import TrainingReport
    from seemory.advisors.library_report import LibraryReport


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
    adapter = f", adapter {found.adapter['name']} for {found.adapter['base']}" if found.adapter else ""
    click.echo(f"{found.name}, {found.references:,} works{adapter}")
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


@advisor.command()
@click.argument("name")
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Critiques: a .jsonl file of lines with `image` and `critique`.",
)
@click.option(
    "--epochs", default=3, show_default=True, type=click.IntRange(1, 10_000), help="Times over all critiques."
)
@click.option("--rate", default=2e-4, show_default=True, type=float, help="Learning rate.")
@click.option("--batch", default=8, show_default=True, type=click.IntRange(1, 1024), help="Critiques of one step.")
@click.option("--together", default=2, show_default=True, type=click.IntRange(1, 256), help="Critiques of one pass.")
@click.option(
    "--hold-out", default=0.1, show_default=True, type=click.FloatRange(0, 0.5), help="Share kept back to tell an end."
)
@click.option("--patience", default=1, show_default=True, type=click.IntRange(0), help="Epochs without getting better.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Another one: another order.")
@where_it_is
@as_json
def train(name: str, data: Path, json_: bool, home: Any, collection: Any, owner: Any, model: Any, **plan: Any) -> int:
    """Train the adapter by which a critic speaks as NAME. Run again after a kill, it takes up where it stopped."""
    from seemory.advisors.critic.plan import Plan

    with memory_for(home, collection, owner, model) as memory, progress("Training") as listen:
        report = memory.critics.train(name, data, plan=Plan(**plan), listen=listen)
    return _print_training(report, json_)


@advisor.command()
@click.argument("name")
@click.option(
    "--data",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Critiques to compare with, by default the library's works and their measured scores.",
)
@click.option("--limit", "-n", default=40, show_default=True, type=click.IntRange(1), help="Photographs at most.")
@click.option("--free", is_flag=True, help="Do not hold answers to the schema while they are made.")
@where_it_is
@as_json
def evaluate(name: str, data: Path | None, limit: int, free: bool, json_: bool, **where: Any) -> int:
    """Ask the critic of NAME with its adapter and without: valid answers, changed words, the order of its scores."""
    with memory_for(**where) as memory, progress("Evaluating") as listen:
        found = memory.critics.evaluate(
            name, data=data, limit=limit, constrained=False if free else None, listen=listen
        )
    return _print_evaluation(found, json_)


def _print_training(report: TrainingReport, json_: bool) -> int:
    if json_:
        print_json(report.as_json())
        return 1 if report.bad else 0
    for number, fault in report.bad:
        click.echo(f"  line {number}: {print_path(fault)}", err=True)
    begun = f", taken up at step {report.taken_up_at}" if report.taken_up_at else ""
    ended = ", stopped early" if report.stopped_early else ""
    click.echo(f"{report.advisor}: {report.examples:,} critiques, {report.steps:,} steps{begun}{ended}")
    for epoch, loss in enumerate(report.losses):
        held = f", held out {report.held_out_losses[epoch]:.4f}" if report.held_out_losses else ""
        kept = " (kept)" if report.best_epoch == epoch + 1 else ""
        click.echo(f"  epoch {epoch + 1}: loss {loss:.4f}{held}{kept}")
    parts = [f"{len(report.bad):,} lines left out"] if report.bad else []
    parts += [f"another likeliest word in {report.changed:.0%} of places", f"{report.seconds:.1f} s"]
    click.echo(f"{report.adapter}: {', '.join(parts)}")
    return 1 if report.bad else 0


def _print_evaluation(found: Evaluation, json_: bool) -> int:
    if json_:
        print_json(found.as_json())
        return 1 if found.missing else 0
    how = "held to the schema" if found.constrained else "not held to the schema"
    click.echo(f"{found.advisor}: {found.photographs:,} photographs, beside {print_path(found.compared_with)}, {how}")
    sides: list[tuple[str, Side | None]] = [("without", found.without), (found.adapter or "", found.with_adapter)]
    for name, side in sides:
        if side is not None:
            order = "none" if side.mean_agreement is None else f"{side.mean_agreement:+.2f}"
            tokens = f"{side.prompt_tokens:,} + {side.completion_tokens:,} tokens"
            click.echo(f"  {name:32} valid {side.valid_share:.0%}, agreement of order {order}, {tokens}")
    if found.changed is not None and found.with_adapter is not None:
        click.echo(f"  the adapter says something else of {found.changed:.0%}")
    for line in [*found.left_out, *found.missing]:
        click.echo(f"  {print_path(line)}", err=True)
    return 1 if found.missing else 0


def _print_critic(said: Criticised) -> None:
    from seemory.advisors.wording import NAMES

    tries = "" if said.bill.attempts == 1 else f", {said.bill.attempts} tries"
    tokens = f"{said.bill.prompt_tokens:,} + {said.bill.completion_tokens:,} tokens"
    click.echo(f"\nthe critic: {print_path(said.adapter or said.model)}, {tokens}{tries}, {said.seconds:.1f} s")
    for name, remark in said.critique.dimensions.items():
        click.echo(f"  {NAMES[name]:24} {remark.score:4d}  {print_path(remark.comment)}")


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
    if advice.critic and advice.mode != "critic":
        _print_critic(advice.critic)
    for rank, one in enumerate(advice.similar, start=1):
        work = one.reference
        told = [work.name, work.year, work.source, work.licence, None if work.is_here else "the file is gone"]
        click.echo(f"{rank:4}  {one.likeness:.2f}  {print_path(', '.join(part for part in told if part))}")
        click.echo(f"            {one.reason}")
    for line in advice.missing:
        click.echo(line, err=True)
