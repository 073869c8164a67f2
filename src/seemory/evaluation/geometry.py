"""How vectors lie in their space: plain functions of arrays.

All take `(n, d)` vectors of any length but zero, and compare by cosine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seemory.types import Vectors

Numbers = NDArray[np.float64]

_EDGES = np.linspace(-1.0, 1.0, 41)
_FEWEST_FOR_A_MAP = 8
_NEIGHBOURS = 5


@dataclass(frozen=True, slots=True)
class Separation:
    """How far labelled groups lie apart; only groups of two items and more are looked at."""

    groups: int
    items: int
    within: float
    """Mean cosine of two items of one group."""
    between: float
    """Mean cosine of two items of different groups."""
    sigmas: float
    """Their difference, in standard deviations: the root of the mean of both variances (d')."""
    neighbours: float
    """Share of items whose five nearest others vote for their own group (leave one out; ties go to the nearer)."""
    chance: float
    """What always naming the largest group would reach."""
    silhouette: float | None
    """Rousseeuw 1987, by cosine distance, -1 to 1; None without scikit-learn."""


def unit_rows(vectors: Vectors) -> Numbers:
    """`(n, d)` float64, rows of norm 1."""
    wide = np.asarray(vectors, np.float64)
    return np.asarray(wide / np.linalg.norm(wide, axis=1, keepdims=True))


def pair_cosines(vectors: Vectors) -> Numbers:
    """The cosines of all pairs, `(n (n-1) / 2,)`; empty for fewer than two."""
    unit = unit_rows(vectors)
    return np.asarray((unit @ unit.T)[np.triu_indices(len(unit), k=1)])


def nearest_cosines(vectors: Vectors) -> Numbers:
    """Each vector's cosine to the nearest of the others, `(n,)`; empty for fewer than two."""
    if len(vectors) < 2:
        return np.zeros(0)
    return np.asarray(_others(vectors).max(axis=1))


def distribution(cosines: Numbers) -> dict[str, Any] | None:
    """Mean, std, percentiles and a histogram (shares of 40 equal bins from -1 to 1); None of none."""
    if not len(cosines):
        return None
    low, middle, high = np.percentile(cosines, [5, 50, 95])
    named = {"mean": cosines.mean(), "std": cosines.std(), "p05": low, "p50": middle, "p95": high}
    counts, _ = np.histogram(np.clip(cosines, -1.0, 1.0), bins=_EDGES)
    rounded = {name: round(float(value), 4) for name, value in named.items()}
    return {"count": len(cosines)} | rounded | {"histogram": [round(float(n) / len(cosines), 4) for n in counts]}


def separation(vectors: Vectors, labels: Sequence[str | None]) -> Separation | None:
    """How far the labelled groups lie apart; None where there are not two groups of two items and more.

    Items without a label, and those who are alone in their group, are left out.
    """
    names = np.array([label or "" for label in labels])
    known, counts = np.unique(names, return_counts=True)
    large = {name for name, count in zip(known, counts, strict=True) if name and count > 1}
    if len(large) < 2:
        return None
    chosen = np.isin(names, sorted(large))
    unit, names = unit_rows(vectors[chosen]), names[chosen]
    cosines = unit @ unit.T
    upper = np.triu(np.ones(cosines.shape, bool), k=1)
    same = names[:, None] == names[None, :]
    within, between = cosines[upper & same], cosines[upper & ~same]
    spread = float(np.sqrt((within.var() + between.var()) / 2))
    apart = float(within.mean() - between.mean())
    return Separation(
        groups=len(large),
        items=len(names),
        within=float(within.mean()),
        between=float(between.mean()),
        sigmas=apart / spread if spread > 0 else 0.0,
        neighbours=_voted(unit, names),
        chance=float(np.unique(names, return_counts=True)[1].max() / len(names)),
        silhouette=_silhouette(unit, names),
    )


def rounded(found: Separation | None) -> dict[str, Any] | None:
    """As JSON has it."""
    return (
        None
        if found is None
        else {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(found).items()}
    )


def maps(first: Vectors, *others: Vectors) -> tuple[Numbers, ...] | None:
    """t-SNE of the same items in several spaces, `(n, 2)` each (van der Maaten & Hinton 2008, by cosine distance).

    The other maps begin from the first, so that what stays together keeps its place on the page. None for fewer than
    eight items.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    if len(first) < _FEWEST_FOR_A_MAP:
        return None
    perplexity = min(30.0, (len(first) - 1) / 3)
    kept = {"perplexity": perplexity, "metric": "cosine", "random_state": 0}
    # Its threads wait for one another by spinning at each of a thousand steps: on a busy machine one is much quicker.
    with threadpool_limits(1):
        made = [TSNE(init="pca", **kept).fit_transform(unit_rows(first))]
        start = made[0] / made[0][:, 0].std() * 1e-4  # as small as t-SNE's own beginnings
        made += [TSNE(init=start, **kept).fit_transform(unit_rows(other)) for other in others]
    return tuple(np.asarray(points, np.float64) for points in made)


def _others(vectors: Vectors) -> Numbers:
    """`(n, n)` cosines, with -2 where a vector would meet itself."""
    unit = unit_rows(vectors)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -2.0)
    return np.asarray(cosines)


def _voted(unit: Numbers, names: NDArray[Any]) -> float:
    nearest = np.argsort(-_others(unit.astype(np.float32)), axis=1)[:, : min(_NEIGHBOURS, len(unit) - 1)]
    right = 0
    for own, voters in zip(names, names[nearest], strict=True):
        votes = {name: list(voters).count(name) for name in voters}  # in the order of nearness
        right += max(votes, key=lambda name: votes[name]) == own
    return right / len(names)


def _silhouette(unit: Numbers, names: NDArray[Any]) -> float | None:
    try:
        from sklearn.metrics import silhouette_score
    except ImportError:
        return None
    return float(silhouette_score(unit, names, metric="cosine"))
