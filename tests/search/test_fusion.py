"""Lists become one, by ranks or by scores; what says nothing gives its weight away."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seemory.search.fusion import FLAT, effective_weights, is_flat, min_max_mean, reciprocal_rank

things = st.integers(0, 12)
scores = st.floats(-1, 1)
lists = st.dictionaries(
    st.sampled_from(["visual", "text", "words"]),
    st.dictionaries(things, scores, max_size=8).map(lambda d: sorted(d.items(), key=lambda pair: (-pair[1], pair[0]))),
)
weights = st.fixed_dictionaries({name: st.floats(0, 10) for name in ("visual", "text", "words")})
fusions = st.sampled_from([reciprocal_rank, min_max_mean])


def test_ranks_are_added_as_the_paper_says() -> None:
    fused = reciprocal_rank({"a": [("x", 0.9), ("y", 0.8)], "b": [("y", 7.0), ("z", 6.0)]}, {"a": 1.0, "b": 0.5})
    assert fused == {
        "x": pytest.approx(1 / 61),
        "y": pytest.approx(1 / 62 + 0.5 / 61),
        "z": pytest.approx(0.5 / 62),
    }


def test_scores_are_brought_to_one_scale() -> None:
    fused = min_max_mean({"a": [("x", 0.9), ("y", 0.6), ("z", 0.5)], "b": [("z", 30.0), ("x", 10.0)]}, {"a": 3, "b": 1})
    assert fused == {"x": pytest.approx(0.75), "y": pytest.approx(0.75 * 0.25), "z": pytest.approx(0.25)}


def test_equal_scores_share_a_rank() -> None:
    fused = reciprocal_rank({"a": [("x", 0.9), ("y", 0.5), ("z", 0.5), ("q", 0.1)]}, {"a": 1.0})
    assert fused["y"] == fused["z"] == pytest.approx(1 / 62)
    assert fused["q"] == pytest.approx(1 / 64)


@given(lists, weights, fusions)
def test_every_thing_is_there_once_and_nothing_is_made_up(lists, weights, fusion) -> None:
    fused = fusion(lists, weights)
    assert set(fused) == {thing for found in lists.values() for thing, _ in found}
    assert all(math.isfinite(score) and score >= 0 for score in fused.values())


@given(lists, weights, fusions)
def test_what_is_better_in_every_list_is_better(lists, weights, fusion) -> None:
    fused = fusion(lists, weights)
    by_list = {name: dict(found) for name, found in lists.items()}
    for a in fused:
        for b in fused:
            if all(found.get(a, -math.inf) >= found.get(b, -math.inf) for found in by_list.values()):
                assert fused[a] >= fused[b] - 1e-6


@given(lists, weights, st.permutations(["visual", "text", "words"]), fusions)
def test_the_order_of_the_channels_means_nothing(lists, weights, order, fusion) -> None:
    again = {name: lists[name] for name in order if name in lists}
    assert fusion(again, weights) == pytest.approx(fusion(lists, weights))


@given(lists, weights, st.floats(0.1, 100))
def test_only_the_ratio_of_the_weights_counts(lists, weights, factor) -> None:
    fused = min_max_mean(lists, weights)
    scaled = min_max_mean(lists, {name: weight * factor for name, weight in weights.items()})
    if sum(weights[name] for name in lists) > 1e-3:
        assert scaled == pytest.approx(fused, abs=1e-9)


@given(weights, st.sets(st.sampled_from(["visual", "text", "words"])))
def test_the_silent_give_their_weight_to_the_others_in_proportion(weights, silent) -> None:
    shares = effective_weights(weights, dict.fromkeys(silent, "it says nothing"))
    heard = [name for name in weights if name not in silent and weights[name] > 0]
    assert set(shares) == set(weights)
    assert all(shares[name] == 0 for name in weights if name not in heard)
    assert sum(shares.values()) == pytest.approx(1.0 if heard else 0.0)
    for a in heard:
        for b in heard:
            assert shares[a] * weights[b] == pytest.approx(shares[b] * weights[a], abs=1e-9)


@pytest.mark.parametrize(
    ("found", "flat"),
    [
        ([], False),
        ([("x", 0.5)], False),
        ([("x", 0.5), ("y", 0.5)], True),
        ([("x", 0.5 + FLAT / 2), ("y", 0.5)], True),
        ([("x", 0.5 + 3 * FLAT), ("y", 0.5)], False),
    ],
)
def test_a_list_is_flat_if_it_prefers_nothing(found, flat: bool) -> None:
    assert is_flat(found) is flat
