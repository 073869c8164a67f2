"""Calibration, arithmetic, and conditions: the parts of a search that need no store."""

from __future__ import annotations

import contextlib
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from seemory.calibration import Calibration
from seemory.errors import UsageError
from seemory.search.searcher import Example, combine
from seemory.types import CosineStatistics, Filter, Hit

CLIP = Calibration(CosineStatistics(0.16, 0.03, 0.30, 0.03))
cosines = st.floats(-1, 1)


@given(cosines, cosines)
def test_the_score_keeps_the_order_of_the_cosines(a: float, b: float) -> None:
    assume(a < b)
    assert CLIP.score(a) <= CLIP.score(b)


def test_a_cosine_between_right_and_unrelated_scores_a_half() -> None:
    assert CLIP.score(0.23) == pytest.approx(0.5)
    assert CLIP.score(0.16) < 0.01
    assert CLIP.score(0.30) > 0.99


@given(st.floats(0.001, 0.999))
def test_the_least_score_becomes_the_least_cosine(score: float) -> None:
    assert CLIP.score(CLIP.cosine(score)) == pytest.approx(score, abs=1e-9)


def test_the_ends_of_the_score_let_all_or_none_pass() -> None:
    assert CLIP.cosine(0.0) == -1.0
    assert CLIP.cosine(1.0) >= 1.0


def test_the_same_cosine_means_different_things_to_different_encoders() -> None:
    siglip = Calibration(CosineStatistics(0.01, 0.03, 0.10, 0.03))
    assert siglip.score(0.12) > 0.9 > 0.1 > CLIP.score(0.12)


def test_adding_and_taking_away_is_a_weighted_sum_of_unit_vectors() -> None:
    x, y = np.eye(2, dtype=np.float32)
    found = combine([Example(x, "text_to_image"), Example(y, "text_to_image", -1.0)])
    np.testing.assert_allclose(found, [2**-0.5, -(2**-0.5)], rtol=1e-6)
    assert found.dtype == np.float32


def test_nothing_and_what_cancels_out_are_refused() -> None:
    x = np.eye(2, dtype=np.float32)[0]
    with pytest.raises(UsageError, match="nothing to search for"):
        combine([])
    with pytest.raises(UsageError, match="cancel"):
        combine([Example(x, "text_to_image"), Example(x, "text_to_image", -1.0)])


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("width>=1000", ("width", ">=", "1000")),
        ("taken = 2021-05", ("taken", "=", "2021-05")),
        ("camera~canon", ("camera", "~", "canon")),
        ("lens.model!=50mm", ("lens.model", "!=", "50mm")),
        ("note=a=b<c", ("note", "=", "a=b<c")),
        ("path~", ("path", "~", "")),
    ],
)
def test_conditions_are_read(text: str, parts: tuple[str, str, str]) -> None:
    condition = Filter.parse(text)
    assert (condition.field, condition.operator, condition.value) == parts


@pytest.mark.parametrize("text", ["", "width", "=3", "two words", ">"])
def test_what_is_no_condition_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="width>=1000"):
        Filter.parse(text)


@given(st.text(max_size=40))
def test_reading_a_condition_never_fails_otherwise(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert Filter.parse(text).field


def test_a_hit_becomes_the_document_that_is_printed() -> None:
    hit = Hit(uuid4(), "image", "/a.jpg", 0.9, 0.3, 1, metadata={"width": 3})
    assert list(hit.as_json()) == [
        *("item_id", "kind", "uri", "score", "cosine", "rank", "start_s", "end_s", "metadata", "reasons"),
        *("moment_s", "missing", "neighbours", "passages"),
    ]
