"""A comparison as a table, and as one HTML page that needs nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from seemory.alignment.run_log import LOG
from seemory.alignment.sweep import Result, interval
from seemory.errors import UsageError
from seemory.evaluation.report import Drawing, Page, Table

_SHOWN = 8
"""Courses in one drawing; more cannot be told apart."""


def sweep_table(results: Sequence[Result]) -> Table:
    """A row a cell; recall is the mean over the seeds ± half its 95 % interval (Student's t), in percent."""
    rows = []
    for one in results:
        widest = max(one.recall)
        found = one.recall[widest]
        rows.append(
            (
                one.cell.name,
                f"{one.parameters:,}",
                _spread(found["text_to_image_r1"]),
                _spread(found["text_to_image_r10"]),
                _spread(found["image_to_text_r1"]),
                _spread(one.loss, "{:.2f}"),
                _spread(one.variance, "{:.2f}"),
                f"{one.ms_a_step:.0f}",
                str(len(one.stopped)) if one.stopped else "",
            )
        )
    heads = ("cell", "parameters", "words→pictures R@1", "R@10", "pictures→words R@1", "loss", "variance", "ms a step")
    return Table(f"{len(results)} cells", (*heads, "given up"), rows)


def widths_table(results: Sequence[Result]) -> Table:
    """Recall from words to pictures, R@1 and R@10, at each width that was trained."""
    widths = sorted({width for one in results for width in one.recall}, reverse=True)
    rows = [
        (
            one.cell.name,
            *(f"{_mean(one, width, 1)} / {_mean(one, width, 10)}" if width in one.recall else "-" for width in widths),
        )
        for one in results
    ]
    return Table("words→pictures R@1 / R@10 by width", ("cell", *map(str, widths)), rows)


def sweep_page(results: Sequence[Result], out: Path, ln_batch: float) -> Page:
    """The tables, recall a cell with every seed, and how loss and variance went in the first seed of each head's cells.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        from seemory.alignment import plots
    except ImportError as error:
        raise UsageError(f"the drawn report needs {error.name}: pip install 'seemory[align]'") from error
    heads = list(dict.fromkeys(one.cell.head for one in results))
    values = [(one, one.recall[max(one.recall)]["text_to_image_r1"]) for one in results]
    cells = [(one.cell.name, recall, *interval(recall)) for one, recall in values]
    groups = [heads.index(one.cell.head) for one in results]
    drawings = [Drawing("Words to pictures, R@1", plots.cells_svg(cells, "percent; a point a seed", groups))]
    for head in heads:
        mine = [one.cell.name for one in results if one.cell.head == head]
        courses = {name: _course(out / name / "seed0" / LOG) for name in _spread_out(mine)}
        if any(courses.values()):
            drawings.append(Drawing(f"{head}: loss and variance", plots.courses_svg(courses, ln_batch)))
    stopped = [f"{one.cell.name}: {reason}" for one in results for reason in one.stopped]
    tables = [sweep_table(results)]
    if max(len(one.recall) for one in results) > 1:
        tables.append(widths_table(results))
    return Page(f"Sweep: {out.name}", tables, notes=[f"ln(batch) is {ln_batch:.3f}", *stopped], drawings=drawings)


def _spread(values: Sequence[float], form: str = "{:.1f}") -> str:
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return "-"
    mean, half = interval(finite)
    return form.format(mean) if math.isnan(half) else f"{form.format(mean)} ± {form.format(half)}"


def _mean(one: Result, width: int, k: int) -> str:
    return f"{interval(one.recall[width][f'text_to_image_r{k}'])[0]:.1f}"


def _course(path: Path) -> list[dict[str, float]]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return []


def _spread_out(names: Sequence[str]) -> list[str]:
    step = max(1, math.ceil(len(names) / _SHOWN))
    return list(names)[::step]
