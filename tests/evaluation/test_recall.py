from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seemory.errors import UsageError
from seemory.evaluation.recall import both_ways, chance, interval, ranks


def made(pictures: int, captions: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    shown = random.normal(size=(pictures, 12)).astype(np.float32)
    owner = np.repeat(np.arange(pictures), captions)
    said = shown[owner] + noise * random.normal(size=(len(owner), 12)).astype(np.float32)
    return shown, said.astype(np.float32), owner


def by_sorting(queries: np.ndarray, gallery: np.ndarray, own: np.ndarray, theirs: np.ndarray) -> list[int]:
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (queries, gallery)]
    found = []
    for row, number in zip(unit[0] @ unit[1].T, own, strict=True):
        order = theirs[np.argsort(-row, kind="stable")]
        found.append(1 + int(np.flatnonzero(order == number)[0]))
    return found


@given(st.integers(1, 25), st.integers(1, 5), st.floats(0.1, 5), st.integers(0, 1000))
def test_ranks_are_those_of_a_sorted_list(pictures: int, captions: int, noise: float, seed: int) -> None:
    shown, said, owner = made(pictures, captions, noise, seed)
    numbers = np.arange(pictures)
    assert ranks(said, shown, owner, numbers).tolist() == by_sorting(said, shown, owner, numbers)
    assert ranks(shown, said, numbers, owner).tolist() == by_sorting(shown, said, numbers, owner)


def test_any_of_a_pictures_captions_is_right_and_none_stands_in_another_s_way() -> None:
    shown = np.eye(3, dtype=np.float32)
    said = np.array([[1, 0.2, 0], [1, 0, 0], [0.9, 0, 0.1], [0, 1, 0], [0, 0.5, 1]], np.float32)
    found = both_ways(shown, said, [0, 0, 0, 1, 2])
    assert found.image_to_text.at == {1: 1.0, 5: 1.0, 10: 1.0}
    assert found.text_to_image.at[1] == 1.0
    assert found.image_to_text.mean_rank == found.text_to_image.median_rank == 1.0
    assert (found.text_to_image.queries, found.text_to_image.gallery) == (5, 3)


def test_ties_count_against() -> None:
    same = np.ones((4, 3), np.float32)
    assert ranks(same, same, range(4), range(4)).tolist() == [4, 4, 4, 4], "a collapsed space finds nothing"


@pytest.mark.parametrize(("gallery", "answers"), [(50, 1), (50, 5), (7, 3)])
def test_chance_is_what_random_vectors_reach(gallery: int, answers: int) -> None:
    random = np.random.default_rng(0)
    belongs = np.r_[np.zeros(answers, int), np.arange(1, gallery - answers + 1)]
    places = ranks(
        random.normal(size=(4000, 24)).astype(np.float32),
        random.normal(size=(gallery, 24)).astype(np.float32),
        np.zeros(4000, int),
        belongs,
    )
    for k in (1, 5):
        assert chance(gallery, np.full(4000, answers), k) == pytest.approx((places <= k).mean(), abs=0.09)
    assert chance(gallery, np.array([answers]), gallery) == 1.0
    assert chance(10, np.array([1]), 5) == pytest.approx(0.5)
    assert chance(4, np.array([3]), 2) == 1.0, "two of four, three of them right"


def test_an_interval_holds_the_mean_and_shrinks_with_more() -> None:
    few, many = (np.random.default_rng(n).integers(0, 2, n).astype(float) for n in (50, 5000))
    low, high = interval(few)
    assert low < few.mean() < high
    narrow = interval(many)
    assert narrow[1] - narrow[0] == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(5000), rel=0.1), "the normal one, at 5,000"
    assert high - low > 5 * (narrow[1] - narrow[0])
    assert interval(few, seed=1) != (low, high)
    assert interval(few) == (low, high), "the same again"


def test_what_belongs_together_is_drawn_together() -> None:
    right = np.random.default_rng(0).integers(0, 2, 100).astype(float)
    repeated, groups = np.repeat(right, 5), np.repeat(np.arange(100), 5)
    alone, together = interval(repeated), interval(repeated, groups)
    assert together == interval(right), "five captions that are right together are worth one"
    assert alone[1] - alone[0] < 0.6 * (together[1] - together[0])


@pytest.mark.parametrize("owner", [[0, 0, 0], [0, 1], [0, 1, 7]])
def test_what_makes_no_gallery_is_refused(owner: list[int]) -> None:
    rows = np.ones((3, 4), np.float32)
    with pytest.raises(UsageError):
        both_ways(rows, rows, owner)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_vector_without_direction_is_no_hit(value: float) -> None:
    broken = np.eye(3, dtype=np.float32)
    broken[1] = value
    for queries, gallery in ((broken, np.eye(3)), (np.eye(3), broken)):
        with pytest.raises(UsageError, match="not finite"):
            ranks(queries, gallery, range(3), range(3))


def test_other_widths_and_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="cannot be compared"):
        ranks(np.ones((2, 3), np.float32), np.ones((2, 4), np.float32), [0, 1], [0, 1])
    with pytest.raises(UsageError, match="no rank"):
        ranks(np.ones((2, 3), np.float32), np.ones((2, 3), np.float32), [0, 2], [0, 1])
    with pytest.raises(UsageError):
        interval(np.zeros(0))
