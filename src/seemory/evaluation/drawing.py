"""What all drawings have in common: colours, the way to SVG for a page that may be light or dark, panels."""

from __future__ import annotations

import io

from matplotlib.axes import Axes
from matplotlib.figure import Figure

_INK = "#010203"  # becomes the page's own colour of text
# Okabe & Ito's colours without black, which a dark page would hide; told apart by the colour-blind.
COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#0072b2", "#d55e00", "#bda800", "#7a68c9")
STYLE = {
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


def panels(count: int, height: float, *, sharex: bool = False, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels, two in a row."""
    rows = (count + 1) // 2
    figure = Figure(figsize=(9.6, height * rows), layout="constrained")
    made = figure.subplots(rows, min(count, 2), squeeze=False, sharex=sharex, sharey=sharey)
    axes = list(made.ravel())
    for spare in axes[count:]:
        spare.set_visible(False)
    return figure, axes[:count]


def shortened(text: str, most: int = 28) -> str:
    """At most so many characters, without what a drawing would take for a formula."""
    plain = text.encode("utf-8", "backslashreplace").decode().replace("$", r"\$")  # a pair of $ would be a formula
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def as_svg(figure: Figure) -> str:
    """The figure, its ink in the page's own colour of text."""
    written = io.StringIO()
    figure.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = written.getvalue()
    return text[text.index("<svg") :].replace(_INK, "currentColor")
