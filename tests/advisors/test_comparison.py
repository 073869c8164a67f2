"""Eight scores beside a library's: what is near enough to learn from, what comes first, and what is never said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seemory.advisors.comparison import CLEAR, MOST_CASES, STRONG, cases, compare, places, relevance
from seemory.advisors.likeness import ALIKE_SIGMAS, Likeness
from seemory.advisors.profile import DIMENSIONS, Measured, Profile
from seemory.advisors.wording import NAMES, of_comparison
from seemory.store.libraries import Reference

SCORES = st.floats(0, 10)


def profile(scores: list[float]) -> Profile:
    pairs = zip(DIMENSIONS, scores, strict=True)
    return Profile({name: Measured(score, f"{name} is measured.", {"figure": score}) for name, score in pairs}, "test")


def like(number: int, cosine: float = 0.7, sigmas: float = 2.0) -> Likeness:
    work = Reference(bytes([number]) * 32, f"/work{number}.jpg", title=f"Work {number}")
    return Likeness(work, cosine, 0.5, sigmas, is_same=False)


def test_relevance_is_likeness_and_what_can_be_learned() -> None:
    own = np.full(8, 4.0)
    theirs = np.array([[4.0] * 7 + [9.0], [4.0] * 8, [3.0] * 8])
    found = relevance(np.array([0.5, 0.9, 0.9]), own, theirs)
    assert found == pytest.approx([0.6 * 0.5 + 0.4 * 0.5, 0.6 * 0.9, 0.6 * 0.9 - 0.04])


def test_each_dimension_is_a_strength_a_priority_or_neither() -> None:
    own = np.array([5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0])
    usual = own + np.array([0.49, 0.5, -0.49, -0.5, 3.0, -3.0, 0.0, 0.0])
    level = "level"
    assert places(own, usual) == [level, "priority", level, "strength", "priority", "strength", level, level]


def test_examples_go_to_the_dimension_that_is_furthest_behind() -> None:
    own, usual = np.full(8, 5.0), np.full(8, 5.0)
    usual[2], usual[6], usual[0] = 8.0, 7.0, 1.0
    theirs = np.full((3, 8), 5.0)
    theirs[0, [2, 6, 0]] = 9.5, 9.0, 10.0
    theirs[1, [2, 6]] = 9.0, 8.5
    theirs[2] = 10.0
    alike = np.array([True, True, False])
    cosines = np.array([0.7, 0.8, 0.1])
    # work 0 is the best in both; it is taken by the dimension in greater need; dimension 0 is a strength
    assert cases(own, usual, theirs, cosines, alike) == [(2, 0), (6, 1)]
    assert cases(own, usual, theirs, cosines, np.zeros(3, bool)) == []
    theirs[:, [2, 6]] = STRONG - 0.01
    assert cases(own, usual, theirs, cosines, alike) == []


@given(data=st.data())
def test_what_holds_for_all_examples(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 12))
    own = data.draw(hnp.arrays(np.float64, 8, elements=SCORES))
    theirs = data.draw(hnp.arrays(np.float64, (n, 8), elements=SCORES))
    alike = data.draw(hnp.arrays(np.bool_, n))
    cosines = data.draw(hnp.arrays(np.float64, n, elements=st.floats(-1, 1)))
    usual = np.median(theirs, axis=0)
    found = cases(own, usual, theirs, cosines, alike)
    assert len({work for _, work in found}) == len(found) == len({dimension for dimension, _ in found}) <= MOST_CASES
    needs = [usual[dimension] - own[dimension] for dimension, _ in found]
    assert needs == sorted(needs, reverse=True)
    for dimension, work in found:
        assert alike[work]
        assert theirs[work, dimension] >= STRONG
        assert theirs[work, dimension] - own[dimension] >= CLEAR
        assert own[dimension] - usual[dimension] < CLEAR


@given(
    own=st.lists(SCORES, min_size=8, max_size=8),
    theirs=st.lists(st.lists(SCORES, min_size=8, max_size=8), min_size=1, max_size=6),
)
def test_an_answer_does_not_contradict_itself(own: list[float], theirs: list[list[float]]) -> None:
    works = [like(n, cosine=0.5 + n / 20, sigmas=n) for n in range(len(theirs))]
    found = compare(profile(own), works, [profile(scores) for scores in theirs], limit=3)
    assert [one.dimension for one in found.standings] == list(DIMENSIONS)
    strengths, priorities = ({one.dimension for one in some} for some in (found.strengths, found.priorities))
    assert not strengths & priorities
    assert not strengths & {case.dimension for case in found.cases}
    assert all(case.work.sigmas >= ALIKE_SIGMAS for case in found.cases)
    for one in found.standings:
        assert one.best_score == max(scores[DIMENSIONS.index(one.dimension)] for scores in theirs)
        assert one.gap == pytest.approx(one.best_score - one.score)
    said = of_comparison(found)
    assert all(one.evidence for one in said), "each statement carries what it rests on"
    ahead = [one.text for one in said if one.text.startswith("Strong")]
    behind = [one.text for one in said if one.text.startswith(("First", "Then", "After"))]
    for name in NAMES.values():
        assert not (any(f"{name} (" in text for text in ahead) and any(f": {name}," in text for text in behind))
    if not priorities:
        assert any("In none of the eight" in one.text for one in said)


def test_priorities_are_ordered_and_name_an_example() -> None:
    own = [3.0, 6.0, 9.0, 5.0, 5.0, 5.0, 5.0, 5.0]
    theirs = [[9.0, 7.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0], [8.5, 8.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0]]
    found = compare(profile(own), [like(1), like(2)], [profile(scores) for scores in theirs], limit=1)
    assert [one.dimension for one in found.priorities] == ["composition", "lighting"]
    assert [one.dimension for one in found.strengths] == ["focus_sharpness"]
    assert [(case.dimension, case.work.reference.name) for case in found.cases] == [
        ("composition", "Work 1"),
        ("lighting", "Work 2"),
    ]
    strong, first, then = of_comparison(found)
    assert "focus and sharpness (9.0" in strong.text
    assert first.text.startswith("First: composition, 3.0 where the library's middle is 8.8. composition is measured.")
    assert "“Work 1”" in first.text
    assert then.text.startswith("Then: lighting, 6.0")
    assert then.evidence["reference"] == found.cases[1].work.reference.key
    [study] = found.to_study
    assert (study.work.reference.name, study.dimension, study.gap) == ("Work 1", "composition", 6.0)
