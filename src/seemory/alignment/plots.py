"""What the lab draws: SVG for a page that may be light or dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from seemory.evaluation.drawing import COLOURS, STYLE, as_svg, panels, shortened
from seemory.evaluation.geometry import Numbers
from seemory.types import Vectors

_OTHERS = "#9a9a9a"


def densities_svg(groups: Sequence[tuple[str, Numbers]], across: str) -> str:
    """How values lie, a curve a group: a Gaussian kernel's estimate, its width by Silverman's rule (1986)."""
    with mpl.rc_context(STYLE):
        figure, (axis,) = panels(1, 3.2)
        low = min(float(values.min()) for _, values in groups)
        high = max(float(values.max()) for _, values in groups)
        at = np.linspace(low - 0.05, high + 0.05, 240)
        for (name, values), colour in zip(groups, COLOURS, strict=False):
            curve = density(values, at)
            axis.plot(at, curve, color=colour, label=name)
            axis.fill_between(at, curve, color=colour, alpha=0.2, linewidth=0)
        axis.set_xlabel(across)
        axis.set_ylabel("density")
        axis.legend(frameon=False)
        return as_svg(figure)


def density(values: Numbers, at: Numbers) -> Numbers:
    """`(n,)` values' density at the points `at`."""
    spread = min(float(values.std()), float(np.subtract(*np.percentile(values, [75, 25]))) / 1.349) or 1e-3
    width = max(0.9 * spread * len(values) ** -0.2, 1e-4)
    kernel = np.exp(-0.5 * ((at[:, None] - values[None, :]) / width) ** 2)
    return np.asarray(kernel.sum(axis=1) / (len(values) * width * np.sqrt(2 * np.pi)))


def heat_svg(cosines: Numbers, pictures: Sequence[str], captions: Sequence[str]) -> str:
    """Cosines of captions (rows) and pictures (columns), `(n, n)`; right pairs are on the diagonal."""
    with mpl.rc_context(STYLE):
        figure, (axis,) = panels(1, 1.2 + 0.24 * len(captions))
        shown = axis.imshow(cosines, cmap="viridis", aspect="auto")
        axis.set_yticks(range(len(captions)), [shortened(said, 56) for said in captions], fontsize=7)
        axis.set_xticks(range(len(pictures)), [shortened(name, 18) for name in pictures], rotation=90, fontsize=7)
        figure.colorbar(shown, ax=axis, label="cosine")
        return as_svg(figure)


def map_svg(points: Numbers, pictures: int) -> str:
    """`(n, 2)` points: first so many pictures, then a caption of each, joined by a line."""
    with mpl.rc_context(STYLE):
        figure, (axis,) = panels(1, 5.6)
        seen, said = points[:pictures], points[pictures:]
        for one, other in zip(seen, said, strict=True):
            axis.plot([one[0], other[0]], [one[1], other[1]], color=_OTHERS, alpha=0.35, linewidth=0.6)
        axis.scatter(seen[:, 0], seen[:, 1], s=12, color=COLOURS[1], linewidths=0, label="pictures")
        axis.scatter(said[:, 0], said[:, 1], s=12, color=COLOURS[0], linewidths=0, label="captions")
        axis.set_xticks([])
        axis.set_yticks([])
        axis.legend(frameon=False)
        return as_svg(figure)


def cells_svg(cells: Sequence[tuple[str, Sequence[float], float, float]], across: str, groups: Sequence[int]) -> str:
    """A row a cell, `(name, a value a seed, mean, half the interval)`; `groups` chooses each row's colour."""
    with mpl.rc_context(STYLE):
        figure, (axis,) = panels(1, 1.0 + 0.27 * len(cells))
        for row, ((_, values, mean, half), group) in enumerate(zip(cells, groups, strict=True)):
            colour = COLOURS[group % len(COLOURS)]
            axis.plot(values, [row] * len(values), linestyle="", marker="o", markersize=3.5, color=colour, alpha=0.7)
            error = None if np.isnan(half) else [[min(half, mean)], [half]]
            axis.errorbar([mean], [row], xerr=error, color=colour, marker="|", markersize=12, capsize=3)
        axis.set_yticks(range(len(cells)), [name for name, _, _, _ in cells])
        axis.invert_yaxis()
        axis.set_xlim(left=0)
        axis.set_xlabel(across)
        return as_svg(figure)


def courses_svg(courses: Mapping[str, Sequence[Mapping[str, float]]], level: float) -> str:
    """How loss and variance went in several runs; the level is where the loss of a collapse is."""
    with mpl.rc_context(STYLE):
        figure, axes = panels(2, 3.6)
        for (name, lines), colour in zip(courses.items(), COLOURS, strict=False):
            for axis, what in zip(axes, ("loss", "variance"), strict=True):
                told = [(line["step"], line[what]) for line in lines if what in line]
                axis.plot([step for step, _ in told], [value for _, value in told], color=colour, label=name, lw=1.3)
        axes[0].axhline(level, color=_OTHERS, linestyle="--", linewidth=1)
        axes[0].annotate("ln batch", (0, level), fontsize=8, va="bottom")
        for axis, what in zip(axes, ("loss", "variance of the pictures' vectors"), strict=True):
            axis.set_xlabel("step")
            axis.set_ylabel(what)
        axes[1].set_ylim(0, 1.05)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
        return as_svg(figure)


def umap_points(vectors: Vectors) -> NDArray[np.float64]:
    """`(n, 2)` by UMAP (McInnes and others 2018), by cosine distance. Raises ImportError without `umap-learn`."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the threads that a fixed seed costs
        from umap import UMAP

        neighbours = min(15, len(vectors) - 1)
        return np.asarray(
            UMAP(n_neighbors=neighbours, metric="cosine", random_state=0).fit_transform(vectors), np.float64
        )
