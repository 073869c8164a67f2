"""Commands about the whole: demo, stats, doctor."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from seemory.cli.display import print_json
from seemory.cli.options import as_json, memory_for, where_it_is
from seemory.errors import UsageError


@click.command()
@click.option("--photos", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Your own photographs.")
@click.option("--output", default="demo.html", type=click.Path(path_type=Path), help="The contact sheet to write.")
@click.option("--model", default="seemory-mini", show_default=True, help="The encoder to show.")
@click.option("--home", type=click.Path(path_type=Path, file_okay=False), help="The data folder.")
def demo(photos: Path | None, output: Path, model: str, home: Path | None) -> None:
    """Index a few real photographs, run ten searches, and write a contact sheet that opens in a browser."""
    from seemory.demo import run_demo

    collection = f"demo-{model}" + (f"-{photos.resolve()}" if photos else "")
    with memory_for(home, collection=collection[:200], model=model) as memory:
        run_demo(memory, photos, output, click.echo)


@click.command()
@where_it_is
@as_json
@click.option("--prometheus", is_flag=True, help="The figures as Prometheus reads them.")
def stats(json_: bool, prometheus: bool, **where: Any) -> None:
    """Say what the memory holds, and how embedding went."""
    if json_ and prometheus:
        raise UsageError("--json and --prometheus are two forms of the same figures: name one")
    with memory_for(**where) as memory:
        figures = memory.stats()
    if json_:
        print_json(figures)
        return
    if prometheus:
        from seemory.health import prometheus as as_prometheus

        click.echo(as_prometheus(figures), nl=False)
        return
    figures |= _lines_of(figures.pop("health"))
    for name, value in figures.items():
        if isinstance(value, dict) and not value:
            continue  # a heading with nothing under it
        if isinstance(value, dict):
            click.echo(f"{name}:")
            for key, count in value.items():
                click.echo(f"  {count!s:>10}  {key}")
        else:
            shown = f"{value:,}" if isinstance(value, int) else "-" if value is None else value
            click.echo(f"{name:14} {shown}")


def _lines_of(health: Any) -> dict[str, Any]:
    """The health figures as further lines of the list."""
    shares = {"with a vector": "with_vector", "failed": "failed", "out of time": "timeout"}
    return {
        "embedding": {name: _percent(health[key]) for name, key in shares.items()},
        "failed by reason": {reason: _percent(share) for reason, share in health["failed_by_reason"].items()},
        "mean_ms": health["mean_ms"],
        "p95_ms": health["p95_ms"],
    }


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"


@click.command()
@where_it_is
@as_json
def doctor(json_: bool, **where: Any) -> int:
    """Say what works on this machine, what does not, and what to do about it."""
    from seemory.doctor import examine

    with memory_for(**where) as memory:
        findings = examine(memory)
    if json_:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            click.echo(f"{finding.mark:5} {finding.name:14} {finding.says}")
            if finding.do:
                click.echo(f"      {'':14} → {finding.do}")
    return 1 if any(finding.mark == "fails" for finding in findings) else 0
