"""Pooling rules as functions of arrays."""

from __future__ import annotations

import numpy as np
import pytest

from seemory.models import pooling

STATES = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
MASK = np.array([[1, 1, 0, 0], [1, 1, 1, 1]])
IDS = np.array([[8, 9, 9, 9], [8, 1, 2, 3]])


def test_mean_counts_text_only() -> None:
    assert np.array_equal(pooling.mean(STATES, MASK), [STATES[0, :2].mean(axis=0), STATES[1].mean(axis=0)])
    assert np.array_equal(pooling.mean(STATES, MASK * 0), np.zeros((2, 3)))


def test_first_last_and_largest() -> None:
    assert np.array_equal(pooling.cls(STATES), STATES[:, 0])
    assert np.array_equal(pooling.last(STATES), STATES[:, 3])
    assert np.array_equal(pooling.last_text(STATES, MASK), [STATES[0, 1], STATES[1, 3]])
    assert np.array_equal(pooling.maximum(STATES, MASK), [STATES[0, 1], STATES[1, 3]])


def test_end_of_text_is_the_first_of_its_kind_or_the_last_position() -> None:
    assert np.array_equal(pooling.eot(STATES, IDS, 9), [STATES[0, 1], STATES[1, 3]])


def test_what_is_pooled_already_stays_as_it_is() -> None:
    for rule in ("eot", "mean", "cls", "last", "max"):
        found = pooling.pool(STATES[:, 0].astype(np.float16), rule, IDS, MASK, 9, padded=False)
        assert found.dtype == np.float32
        assert np.array_equal(found, STATES[:, 0])


def test_last_means_another_position_where_the_padding_is_part_of_the_text() -> None:
    apart = pooling.pool(STATES, "last", IDS, MASK, None, padded=False)
    assert np.array_equal(apart, pooling.last_text(STATES, MASK))
    assert np.array_equal(pooling.pool(STATES, "last", IDS, MASK, None, padded=True), pooling.last(STATES))


def test_other_outputs_are_refused() -> None:
    with pytest.raises(ValueError, match="1 dimensions"):
        pooling.pool(STATES[0, 0], "mean", IDS, MASK, None, padded=False)
