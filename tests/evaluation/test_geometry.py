from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from sklearn.neighbors import KNeighborsClassifier

from seemory.evaluation.geometry import distribution, maps, nearest_cosines, pair_cosines, separation


def clouds(groups: int, each: int, spread: float, dim: int = 16, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    random = np.random.default_rng(seed)
    centres = random.normal(size=(groups, dim))
    made = np.repeat(centres, each, axis=0) + spread * random.normal(size=(groups * each, dim))
    return made.astype(np.float32), [f"group {n // each}" for n in range(groups * each)]


@given(st.integers(0, 30), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_cosines_are_scipys_and_do_not_depend_on_length(rows: int, dim: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(rows, dim)).astype(np.float32) + 0.1
    scaled = vectors * random.uniform(0.1, 9, size=(rows, 1)).astype(np.float32)
    pairs = pair_cosines(scaled)
    assert pairs == pytest.approx(1 - pdist(vectors, "cosine"), abs=1e-5)
    nearest = nearest_cosines(vectors)
    assert len(nearest) == (rows if rows > 1 else 0)
    if rows > 1:
        assert nearest.max() == pytest.approx(pairs.max(), abs=1e-5)
        assert nearest.min() >= pairs.min() - 1e-5


def test_a_distribution_says_where_the_cosines_lie() -> None:
    assert distribution(np.zeros(0)) is None
    found = distribution(np.array([-1.0, 0.0, 0.5, 1.0 + 1e-9]))
    assert found is not None
    assert (found["count"], found["mean"], found["p50"]) == (4, 0.125, 0.25)
    assert sum(found["histogram"]) == pytest.approx(1)
    assert found["histogram"][0] == found["histogram"][-1] == 0.25, "the ends belong to the outermost bins"


def test_far_groups_are_apart_and_one_cloud_is_not() -> None:
    near, labels = clouds(4, 12, spread=0.2)
    clear = separation(near, labels)
    mixed = separation(clouds(1, 48, spread=1.0)[0], labels)
    assert clear is not None
    assert mixed is not None
    assert (clear.groups, clear.items, clear.chance) == (4, 48, 0.25)
    assert clear.sigmas > 3 > 0.5 > abs(mixed.sigmas)
    assert clear.neighbours == 1.0
    assert mixed.neighbours < 0.6
    assert clear.silhouette is not None
    assert mixed.silhouette is not None
    assert clear.silhouette > 0.5 > 0.1 > mixed.silhouette
    assert clear.within - clear.between > 0.5


def test_votes_are_scikit_learns() -> None:
    vectors, labels = clouds(3, 15, spread=1.2)
    names = np.array(labels)
    right = 0
    for n in range(len(vectors)):
        rest = np.arange(len(vectors)) != n
        model = KNeighborsClassifier(1, metric="cosine").fit(vectors[rest], names[rest])
        right += model.predict(vectors[n : n + 1])[0] == names[n]
    by_one = right / len(vectors)
    found = separation(vectors, labels)
    assert found is not None
    assert found.neighbours == pytest.approx(by_one, abs=0.15), "five vote about as one does, in three round clouds"


@pytest.mark.parametrize(
    "labels", [[], ["a"], ["a", "a", "a"], [None, None, "a", "b"], ["a", "b", "c"], ["a", "a", "b"], ["", "", "a", "a"]]
)
def test_without_two_groups_of_two_nothing_is_apart(labels: list[str | None]) -> None:
    vectors = np.random.default_rng(0).normal(size=(len(labels), 4)).astype(np.float32)
    assert separation(vectors, labels) is None


def test_the_smallest_groups_that_are_compared() -> None:
    vectors = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [1, 1], [5, 5]], np.float32)
    found = separation(vectors, ["a", "a", "b", "b", "alone", None])
    assert found is not None
    assert (found.groups, found.items) == (2, 4)
    assert found.sigmas > 3


def test_equal_vectors_are_not_apart_by_infinity() -> None:
    found = separation(np.ones((6, 3), np.float32), ["a", "a", "a", "b", "b", "b"])
    assert found is not None
    assert found.sigmas == 0.0


def test_maps_keep_groups_together_and_in_their_places() -> None:
    vectors, labels = clouds(3, 20, spread=0.2)
    turned = vectors @ np.linalg.qr(np.random.default_rng(1).normal(size=(16, 16)))[0]
    made = maps(vectors, turned.astype(np.float32))
    assert made is not None
    for points in made:
        assert points.shape == (60, 2)
        centres = np.stack([points[n * 20 : n * 20 + 20].mean(axis=0) for n in range(3)])
        found = np.linalg.norm(points[:, None] - centres, axis=2).argmin(axis=1)
        assert (found == np.repeat([0, 1, 2], 20)).all()
    agree = [np.corrcoef(made[0][:, axis], made[1][:, axis])[0, 1] for axis in (0, 1)]
    assert np.mean(agree) > 0.4, "the same space drawn again is not turned about"
    assert maps(vectors[:7], turned[:7]) is None
    assert maps(vectors[:8], turned[:8]) is not None
    assert len(labels) == 60
