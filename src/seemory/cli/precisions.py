"""How the measurements of an encoder's precisions are shown, and what `auto` makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from seemory.models.choosing import Report
    from seemory.models.fidelity import Agreement, Measured
    from seemory.models.precision import Way
    from seemory.settings import ModelSettings


def as_document(report: Report, options: ModelSettings) -> dict[str, Any]:
    """The report as `--json` prints it, with what `auto` makes of it."""
    way, why = _choice(report, options)
    chosen = {"runtime": way.runtime, "precision": way.precision, "why": why}
    return report.as_json() | {"fidelity": options.fidelity, "auto": chosen}


def print_table(report: Report, options: ModelSettings) -> None:
    """One line a way, what `auto` makes of it, and where it was kept."""
    click.echo(f"\nmeasured with {report.material}; cosines are to fp32 by onnxruntime")
    heads: tuple[str, ...] = ("precision", "runtime", "pictures/s", "batch", "alone", "texts/s", "pictures mean", "p5")
    heads += ("texts mean", "p5", "load", "MB")
    here = [measured for measured in report.ways if measured.missing is None]
    rows = [_cells(measured) for measured in here]
    if any(measured.recall for measured in here):
        heads += ("R@1", "R@5", "R@10")
        rows = [row + _recall(one, report.ways[0]) for row, one in zip(rows, here, strict=True)]
    widths = [max(len(row[place]) for row in (heads, *rows)) for place in range(len(heads))]
    for row in (heads, *rows):
        cells = [c.ljust(w) if n < 2 else c.rjust(w) for n, (c, w) in enumerate(zip(row, widths, strict=True))]
        click.echo("  ".join(cells).rstrip())
    for measured in report.ways:
        if measured.missing is not None:
            click.echo(
                f"{measured.precision:{widths[0]}}  {measured.runtime:{widths[1]}}  not here: {measured.missing}"
            )
    way, why = _choice(report, options)
    click.echo(f"auto: {way} ({why})")


def _choice(report: Report, options: ModelSettings) -> tuple[Way, str]:
    """The way that `auto` takes for new collections on this machine, and why."""
    from seemory.models.choosing import fastest
    from seemory.models.precision import REFERENCE, WAYS

    allowed = [way for way in WAYS if options.runtime in ("auto", way.runtime)]
    way = fastest(report.ways, options.fidelity, allowed) or REFERENCE
    if way == REFERENCE:
        return way, f"nothing with a 5th percentile of {options.fidelity:g} or more is a tenth faster"
    reference = report.ways[0]
    found = next(measured for measured in report.ways if measured.way == way)
    return way, (
        f"{found.speed / reference.speed:.1f} times as fast, 5th percentile {found.fidelity:.4f}, "
        f"asked for are {options.fidelity:g}"
    )


def _cells(measured: Measured) -> tuple[str, ...]:
    return (
        measured.precision,
        measured.runtime,
        _number(measured.pictures_per_s),
        str(measured.batch or "-"),
        _number(measured.pictures_per_s_alone),
        _number(measured.texts_per_s),
        *_cosines(measured.pictures),
        *_cosines(measured.texts),
        f"{measured.load_s:.2f} s",
        f"{(measured.bytes or 0) / 1e6:.0f}",
    )


def _recall(measured: Measured, reference: Measured) -> tuple[str, ...]:
    """The reference's shares in points, the others' change."""
    if measured.recall is None or reference.recall is None:
        return ("-",) * 3
    if measured is reference:
        return tuple(f"{100 * share:.1f}" for share in measured.recall.values())
    return tuple(f"{100 * (share - reference.recall[k]):+.1f}" for k, share in measured.recall.items())


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _cosines(found: Agreement | None) -> tuple[str, str]:
    return ("-", "-") if found is None else (f"{found.mean:.5f}", f"{found.p5:.5f}")
