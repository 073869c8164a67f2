"""All that is said of one space, and of two kinds of vectors in one, before and after each remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seemory.errors import UsageError
from seemory.evaluation import isotropy
from seemory.evaluation.geometry import Separation, rounded, separation, unit_rows
from seemory.evaluation.neighbours import Hubness, K, hubness, nearest, times_named
from seemory.evaluation.recall import BothWays, Integers, both_ways
from seemory.evaluation.remedies import REMEDIES, Remedy, RemedyName, fit
from seemory.types import Vectors

SEPARATED = 2000
"""Groups are compared by pairs; of more vectors than this, so many are taken."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How the vectors of one kind lie."""

    remedy: RemedyName
    mean_cosine: float | None
    effective_rank: float
    isoscore: float | None
    uniformity: float | None
    hubs: Hubness | None
    """Who is named by the others of the space; None for fewer than two."""
    groups: Separation | None

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        named = ("mean_cosine", "effective_rank", "isoscore", "uniformity")
        return (
            {"remedy": self.remedy}
            | {name: _round(getattr(self, name)) for name in named}
            | {"hubness": None if self.hubs is None else self.hubs.as_json(), "groups": rounded(self.groups)}
        )


@dataclass(frozen=True, slots=True)
class Joined:
    """How two kinds of vectors lie that belong together in pairs: pictures and their captions."""

    remedy: RemedyName
    alignment: float
    gap: float
    matched: float
    """Mean cosine of a picture and its caption."""
    unmatched: float
    """Mean cosine of a picture and another's caption."""
    hubs: Hubness
    """Pictures named by captions."""
    recall: BothWays

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        figures = {name: _round(getattr(self, name)) for name in ("alignment", "gap", "matched", "unmatched")}
        return {"remedy": self.remedy} | figures | {"hubness": self.hubs.as_json(), "recall": self.recall.as_json()}


def shape_of(vectors: Vectors, labels: Sequence[str | None] = (), *, remedy: RemedyName = "none") -> Shape:
    """The figures of `(n, d)` vectors that the remedy was applied to already; `labels` are of the same rows."""
    k = min(K, len(vectors) - 1)
    counts = times_named(nearest(vectors, vectors, k, without_self=True), len(vectors)) if k else None
    some = np.sort(np.random.default_rng(0).permutation(len(vectors))[:SEPARATED])
    known = np.array([label or "" for label in labels] or [""] * len(vectors))
    return Shape(
        remedy=remedy,
        mean_cosine=isotropy.mean_cosine(vectors),
        effective_rank=isotropy.effective_rank(vectors),
        isoscore=isotropy.isoscore(unit_rows(vectors).astype(np.float32)),
        uniformity=isotropy.uniformity(vectors),
        hubs=None if counts is None else hubness(counts, k),
        groups=separation(vectors[some], known[some].tolist()),
    )


def shapes(
    vectors: Vectors, labels: Sequence[str | None] = (), remedies: Sequence[RemedyName] = REMEDIES
) -> tuple[list[Shape], list[str]]:
    """The figures after each remedy, fitted to these very vectors, and why one could not be applied."""
    found, refused = [], []
    for name in remedies:
        try:
            found.append(shape_of(fit(name, vectors).apply(vectors), labels, remedy=name))
        except UsageError as error:
            refused.append(str(error))
    return found, refused


def joined(
    pictures: Vectors,
    captions: Vectors,
    owner: Integers,
    *,
    fitted: Remedy,
    draws: int = 1000,
) -> Joined:
    """The figures of pictures `(n, d)` and captions `(m, d)` after a remedy; `owner` says which picture's each is.

    Raises:
        UsageError: the remedy leaves a vector without direction, or a picture has no caption.
    """
    shown, said = fitted.apply(pictures, 0), fitted.apply(captions, 1)
    own = np.einsum("nd,nd->n", said, shown[owner])
    total = float(said.sum(axis=0, dtype=np.float64) @ shown.sum(axis=0, dtype=np.float64))
    others = len(said) * (len(shown) - 1)
    k = min(K, len(shown))
    return Joined(
        remedy=fitted.name,
        alignment=isotropy.alignment(shown[owner], said),
        gap=isotropy.modality_gap(shown, said),
        matched=float(own.mean()),
        unmatched=(total - float(own.sum(dtype=np.float64))) / others if others else 0.0,
        hubs=hubness(times_named(nearest(said, shown, k), len(shown)), k),
        recall=both_ways(shown, said, owner, draws=draws),
    )


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
