"""A new order of what words found, or the old one with the reason."""

from __future__ import annotations

from uuid import UUID

import pytest

from seemory.calibration import Calibration
from seemory.search.reranking import POOL, rerank
from seemory.types import CosineStatistics

CALIBRATION = Calibration(CosineStatistics(0.0, 0.1, 0.3, 0.1))
ITEMS = [UUID(int=n) for n in range(1, 6)]


def order(cosines: list[float | None], share: float) -> list[int]:
    known = {item: cosine for item, cosine in zip(ITEMS, cosines, strict=True) if cosine is not None}
    return [item.int for item in rerank(ITEMS, known, CALIBRATION, share).order]


def test_sight_and_words_both_count() -> None:
    backwards = [0.1, 0.2, 0.3, 0.4, 0.5]
    assert order(backwards, 0.999) == [5, 4, 3, 2, 1]
    assert order(backwards, 0.001) == [1, 2, 3, 4, 5]
    assert order([0.1, 0.5, 0.4, 0.3, 0.2], 0.5)[0] == 2, "second by words, first by sight"


def test_what_has_no_vector_keeps_a_middle_place() -> None:
    assert order([0.9, 0.5, None, 0.4, 0.1], 0.999) in ([1, 2, 3, 4, 5], [1, 3, 2, 4, 5])
    assert order([0.1, 0.4, None, 0.5, 0.9], 0.999)[2] == 3


@pytest.mark.parametrize(
    ("cosines", "share", "reason"),
    [
        ([0.30, 0.31, 0.32, 0.30, 0.34], 0.5, "flat: the cosines of 5 lie within 0.40 σ"),
        ([0.3, None, None, None, None], 0.5, "1 of 5 have a vector: there is nothing to compare"),
        ([None] * 5, 0.5, "0 of 5 have a vector: there is nothing to compare"),
        ([0.1, 0.2, 0.3, 0.4, 0.5], 0.0, "the weight of visual is 0"),
    ],
)
def test_where_sight_tells_nothing_the_order_stays(cosines: list[float | None], share: float, reason: str) -> None:
    known = {item: cosine for item, cosine in zip(ITEMS, cosines, strict=True) if cosine is not None}
    answer = rerank(ITEMS, known, CALIBRATION, share)
    assert list(answer.order) == ITEMS
    assert (answer.skipped, answer.seen) == (reason, len(known))


def test_what_lies_beyond_the_pool_follows_as_it_was() -> None:
    many = [UUID(int=n) for n in range(POOL + 50)]
    cosines = {item: item.int / 1000 for item in many}
    answer = rerank(many, cosines, CALIBRATION, 0.9)
    assert answer.seen == POOL
    assert set(answer.order[:POOL]) == set(many[:POOL])
    assert list(answer.order[POOL:]) == many[POOL:]
    assert list(answer.order[:POOL]) != many[:POOL]
