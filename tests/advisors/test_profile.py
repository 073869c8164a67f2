"""A profile keeps its eight dimensions, in order and within bounds, through JSON and back."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from seemory.advisors.profile import DIMENSIONS, Measured, Profile
from seemory.errors import UsageError

WITHOUT: dict[str, object] = {"comment": "", "evidence": {}}


def profile_of(*scores: float) -> Profile:
    measured = {name: Measured(score, f"It is {score}.", {"figure": score / 3}) for name, score in
                reversed(list(zip(DIMENSIONS, scores, strict=True)))}  # fmt: skip
    return Profile(measured, "formulas 1")


def test_scores_are_in_the_order_of_the_dimensions_however_they_were_given() -> None:
    profile = profile_of(*range(8))
    assert tuple(profile.measured) == DIMENSIONS
    np.testing.assert_array_equal(profile.scores(), np.arange(8.0))


def test_through_json_and_back_it_is_equal() -> None:
    profile = profile_of(0, 1 / 3, 2, 3.25, 9.999999, 10, math.pi, 7)
    assert Profile.from_json(json.loads(json.dumps(profile.to_json(), allow_nan=False))) == profile


@pytest.mark.parametrize("score", [-0.1, 10.1, math.nan, math.inf])
def test_a_score_outside_its_bounds_is_refused(score: float) -> None:
    with pytest.raises(UsageError, match="from 0 to 10"):
        Measured(score, "", {})


def test_evidence_is_finite() -> None:
    with pytest.raises(UsageError, match="clipped is nan"):
        Measured(1.0, "", {"clipped": math.nan})


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"formulas": "1", "dimensions": {}},
        {"formulas": "1", "dimensions": []},
        {"dimensions": profile_of(*range(8)).to_json()["dimensions"]},
        {"formulas": "1", "dimensions": profile_of(*range(8)).to_json()["dimensions"] | {"mood": {}}},
        {"formulas": "1", "dimensions": {name: WITHOUT | {"score": "x"} for name in DIMENSIONS}},
        {"formulas": "1", "dimensions": {name: WITHOUT | {"score": 11} for name in DIMENSIONS}},
    ],
)
def test_what_is_no_profile_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Profile.from_json(document)
