"""What sight is there for, by the wording: a list of queries as people type them, and the rules they follow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seemory.errors import UsageError
from seemory.search.routing import ROUTES, plan
from seemory.search.wording import read_wording

# query, what sight is there for, what is searched for in words, what is shown to the encoder of pictures
WRITTEN = [
    ("a rabbit under a tree", "leads", "a rabbit under a tree", "a rabbit under a tree"),
    ("a bird on a branch -night", "leads", "a bird on a branch -night", "a bird on a branch"),
    ("two people talking", "leads", "two people talking", "two people talking"),
    ("a man talking on the phone", "leads", "a man talking on the phone", "a man talking on the phone"),
    ("a woman speaking into a microphone", "leads", None, None),
    ("a teacher explaining at a board", "leads", None, None),
    ("a sign that says stop", "leads", "a sign that says stop", "a sign that says stop"),
    ("a T-shirt saying hello", "leads", None, None),
    ("saying", "leads", "saying", "saying"),
    ("who says?", "leads", None, None),
    ("who says good morning", "left out", "good morning", ""),
    ("Who said 'good morning'?", "left out", "'good morning'", ""),
    ("someone mentions Paris", "left out", "Paris", ""),
    ("when is Paris mentioned?", "left out", "Paris", ""),
    ("Where was the election discussed", "left out", "election", ""),
    ("what does he say about dinner", "left out", "dinner", ""),
    ("the moment where they discuss the budget", "left out", "the budget", ""),
    ("he tells her that it is over", "left out", "it is over", ""),
    ("conversation about cars", "left out", "cars", ""),
    ("a man in a suit talks about money", "re-ranks", "money", "man in a suit"),
    ("in the kitchen she says we are leaving", "re-ranks", "we are leaving", "kitchen"),
    ("the scene in the snow where somebody says help", "re-ranks", "help", "snow"),
    ('"where are you"', "left out", '"where are you"', ""),
    ("“where are you”", "left out", "“where are you”", ""),
    ('who says "where are you"', "left out", '"where are you"', ""),
    ('"where are you" in the snow', "re-ranks", '"where are you"', "snow"),
    ('a man in a suit mentions "Paris"', "re-ranks", '"Paris"', "man in a suit"),
    ('a dog "good boy" -cat', "re-ranks", '"good boy" -"cat"', "dog"),
    ("-night", "left out", "-night", ""),
]


@pytest.mark.parametrize(("query", "visual", "said", "shown"), WRITTEN, ids=[query for query, *_ in WRITTEN])
def test_the_wording_decides_what_sight_is_there_for(query: str, visual: str, said: str | None, shown: str) -> None:
    found = plan(query, examples=False)
    assert found.visual == visual, found.reason
    assert (found.said, found.shown) == (said if said is not None else query, shown if said is not None else query)
    assert found.reason


def test_a_picture_or_an_item_is_compared_by_sight_alone() -> None:
    assert plan("who says good morning", examples=True).visual == "alone"
    assert plan("", examples=True, asked="visual").visual == "alone"
    for route in ("rerank", "words"):
        with pytest.raises(UsageError, match="has no words to go by"):
            plan("", examples=True, asked=route)


def test_a_request_may_say_otherwise() -> None:
    assert plan("who says good morning", examples=False, asked="visual").visual == "leads"
    assert plan("a rabbit", examples=False, asked="words").visual == "left out"
    rerank = plan("a rabbit", examples=False, asked="rerank")
    assert (rerank.visual, rerank.said, rerank.shown) == ("re-ranks", "a rabbit", "a rabbit")
    with pytest.raises(UsageError, match="no route"):
        plan("a rabbit", examples=False, asked="sideways")  # type: ignore[arg-type]


@given(
    st.text(max_size=80)
    | st.lists(st.sampled_from(['"', "-", "who", "says", "a", "bird", "mentions", "about"])).map(" ".join)
)
def test_any_query_has_a_route_and_keeps_its_conditions(query: str) -> None:
    wording = read_wording(query)
    for route in ROUTES:
        found = plan(query, examples=False, asked=route)
        again = read_wording(found.said)
        assert (again.must, again.must_not) == (wording.must, wording.must_not)
        assert bool(found.shown) == (found.visual != "left out")
