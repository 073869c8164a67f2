"""Remedies for a space that is used unevenly: fitted to vectors without labels, then applied to any of that space.

Vectors may be of several kinds that share a space but not a place in it, as pictures and texts are: each kind is moved
by its own mean, and all are then turned alike, by what they vary in about their means, so that they stay comparable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from seemory.errors import UsageError
from seemory.evaluation.geometry import unit_rows
from seemory.types import Vectors

Numbers = NDArray[np.float64]
RemedyName = Literal["none", "centred", "all-but-the-top", "whitened"]
REMEDIES: tuple[RemedyName, ...] = get_args(RemedyName)

_LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class Remedy:
    """A movement for each kind of vector, and one turn for all of them."""

    name: RemedyName
    means: tuple[Numbers, ...]
    """Each `(d,)`."""
    turn: Numbers | None
    """`(d, d)`, or None for none."""

    def apply(self, vectors: Vectors, kind: int = 0) -> Vectors:
        """`(n, d)` float32, rows of norm 1, for `(n, d)` vectors of that kind, of any norm but 0.

        Raises:
            UsageError: a vector is left without direction, as where all are one.
        """
        moved = unit_rows(vectors)
        if self.name != "none":
            moved = moved - self.means[kind]
            moved = moved if self.turn is None else moved @ self.turn
        norms = np.linalg.norm(moved, axis=1, keepdims=True)
        if not (norms > _LEAST).all():
            raise UsageError(f"{self.name}: a vector is left without direction, since these vectors hardly differ")
        return np.asarray(moved / norms, np.float32)


def fit(name: RemedyName, *kinds: Vectors) -> Remedy:
    """The remedy that fits those vectors, `(n, d)` of each kind, in the order that `apply` knows the kinds by.

    `centred`: the mean is subtracted. `all-but-the-top`: then the first d/100 principal directions, at least one (Mu &
    Viswanath 2018, "All-but-the-top: simple and effective postprocessing for word representations"). `whitened`: then
    all directions are brought to one variance (Su et al. 2021, "Whitening sentence representations for better semantics
    and faster retrieval"), of a covariance that is shrunk towards a ball, so that few rows do not blow up noise.

    Raises:
        UsageError: there is nothing to fit to, or the kinds are of different widths.
    """
    if not kinds or any(not len(rows) for rows in kinds) or len({rows.shape[1] for rows in kinds}) > 1:
        raise UsageError("a remedy needs vectors of one width to be fitted to")
    unit = [unit_rows(rows) for rows in kinds]
    means = tuple(rows.mean(axis=0) for rows in unit)
    turn: Numbers | None = None
    if name in ("all-but-the-top", "whitened"):
        moved = np.concatenate([rows - mean for rows, mean in zip(unit, means, strict=True)])
        turn = _without_top(moved) if name == "all-but-the-top" else _white(moved)
    return Remedy(name, means, turn)


def shrinkage(moved: Numbers) -> float:
    """How far the covariance of rows about their mean is best drawn towards a ball, 0 to 1.

    Ledoit & Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices".
    """
    n, d = moved.shape
    covariance = moved.T @ moved / n
    size = float(np.square(covariance).sum())
    apart = size - np.trace(covariance) ** 2 / d
    if apart <= 0:
        return 1.0
    noise = (float(np.square(np.square(moved).sum(axis=1)).mean()) - size) / n
    return float(min(max(noise, 0.0), apart) / apart)


def _without_top(moved: Numbers) -> Numbers:
    top = np.linalg.eigh(moved.T @ moved)[1][:, -max(1, round(moved.shape[1] / 100)) :]
    return np.asarray(np.eye(moved.shape[1]) - top @ top.T)


def _white(moved: Numbers) -> Numbers:
    n, d = moved.shape
    covariance, share = moved.T @ moved / n, shrinkage(moved)
    ball = max(float(np.trace(covariance)) / d, _LEAST**2)
    values, axes = np.linalg.eigh((1 - share) * covariance + share * ball * np.eye(d))
    return np.asarray(axes / np.sqrt(np.clip(values, ball * 1e-6, None)))


def all_of(names: Sequence[str]) -> tuple[RemedyName, ...]:
    """Those remedies, in their usual order.

    Raises:
        UsageError: there is none of such a name.
    """
    unknown = [name for name in names if name not in REMEDIES]
    if unknown:
        raise UsageError(f"{unknown[0]!r} is no remedy; there are {', '.join(REMEDIES)}")
    return tuple(name for name in REMEDIES if name in names)
