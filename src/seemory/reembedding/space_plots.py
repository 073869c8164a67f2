"""The report on two generations, drawn: SVG for a page that may be light or dark."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seemory.evaluation.geometry import Numbers, maps, nearest_cosines, pair_cosines
from seemory.reembedding.space_report import SpaceReport

_INK = "#010203"  # becomes the page's own colour of text
# Okabe & Ito's colours without black, which a dark page would hide; told apart by the colour-blind.
_COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#0072b2", "#d55e00", "#bda800", "#7a68c9")
_OTHERS = "#9a9a9a"
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "seemory",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
}


def cosines_svg(report: SpaceReport) -> str:
    """Both generations' cosines of random pairs and of nearest neighbours, on one scale."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9.6, 3.0), layout="constrained")
        drawn = [(pair_cosines(space.vectors), nearest_cosines(space.vectors)) for space in report.spaces]
        low = min([float(pairs.min()) for pairs, _ in drawn if len(pairs)], default=-1.0)
        bins = np.linspace(min(low, 0.0), 1.0, 61)
        axes = figure.subplots(1, 2, sharex=True, sharey=True)
        for axis, space, (pairs, nearest) in zip(axes, report.spaces, drawn, strict=True):
            for cosines, colour, name in ((pairs, _COLOURS[1], "random pairs"), (nearest, _COLOURS[0], "nearest")):
                axis.hist(cosines, bins=bins, weights=_shares(cosines), color=colour, alpha=0.75, label=name)
            axis.set_title(_title(space.generation.table, space.generation.model, space.generation.dim))
            axis.set_xlabel("cosine")
        axes[0].set_ylabel("share")
        axes[0].legend(frameon=False)
        return _svg(figure)


def maps_svg(report: SpaceReport) -> str | None:
    """t-SNE of the same items in both spaces, the largest groups in colour; None for fewer items than make a map."""
    made = maps(report.spaces[0].vectors, report.spaces[1].vectors)
    if made is None:
        return None
    counts = Counter(label for label in report.labels if label is not None)
    named = [label for label, count in counts.most_common(len(_COLOURS)) if count > 1]
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9.6, 5.0), layout="constrained")
        axes = figure.subplots(1, 2)
        for axis, space, points in zip(axes, report.spaces, made, strict=True):
            _scatter(axis, points, report.labels, named)
            axis.set_title(_title(space.generation.table, space.generation.model, space.generation.dim))
        if named:
            figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
        return _svg(figure)


def _scatter(axis: Axes, points: Numbers, labels: Sequence[str | None], named: Sequence[str]) -> None:
    held = np.array([label or "" for label in labels])
    rest = ~np.isin(held, named)
    if rest.any():
        axis.scatter(
            points[rest, 0],
            points[rest, 1],
            s=9,
            color=_OTHERS,
            alpha=0.45,
            linewidths=0,
            label="others" if named else None,
        )
    for label, colour in zip(named, _COLOURS, strict=False):
        mine = points[held == label]
        axis.scatter(mine[:, 0], mine[:, 1], s=15, color=colour, linewidths=0, label=_short(label))
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)


def _shares(cosines: Numbers) -> Numbers:
    return np.full(len(cosines), 1 / max(1, len(cosines)))


def _title(table: str, model: str, dim: int) -> str:
    return _short(f"{table}: {model.rsplit('/', 1)[-1]}, {dim} wide", 60)


def _short(text: str, most: int = 28) -> str:
    plain = text.encode("utf-8", "backslashreplace").decode().replace("$", r"\$")  # a pair of $ would be a formula
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def _svg(figure: Figure) -> str:
    written = io.StringIO()
    figure.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = written.getvalue()
    return text[text.index("<svg") :].replace(_INK, "currentColor")
