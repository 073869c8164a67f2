"""Spaces drawn, side by side: SVG for a page that may be light or dark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from seemory.evaluation.drawing import COLOURS as _COLOURS
from seemory.evaluation.drawing import STYLE as _STYLE
from seemory.evaluation.drawing import as_svg as _svg
from seemory.evaluation.drawing import panels as _panels
from seemory.evaluation.drawing import shortened as _short
from seemory.evaluation.geometry import Numbers, maps, nearest_cosines, pair_cosines
from seemory.types import Vectors

_OTHERS = "#9a9a9a"


def cosines_svg(spaces: Sequence[tuple[str, Vectors]]) -> str:
    """The cosines of random pairs and of nearest neighbours of each space, `(title, (n, d))`, on one scale."""
    with mpl.rc_context(_STYLE):
        figure, axes = _panels(len(spaces), 3.0, sharex=True, sharey=True)
        drawn = [(pair_cosines(vectors), nearest_cosines(vectors)) for _, vectors in spaces]
        low = min([float(pairs.min()) for pairs, _ in drawn if len(pairs)], default=-1.0)
        bins = np.linspace(min(low, 0.0), 1.0, 61).tolist()
        for axis, (title, _), (pairs, nearest) in zip(axes, spaces, drawn, strict=True):
            _histograms(axis, title, bins, (pairs, _COLOURS[1], "random pairs"), (nearest, _COLOURS[0], "nearest"))
        axes[0].set_ylabel("share")
        axes[0].legend(frameon=False)
        return _svg(figure)


def matches_svg(spaces: Sequence[tuple[str, Numbers, Numbers]]) -> str:
    """The cosines of pairs that belong together, and of pairs that do not, of each space, `(title, right, wrong)`."""
    with mpl.rc_context(_STYLE):
        figure, axes = _panels(len(spaces), 3.0, sharey=True)
        for axis, (title, right, wrong) in zip(axes, spaces, strict=True):
            bins = np.linspace(min(right.min(), wrong.min()), max(right.max(), wrong.max()), 61).tolist()
            _histograms(axis, title, bins, (wrong, _COLOURS[1], "unrelated"), (right, _COLOURS[2], "belong together"))
        axes[0].set_ylabel("share")
        axes[0].legend(frameon=False)
        return _svg(figure)


def spectra_svg(spectra: Sequence[tuple[str, Numbers]]) -> str:
    """How the singular values of several spaces fall, `(name, shares)`, over one another."""
    with mpl.rc_context(_STYLE):
        figure, (axis,) = _panels(1, 3.4)
        for (name, shares), colour in zip(spectra, _COLOURS * len(spectra), strict=False):
            axis.plot(np.arange(1, len(shares) + 1), np.maximum(shares, 1e-6), color=colour, label=_short(name, 40))
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlabel("singular value, from the largest")
        axis.set_ylabel("share of all")
        axis.legend(frameon=False)
        return _svg(figure)


def lines_svg(lines: Sequence[tuple[str, Sequence[float], Sequence[float]]], across: str, up: str) -> str:
    """Curves with their points, `(name, x, y)`, x on a scale of equal ratios."""
    with mpl.rc_context(_STYLE):
        figure, (axis,) = _panels(1, 3.6)
        for (name, x, y), colour in zip(lines, _COLOURS * len(lines), strict=False):
            axis.plot(x, y, color=colour, marker="o", markersize=4, label=_short(name, 48))
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set_xlabel(across)
        axis.set_ylabel(up)
        axis.legend(frameon=False)
        return _svg(figure)


def maps_svg(spaces: Sequence[tuple[str, Vectors]], labels: Sequence[str | None]) -> str | None:
    """t-SNE of the same items in several spaces, the largest groups in colour; None for fewer items than make a map."""
    made = maps(*(vectors for _, vectors in spaces))
    if made is None:
        return None
    counts = Counter(label for label in labels if label is not None)
    named = [label for label, count in counts.most_common(len(_COLOURS)) if count > 1]
    with mpl.rc_context(_STYLE):
        figure, axes = _panels(len(spaces), 5.0)
        for axis, (title, _), points in zip(axes, spaces, made, strict=True):
            _scatter(axis, points, labels, named)
            axis.set_title(_short(title, 60))
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


def _histograms(axis: Axes, title: str, bins: Sequence[float], *kinds: tuple[Numbers, str, str]) -> None:
    """Cosines of several kinds, `(cosines, colour, name)`, each as shares of its own number."""
    for cosines, colour, name in kinds:
        shares = np.full(len(cosines), 1 / max(1, len(cosines)))
        axis.hist(cosines, bins=bins, weights=shares, color=colour, alpha=0.75, label=name)
    axis.set_title(_short(title, 60))
    axis.set_xlabel("cosine")
