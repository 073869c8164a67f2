"""Recall both ways over whole galleries, ranks, and how far chance could have moved them: plain functions of arrays.

What belongs together is told by numbers: a query and an answer of the same number are a right pair. A picture of five
captions has one number, and each of the five is right. Rows may have any norm but zero, and are compared by cosine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seemory.errors import UsageError
from seemory.types import Vectors

STEPS = (1, 5, 10)
DRAWS = 1000

Numbers = NDArray[np.float64]
Integers = NDArray[np.int64]
Interval = tuple[float, float]

_BLOCK = 4_000_000  # cosines in memory at once


@dataclass(frozen=True, slots=True)
class Recall:
    """How well queries found their answers in a gallery."""

    queries: int
    gallery: int
    at: Mapping[int, float]
    """Share of queries with a right answer among the first k, 0 to 1."""
    intervals: Mapping[int, Interval]
    """Of these shares: 95 %, by drawing groups of queries anew."""
    chance: Mapping[int, float]
    """What an order drawn at random would reach."""
    median_rank: float
    mean_rank: float
    """Of the first right answer; 1 is the best."""

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "queries": self.queries,
            "gallery": self.gallery,
            "recall": {str(k): round(share, 4) for k, share in self.at.items()},
            "intervals": {str(k): [round(end, 4) for end in ends] for k, ends in self.intervals.items()},
            "chance": {str(k): round(share, 4) for k, share in self.chance.items()},
            "median_rank": self.median_rank,
            "mean_rank": round(self.mean_rank, 3),
        }


@dataclass(frozen=True, slots=True)
class BothWays:
    """Captions that look for their picture, and pictures that look for any of their captions."""

    text_to_image: Recall
    image_to_text: Recall

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {"text_to_image": self.text_to_image.as_json(), "image_to_text": self.image_to_text.as_json()}


def both_ways(
    pictures: Vectors,
    captions: Vectors,
    owner: Sequence[int] | Integers,
    *,
    steps: Sequence[int] = STEPS,
    draws: int = DRAWS,
) -> BothWays:
    """Recall from captions to pictures and back, over the whole gallery each way.

    Args:
        pictures: `(n, d)`, each picture once.
        captions: `(m, d)`, of the same space.
        owner: `(m,)`: the row of the picture that each caption tells of; every picture has one caption or more.
        steps: the k of recall@k.
        draws: of the bootstrap; the captions of a picture are drawn together, since they are right or wrong together.

    Raises:
        UsageError: widths or lengths do not agree, an owner is no row, or a picture has no caption.
    """
    pictures_of = np.arange(len(pictures))
    captions_of = np.asarray(owner, np.int64)
    if set(captions_of.tolist()) != set(pictures_of.tolist()):
        raise UsageError("recall both ways needs a caption for every picture, and a picture for every caption")
    to_image = ranks(captions, pictures, captions_of, pictures_of)
    to_text = ranks(pictures, captions, pictures_of, captions_of)
    return BothWays(
        recall_of(to_image, captions_of, pictures_of, steps=steps, draws=draws),
        recall_of(to_text, pictures_of, captions_of, steps=steps, draws=draws),
    )


def ranks(queries: Vectors, gallery: Vectors, queries_of: Sequence[int] | Integers, gallery_of: Any) -> Integers:
    """The place of each query's first right answer in the whole gallery, `(n,)`, from 1; ties count against it.

    Args:
        queries: `(n, d)`.
        gallery: `(m, d)`.
        queries_of, gallery_of: `(n,)` and `(m,)`: what each belongs to.

    Raises:
        UsageError: widths or lengths do not agree, a query has no right answer, or a vector no direction.
    """
    own, theirs = np.asarray(queries_of), np.asarray(gallery_of)
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1]:
        raise UsageError(f"vectors of the shapes {queries.shape} and {gallery.shape} cannot be compared")
    if len(own) != len(queries) or len(theirs) != len(gallery):
        raise UsageError("every vector needs to be said what it belongs to")
    if not np.isin(own, theirs).all():
        raise UsageError("a query without a right answer in the gallery has no rank")
    asked, held = _unit(queries), _unit(gallery)
    places = np.empty(len(asked), np.int64)
    step = max(1, _BLOCK // max(1, len(held)))
    for start in range(0, len(asked), step):
        cosines = asked[start : start + step] @ held.T  # (b, m)
        right = own[start : start + step, None] == theirs
        best = np.where(right, cosines, -np.inf).max(axis=1)
        places[start : start + step] = 1 + ((cosines >= best[:, None]) & ~right).sum(axis=1)
    return places


def recall_of(
    places: Integers,
    queries_of: Sequence[int] | Integers,
    gallery_of: Sequence[int] | Integers,
    *,
    steps: Sequence[int] = STEPS,
    draws: int = DRAWS,
) -> Recall:
    """The figures of ranks that `ranks` gave for the same numbers."""
    right = np.bincount(np.unique(np.asarray(gallery_of), return_inverse=True)[1])
    known = dict(zip(np.unique(gallery_of).tolist(), right.tolist(), strict=True))
    answers = np.array([known[one] for one in np.asarray(queries_of).tolist()])
    found = {k: (places <= k).astype(np.float64) for k in steps}
    return Recall(
        queries=len(places),
        gallery=len(gallery_of),
        at={k: float(hit.mean()) for k, hit in found.items()},
        intervals={k: interval(hit, queries_of, draws=draws) for k, hit in found.items()},
        chance={k: chance(len(gallery_of), answers, k) for k in steps},
        median_rank=float(np.median(places)),
        mean_rank=float(places.mean()),
    )


def chance(gallery: int, answers: Integers, k: int) -> float:
    """The recall@k of a random order, where each query has so many right `answers` among `gallery`."""
    if k >= gallery:
        return 1.0
    counts, often = np.unique(answers, return_counts=True)
    drawn = np.arange(k)
    missed = [float(np.prod(np.maximum(gallery - n - drawn, 0) / (gallery - drawn))) for n in counts.tolist()]
    return float(1.0 - (np.array(missed) * often).sum() / often.sum())


def interval(
    values: Numbers,
    groups: Sequence[int] | Integers | None = None,
    *,
    draws: int = DRAWS,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The bootstrap interval of the mean of `values`, `(n,)` (Efron 1979; percentiles).

    Values of one of the `groups` are drawn together. Whether one way is better than another on the same queries is told
    by the interval of their differences, which lies to one side of 0.

    Raises:
        UsageError: there is no value, or not a group for each.
    """
    if not len(values) or (groups is not None and len(groups) != len(values)):
        raise UsageError("an interval needs values, and a group for each of them")
    which = np.arange(len(values)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    sums, sizes = np.bincount(which, weights=values), np.bincount(which).astype(np.float64)
    random, means = np.random.default_rng(seed), np.empty(draws)
    for n in range(draws):
        often = np.bincount(random.integers(0, len(sums), len(sums)), minlength=len(sums))
        means[n] = (often @ sums) / (often @ sizes)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _unit(vectors: Vectors) -> NDArray[np.float32]:
    wide = np.asarray(vectors, np.float32)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    if not (np.isfinite(norms) & (norms > 0)).all():  # nothing is greater than NaN: it would come first everywhere
        raise UsageError("a vector that is zero or not finite has no rank")
    return np.asarray(wide / norms)
