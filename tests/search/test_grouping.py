"""Neighbouring scenes as one hit: nothing is lost, nothing comes twice, and pages agree."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from seemory.search.grouping import REACH, film_of, grouped, page_of_groups
from seemory.types import Hit, Hits


def scene(film: str, ordinal: int, rank: int = 1) -> Hit:
    return Hit(UUID(int=hash((film, ordinal)) & (2**120 - 1)), "scene", film, 0.5, 0.3, rank, ordinal, ordinal + 1.0)


def picture(number: int) -> Hit:
    return Hit(UUID(int=number), "image", f"{number}.jpg", 0.5, 0.3, 1)


def names(hits: Sequence[Hit]) -> list[tuple[str, float | None]]:
    return [(hit.uri, hit.start_s) for hit in hits]


def searching(ranking: Sequence[Hit]):
    return lambda limit, offset: Hits(ranking[offset : offset + limit])


def test_scenes_that_touch_are_one_hit_and_the_best_of_them_leads() -> None:
    ranking = [scene("a", 5), scene("b", 6), scene("a", 6), picture(1), scene("a", 4), scene("a", 3), scene("a", 9)]
    page = page_of_groups(searching(ranking), 10, 0)
    assert names(page) == [("a", 5), ("b", 6), ("1.jpg", None), ("a", 3), ("a", 9)]
    assert [hit.rank for hit in page] == [1, 2, 3, 4, 5]
    assert [names(hit.neighbours) for hit in page] == [[("a", 4), ("a", 6)], [], [], [], []]
    assert names(page_of_groups(searching(ranking), 2, 3)) == [("a", 3), ("a", 9)]


def test_a_neighbour_far_down_is_a_hit_of_its_own() -> None:
    between = [picture(n) for n in range(REACH)]
    near = grouped([scene("a", 1), *between[1:], scene("a", 2)])
    far = grouped([scene("a", 1), *between, scene("a", 2)])
    assert (len(near), len(far)) == (REACH, REACH + 2)


def test_imported_scenes_of_one_film_touch_too() -> None:
    one = Hit(UUID(int=1), "scene", "x.mp4", 0.5, 0.3, 1, 0.0, 2.0, {"film_uri": "x.mp4"})
    two = Hit(UUID(int=2), "scene", "x.mp4#2", 0.5, 0.3, 2, 2.0, 4.0, {"film_uri": "x.mp4"})
    assert len(grouped([one, two])) == 1
    assert film_of(Hit(UUID(int=3), "scene", "x.mp4", 0.5, 0.3, 3)) is None, "without times it touches nothing"


@given(
    ranking=st.permutations([scene(film, n) for film in "ab" for n in range(20)] + [picture(n) for n in range(30)]),
    size=st.integers(1, 40),
)
def test_pages_of_groups_hold_every_hit_once(ranking: list[Hit], size: int) -> None:
    whole = page_of_groups(searching(ranking), 1000, 0)
    shown = [one for hit in whole for one in (hit, *hit.neighbours)]
    assert sorted(names(shown), key=str) == sorted(names(ranking), key=str)
    assert all(len(hit.neighbours) <= 2 for hit in whole)
    pages = [page_of_groups(searching(ranking), size, at) for at in range(0, len(whole) + size, size)]
    assert [hit for page in pages for hit in page] == list(whole)
