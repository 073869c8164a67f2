"""The report on two generations as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from seemory.errors import UsageError
from seemory.evaluation.report import PAGE_STYLE
from seemory.reembedding.space_report import SpaceReport
from seemory.types import Generation

Rows = Sequence[tuple[str, Sequence[str]]]


def rows_of(report: SpaceReport) -> Rows:
    """The figures, a row each with one value for each generation; for the terminal and for the page."""
    sides = [space.figures for space in report.spaces]
    return [
        ("", [side["table"] for side in sides]),
        ("encoder", [side["model"] for side in sides]),
        ("dimensions", [str(side["dim"]) for side in sides]),
        ("cosine of random pairs, mean ± std", [_spread(side["random_pairs"]) for side in sides]),
        ("… 5 % to 95 %", [_range(side["random_pairs"]) for side in sides]),
        ("cosine to the nearest, mean ± std", [_spread(side["nearest"]) for side in sides]),
        ("groups: cosine within / between", [_within(side["separation"]) for side in sides]),
        ("groups: apart by", [_part(side["separation"], "sigmas", "{:.2f} σ") for side in sides]),
        ("groups: silhouette", [_part(side["separation"], "silhouette", "{:+.3f}") for side in sides]),
        ("groups: neighbours agree", [_voted(side["separation"]) for side in sides]),
        ("bytes a vector", [f"{side['vector_bytes']:,}" for side in sides]),
        ("MB: table + vector index", [_megabytes(side) for side in sides]),
        ("ms a search: median / 95 %", [_times(side["search_ms"]) for side in sides]),
        ("ms a picture embedded", [_number(side["embed_ms"], "{:.1f}") for side in sides]),
    ]


def agreement(report: SpaceReport) -> Iterator[str]:
    """How many of the ten nearest both generations name, in words."""
    if report.overlap_items is not None:
        yield f"of the ten nearest to an item, both name {report.overlap_items:.2f}"
    if report.overlap_words is not None:
        yield f"of the ten nearest to words ({report.words:,} queries), both name {report.overlap_words:.2f}"


def write_page(report: SpaceReport, file: Path) -> None:
    """The page, drawn and written.

    Raises:
        UsageError: matplotlib or scikit-learn is not installed, or the file cannot be written.
    """
    try:
        from seemory.evaluation.plots import cosines_svg, maps_svg

        shown = [(_title(space.generation), space.vectors) for space in report.spaces]
        drawn, mapped = cosines_svg(shown), maps_svg(shown, report.labels)
    except ImportError as error:
        raise UsageError(
            f"the drawn report needs matplotlib and scikit-learn ({error}): pip install 'seemory[plots]'; the report "
            f"in text needs neither"
        ) from error
    page = _page(report, drawn, mapped)
    try:
        file.write_text(page, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error}") from error


def _page(report: SpaceReport, drawn: str, mapped: str | None) -> str:
    head, *rows = rows_of(report)
    before, after = (escape(space.generation.model.rsplit("/", 1)[-1]) for space in report.spaces)
    notes = [*agreement(report), *report.notes]
    parts = [
        "<!doctype html>",
        f'<html lang="en"><meta charset="utf-8"><title>{before} to {after}</title>',
        '<meta name="viewport" content="width=device-width">',
        f"<style>{PAGE_STYLE}</style>",
        f"<h1>{before} to {after}</h1>",
        f"<p>Collection {escape(report.collection)}, {len(report.labels):,} items of {_owners(report.owners)}, "
        f"grouped by {escape(report.labelled_by)}.</p>",
        *(f"<p>{escape(note)}</p>" for note in notes),
        '<div class="wide"><table><thead><tr>',
        *(f"<th>{escape(cell)}</th>" for cell in (head[0], *head[1])),
        "</tr></thead><tbody>",
        *("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in (name, *cells)) + "</tr>" for name, cells in rows),
        "</tbody></table></div>",
        "<h2>Cosines</h2>",
        f'<div class="wide">{drawn}</div>',
        "<h2>Maps (t-SNE of the same items)</h2>",
        f'<div class="wide">{mapped}</div>' if mapped else "<p>Too few items for a map: eight are needed.</p>",
        "<p>A map keeps near items near. Its axes, and the distance between far groups, mean nothing.</p></html>",
    ]
    return "\n".join(parts)


def _title(generation: Generation) -> str:
    return f"{generation.table}: {generation.model.rsplit('/', 1)[-1]}, {generation.dim} wide"


def _owners(count: int) -> str:
    return "one owner" if count == 1 else f"{count:,} owners"


def _spread(found: dict[str, Any] | None) -> str:
    return "-" if found is None else f"{found['mean']:.3f} ± {found['std']:.3f}"


def _range(found: dict[str, Any] | None) -> str:
    return "-" if found is None else f"{found['p05']:.3f} to {found['p95']:.3f}"


def _within(found: dict[str, Any] | None) -> str:
    return "-" if found is None else f"{found['within']:.3f} / {found['between']:.3f}"


def _voted(found: dict[str, Any] | None) -> str:
    return "-" if found is None else f"{found['neighbours']:.3f} (chance {found['chance']:.3f})"


def _part(found: dict[str, Any] | None, name: str, form: str) -> str:
    return "-" if found is None else _number(found[name], form)


def _megabytes(side: dict[str, Any]) -> str:
    return f"{side['table_bytes'] / 1e6:.1f} + {side['index_bytes'] / 1e6:.1f}"


def _times(found: dict[str, Any] | None) -> str:
    return "-" if found is None else f"{found['p50']:.2f} / {found['p95']:.2f}"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
