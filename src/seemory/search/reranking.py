"""What words found, in a new order: their ranks and those of sight, fused; sight names nothing of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import numpy as np

from seemory.calibration import Calibration
from seemory.search.fusion import reciprocal_rank

POOL: Final = 200
"""Of what words found, so many of the best are looked at; the rest follows them in its own order."""

FLAT_SIGMAS: Final = 0.5
"""Cosines that all lie within so many standard deviations of unrelated pairs tell the pool's items apart by nothing."""


@dataclass(frozen=True, slots=True)
class Reranked:
    """A new order, or the old one with the reason."""

    order: Sequence[UUID]
    seen: int
    """How many of the pool have a vector."""
    skipped: str | None = None


def rerank(ranking: Sequence[UUID], cosines: Mapping[UUID, float], calibration: Calibration, share: float) -> Reranked:
    """The best `POOL` of a ranking by words, in the order of both, and after them the rest as it was.

    Reciprocal ranks of the words' order count 1 - `share`, those by cosine `share`. What has no vector is put in the
    middle of sight's order: it neither rises nor falls for that.

    Args:
        ranking: by words, best first.
        cosines: to what is to be seen, of those that have a vector.
        calibration: of these cosines.
        share: 0 to 1.
    """
    pool = ranking[:POOL]
    seen = {item: cosines[item] for item in pool if item in cosines}
    if share <= 0:
        return Reranked(ranking, len(seen), "the weight of visual is 0")
    if len(seen) < 2:
        return Reranked(ranking, len(seen), f"{len(seen)} of {len(pool)} have a vector: there is nothing to compare")
    spread = calibration.sigmas(max(seen.values())) - calibration.sigmas(min(seen.values()))
    if spread < FLAT_SIGMAS:
        return Reranked(ranking, len(seen), f"flat: the cosines of {len(seen)} lie within {spread:.2f} σ")
    middle = float(np.median(list(seen.values())))
    by_sight = sorted(((item, seen.get(item, middle)) for item in pool), key=lambda one: -one[1])
    by_words = [(item, float(-place)) for place, item in enumerate(pool)]
    fused = reciprocal_rank({"words": by_words, "visual": by_sight}, {"words": 1 - share, "visual": share})
    places = {item: place for place, item in enumerate(pool)}
    order = sorted(pool, key=lambda item: (-round(fused[item], 12), places[item]))
    return Reranked([*order, *ranking[POOL:]], len(seen))
