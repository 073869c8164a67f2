"""Several ranked lists → one, by ranks or by scores; and how much each of the lists counts.

Cosines of two encoders and ranks of words have no common scale, so lists are never merged by raw score.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Final, Literal, TypeVar

K = TypeVar("K", bound=Hashable)

Candidates = Sequence[tuple[K, float]]
"""(what, score) of one channel, best first; each thing once."""

FusionName = Literal["rrf", "minmax"]

RANK_CONSTANT: Final = 60
"""k of reciprocal rank fusion (Cormack, Clarke, Büttcher: SIGIR 2009)."""

FLAT: Final = 1e-6
"""Scores that differ by no more than this are equal: half-precision vectors cannot tell more."""


def reciprocal_rank(
    lists: Mapping[str, Candidates[K]], weights: Mapping[str, float], k: int = RANK_CONSTANT
) -> dict[K, float]:
    """Each thing's sum of weight / (k + rank) over the lists that have it; ranks begin at 1, equal scores share one."""
    fused: dict[K, float] = {}
    for name, candidates in lists.items():
        rank, before = 0, None
        for place, (thing, score) in enumerate(candidates, start=1):
            if before is None or before - score > FLAT:
                rank, before = place, score
            fused[thing] = fused.get(thing, 0.0) + weights.get(name, 0.0) / (k + rank)
    return fused


def min_max_mean(lists: Mapping[str, Candidates[K]], weights: Mapping[str, float]) -> dict[K, float]:
    """Each thing's weighted mean of its scores, brought to 0..1 within each list; 0 where a list does not have it."""
    total = sum(weights.get(name, 0.0) for name in lists)
    fused: dict[K, float] = {}
    for name, candidates in lists.items():
        scores = [score for _, score in candidates]
        low, span = min(scores, default=0.0), max(scores, default=0.0) - min(scores, default=0.0)
        for thing, score in candidates:
            unit = (score - low) / span if span > FLAT else 1.0
            fused[thing] = fused.get(thing, 0.0) + (weights.get(name, 0.0) * unit / total if total > 0 else 0.0)
    return fused


FUSIONS: Final[Mapping[FusionName, Callable[..., dict[K, float]]]] = {"rrf": reciprocal_rank, "minmax": min_max_mean}


def is_flat(candidates: Candidates[K]) -> bool:
    """Whether a list has more than one thing, and says of none that it is better than another."""
    scores = [score for _, score in candidates]
    return len(scores) > 1 and max(scores) - min(scores) <= FLAT


def effective_weights(asked: Mapping[str, float], silent: Mapping[str, str]) -> dict[str, float]:
    """What each channel counts, summing to 1: the weight of the silent ones goes to the others in proportion.

    All are 0 where no channel with a weight is left.

    Args:
        asked: the weights that were asked for, none negative.
        silent: the channels that say nothing, with the reason.
    """
    left = {name: weight for name, weight in asked.items() if name not in silent and weight > 0}
    largest = max(left.values(), default=0.0)
    total = sum(weight / largest for weight in left.values()) if largest else 0.0
    return {name: left[name] / largest / total if name in left else 0.0 for name in asked}
