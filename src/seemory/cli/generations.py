"""How generations look on a terminal: each for itself, and beside one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from seemory.cli.display import print_json, print_path

if TYPE_CHECKING:
    from seemory.store.transitions import Swap

_NAMED = 5  # owners who are named; the others are counted


def print_status(generation: dict[str, Any]) -> None:
    """How far a generation is, what failed in it, and how its verification went."""
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
        print_verification(generation["verification"])


def print_verification(found: dict[str, Any]) -> None:
    """What a verification found, in one line and one for each problem."""
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


def print_side_by_side(document: dict[str, Any]) -> None:
    """What an operator weighs while a change is rolled out: owners, items, times, bytes, and how far both agree."""
    generations = document["generations"]
    times = [generation["milliseconds"] or {"p50": None, "p95": None} for generation in generations]
    print_columns(
        [
            ("", [generation["table"] for generation in generations]),
            ("encoder", [generation["model"] for generation in generations]),
            ("answers for", [_whom(generation) for generation in generations]),
            ("items", [f"{generation['done']:,}" for generation in generations]),
            ("ms a search, median", [_number(one["p50"], 2) for one in times]),
            ("ms a search, 95 %", [_number(one["p95"], 2) for one in times]),
            ("MB", [f"{generation['bytes'] / 1e6:.1f}" for generation in generations]),
        ]
    )
    agree = document["overlap"]
    words = "" if agree["words"] is None else f", asked by words {agree['words']:.2f}"
    if agree["items"] is not None:
        click.echo(f"of the ten nearest, both name {agree['items']:.2f}{words}")


def print_columns(rows: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Rows of a name and its values, the values below one another."""
    first = max(len(name) for name, _ in rows)
    widths = [max(len(values[n]) for _, values in rows) for n in range(len(rows[0][1]))]
    for name, values in rows:
        cells = "  ".join(value.rjust(width) for value, width in zip(values, widths, strict=True))
        click.echo(f"{name:{first}}  {cells}")


def say_swap(swap: Swap, json_: bool) -> None:
    """Which generation answers from now on, and for whom."""
    live, before, owners = swap
    if json_:
        print_json(swap.as_json())
    elif owners is None:
        click.echo(f"{live.table} ({live.model}) answers now; {before.table} ({before.model}) is {before.state}")
    else:
        click.echo(f"{live.table} ({live.model}) answers {_listed(owners)} now; the others are as they were")


def _whom(generation: dict[str, Any]) -> str:
    named = generation["rolled_out_to"]
    count = f"{generation['answers_for']:,} owner{'' if generation['answers_for'] == 1 else 's'}"
    return f"{count} ({_listed(named)})" if named else count


def _listed(owners: Sequence[str]) -> str:
    more = f" and {len(owners) - _NAMED:,} more" if len(owners) > _NAMED else ""
    return ", ".join(print_path(owner) for owner in owners[:_NAMED]) + more


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
