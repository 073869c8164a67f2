"""Figures as tables for a terminal, and as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from seemory.errors import UsageError

PAGE_STYLE = """
:root { color-scheme: light dark; --ground: #fdfdfc; --ink: #1d1d1f; --soft: #6b6b70; --line: #d9d9dc }
@media (prefers-color-scheme: dark) { :root { --ground: #17181b; --ink: #e8e8ea; --soft: #a0a0a8; --line: #3a3b40 } }
body { background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto;
       max-width: 62rem; padding: 0 1rem }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
p { color: var(--soft); margin: .3rem 0 }
table { border-collapse: collapse; width: 100% }
td, th { border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; padding: .3rem .6rem;
         text-align: right }
td:first-child, th:first-child { text-align: left } th { font-weight: 600; overflow-wrap: anywhere }
svg { color: var(--ink); height: auto; width: 100% } .wide { overflow-x: auto }
.figures { font-size: .8rem } .figures td { padding: .25rem .35rem; white-space: nowrap }
.figures th { overflow-wrap: normal; padding: .25rem .35rem; vertical-align: bottom }
.figures .name { text-align: left }
"""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under heads; the first columns are names, the others figures."""

    title: str
    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    names: int = 1
    """So many columns are names, and stand at the left."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture of figures, as SVG, and what is to be known of it."""

    title: str
    svg: str
    says: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A report as a person reads it."""

    title: str
    tables: Sequence[Table]
    notes: Sequence[str] = field(default=())
    drawings: Sequence[Drawing] = field(default=())


def as_lines(table: Table) -> Iterator[str]:
    """The table for a terminal: its title, its heads and its rows, in columns."""
    rows = [tuple(_printable(cell) for cell in row) for row in (table.heads, *table.rows)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(table.heads))]
    yield _printable(table.title)
    for row in rows:
        cells = zip(row, widths, strict=True)
        yield "  ".join(
            cell.ljust(width) if place < table.names else cell.rjust(width) for place, (cell, width) in enumerate(cells)
        ).rstrip()


def write_page(page: Page, file: Path) -> None:
    """The page, written.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        file.write_text(as_html(page), encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error}") from error


def as_html(page: Page) -> str:
    """The page as one document: no script, and nothing is fetched."""
    parts = [
        "<!doctype html>",
        f'<html lang="en"><meta charset="utf-8"><title>{escape(page.title)}</title>',
        '<meta name="viewport" content="width=device-width">',
        f"<style>{PAGE_STYLE}</style>",
        f"<h1>{escape(page.title)}</h1>",
    ]
    for table in page.tables:
        parts += [f"<h2>{escape(table.title)}</h2>", '<div class="wide"><table class="figures"><thead><tr>']
        parts += _cells("th", table.heads, table.names)
        parts.append("</tr></thead><tbody>")
        parts += ["<tr>" + "".join(_cells("td", row, table.names)) + "</tr>" for row in table.rows]
        parts.append("</tbody></table></div>")
    parts += [f"<p>{escape(note)}</p>" for note in page.notes]
    for drawing in page.drawings:
        parts += [f"<h2>{escape(drawing.title)}</h2>", f'<div class="wide">{drawing.svg}</div>']
        parts += [f"<p>{escape(drawing.says)}</p>"] if drawing.says else []
    return "\n".join([*parts, "</html>"])


def _cells(tag: str, row: Sequence[str], names: int) -> Iterator[str]:
    for place, cell in enumerate(row):
        kind = ' class="name"' if place < names else ""
        yield f"<{tag}{kind}>{escape(cell)}</{tag}>"


def number(value: float | None, form: str = "{:.3f}") -> str:
    """A figure, or a dash where there is none."""
    return "-" if value is None else form.format(value)


def percent(value: float | None) -> str:
    """A share, in percent."""
    return "-" if value is None else f"{100 * value:.1f}"


def _printable(text: str) -> str:
    """What others named, without what a terminal would take for commands."""
    plain = text.encode("utf-8", "backslashreplace").decode()
    return "".join(character if character.isprintable() else " " for character in plain)
