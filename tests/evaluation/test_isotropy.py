from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import skew, spearmanr
from sklearn.covariance import ledoit_wolf
from sklearn.neighbors import NearestNeighbors

from seemory.errors import UsageError
from seemory.evaluation.correlation import spearman
from seemory.evaluation.geometry import pair_cosines
from seemory.evaluation.isotropy import (
    alignment,
    effective_rank,
    isoscore,
    mean_cosine,
    modality_gap,
    spectrum,
    uniformity,
)
from seemory.evaluation.neighbours import hubness, nearest, times_named
from seemory.evaluation.remedies import REMEDIES, all_of, fit, shrinkage


def ball(rows: int, dim: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)


def cone(rows: int, dim: int, seed: int = 0) -> np.ndarray:
    """Vectors that all point the same way, more or less, and vary in one direction more than in others."""
    made = ball(rows, dim, seed)
    made[:, 1] *= 6
    made[:, 0] += 12
    return made


@given(st.integers(2, 40), st.integers(2, 9), st.integers(0, 2**32 - 1))
def test_the_mean_cosine_is_that_of_all_pairs(rows: int, dim: int, seed: int) -> None:
    vectors = ball(rows, dim, seed) + 0.5
    assert mean_cosine(vectors) == pytest.approx(pair_cosines(vectors).mean(), abs=1e-9)
    assert mean_cosine(vectors * np.float32(7)) == pytest.approx(mean_cosine(vectors), abs=1e-6)


def test_of_one_vector_nothing_is_said() -> None:
    one = np.ones((1, 4), np.float32)
    assert mean_cosine(one) is None
    assert uniformity(one) is None
    assert isoscore(one) is None


def test_known_values_of_a_ball_a_line_and_a_point() -> None:
    round_ = ball(20_000, 16)
    line = np.outer(np.linspace(1, 2, 500) * np.sign(np.linspace(-1, 1, 500)), np.ones(16)).astype(np.float32)
    assert isoscore(round_) == pytest.approx(1, abs=0.01)
    assert isoscore(line) == pytest.approx(0, abs=1e-9)
    assert isoscore(np.ones((9, 16), np.float32)) is None, "a point has no variance"
    assert effective_rank(round_) == pytest.approx(16, abs=0.05)
    assert effective_rank(line) == pytest.approx(1, abs=1e-4)
    assert effective_rank(np.eye(7, dtype=np.float32)) == pytest.approx(7)
    assert mean_cosine(round_) == pytest.approx(0, abs=0.001)
    assert uniformity(np.ones((9, 16), np.float32)) == pytest.approx(0, abs=1e-6)
    opposite = np.array([[1, 0], [-1, 0]], np.float32)
    assert uniformity(opposite) == pytest.approx(-8), "two points, a squared distance of 4"


@given(st.integers(1, 12), st.integers(13, 24))
def test_isoscore_is_the_share_of_dimensions_that_are_used(used: int, dim: int) -> None:
    """The property it was made for: k of d dimensions of equal variance, the others of none, give (k - 1) / (d - 1)."""
    rows = np.concatenate([np.eye(dim)[:used], -np.eye(dim)[:used]]).astype(np.float32)
    assert isoscore(rows) == pytest.approx((used - 1) / (dim - 1), abs=1e-6)


@given(st.integers(2, 20), st.integers(2, 8), st.integers(0, 1000))
def test_turning_a_space_changes_none_of_it(rows: int, dim: int, seed: int) -> None:
    vectors = cone(rows, dim, seed)
    turn = np.linalg.qr(ball(dim, dim, seed + 1))[0]
    for measure in (mean_cosine, effective_rank, isoscore, uniformity):
        assert measure(vectors @ turn) == pytest.approx(measure(vectors), abs=2e-3), measure.__name__
    assert spectrum(vectors).sum() == pytest.approx(1)
    assert 1 <= effective_rank(vectors) <= min(rows, dim) + 1e-9


def test_pairs_that_are_one_are_aligned_and_a_shift_is_a_gap() -> None:
    vectors = ball(50, 8)
    assert alignment(vectors, 3 * vectors) == pytest.approx(0, abs=1e-12)
    assert alignment(vectors, -vectors) == pytest.approx(4)
    assert modality_gap(vectors, vectors) == 0
    assert modality_gap(np.eye(2)[:1], np.eye(2)[1:]) == pytest.approx(2**0.5)


def test_neighbours_are_scikit_learns() -> None:
    vectors, others = ball(60, 6), ball(20, 6, 1)
    model = NearestNeighbors(metric="cosine").fit(vectors)
    assert (nearest(others, vectors, 5) == model.kneighbors(others, 5, return_distance=False)).all()
    assert (nearest(vectors, vectors, 5, without_self=True) == model.kneighbors(None, 5, return_distance=False)).all()
    assert nearest(others, vectors[:3], 3).shape == (20, 3), "as many as there are"


def test_a_hub_is_seen() -> None:
    even = hubness(np.full(200, 10), 10)
    assert (even.skewness, even.most, even.never, even.top_share) == (0.0, 10, 0.0, 0.01)
    counts = np.r_[np.full(199, 5), 1005]
    counts[:20] = 0
    one = hubness(counts, 10)
    assert one.skewness == pytest.approx(skew(counts))
    assert (one.most, one.never) == (1005, 0.1)


def test_hubs_are_what_a_shared_direction_makes_and_centring_takes_them_away() -> None:
    """Suzuki et al. 2013, "Centering similarity measures to reduce hubs"."""
    vectors = ball(800, 60)
    vectors[:, 0] += 12
    raw, centred = (
        hubness(times_named(nearest(rows, rows, without_self=True), len(rows)), 10)
        for rows in (vectors, fit("centred", vectors).apply(vectors))
    )
    assert raw.skewness > 2 > 1 > centred.skewness
    assert raw.never > 2 * centred.never
    assert raw.top_share > 2 * centred.top_share


@given(st.integers(3, 30), st.integers(2, 10), st.integers(0, 1000))
def test_shrinkage_is_scikit_learns(rows: int, dim: int, seed: int) -> None:
    moved = cone(rows, dim, seed).astype(float)
    moved -= moved.mean(axis=0)
    assert shrinkage(moved) == pytest.approx(ledoit_wolf(moved, assume_centered=True)[1], abs=1e-6)


def test_each_remedy_does_what_it_says() -> None:
    vectors = cone(2000, 60)
    found = {name: fit(name, vectors).apply(vectors) for name in REMEDIES}
    assert all(np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5) for rows in found.values())
    assert mean_cosine(found["none"]) > 0.4
    for name in ("centred", "all-but-the-top", "whitened"):
        assert abs(mean_cosine(found[name])) < 0.01, name
    scores = [isoscore(found[name]) for name in REMEDIES]
    assert scores[2] > scores[1] + 0.05, "the one direction that most vary in is gone"
    assert isoscore(found["whitened"]) > 0.95
    top = np.linalg.eigh(np.cov(found["centred"].T))[1][:, -1]
    assert np.abs(found["all-but-the-top"] @ top).max() < 0.1 < np.abs(found["centred"] @ top).max()


def test_two_kinds_are_moved_each_by_its_own_mean_and_turned_alike() -> None:
    pictures, captions = cone(600, 20, 1), cone(600, 20, 1) + ball(600, 20, 2)
    captions[:, 2] += 9
    assert modality_gap(pictures, captions) > 0.4
    for name in REMEDIES[1:]:
        remedy = fit(name, pictures, captions)
        assert modality_gap(remedy.apply(pictures, 0), remedy.apply(captions, 1)) < 0.1
        assert alignment(remedy.apply(pictures, 0), remedy.apply(captions, 1)) < 1.2, "what belongs together still does"


def test_a_remedy_that_leaves_nothing_says_so() -> None:
    same = np.ones((5, 3), np.float32)
    for name in REMEDIES[1:]:
        with pytest.raises(UsageError, match="hardly differ"):
            fit(name, same).apply(same)
    with pytest.raises(UsageError, match="one width"):
        fit("centred", same, np.ones((5, 4), np.float32))
    with pytest.raises(UsageError, match="no remedy"):
        all_of(["none", "prayer"])
    assert all_of(["whitened", "none"]) == ("none", "whitened")


@given(st.lists(st.tuples(st.integers(-5, 5), st.floats(-1e6, 1e6)), min_size=2, max_size=40))
def test_rank_correlation_is_scipys(pairs: list[tuple[int, float]]) -> None:
    first, second = (np.array(side, float) for side in zip(*pairs, strict=True))
    found = spearman(first, second)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(spearmanr(first, second)[0], abs=1e-9)


def test_what_has_no_rank_is_refused() -> None:
    with pytest.raises(UsageError, match="not finite"):
        spearman(np.array([1.0, np.nan]), np.array([1.0, 2.0]))
    with pytest.raises(UsageError, match="cannot be correlated"):
        spearman(np.zeros(2), np.zeros(3))
    assert spearman(np.zeros(1), np.zeros(1)) is None
