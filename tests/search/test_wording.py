"""Quotes and minus signs in a query."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seemory.search.wording import Wording, read_wording


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("a dog on the beach", Wording("a dog on the beach")),
        ('"golden gate" in fog', Wording("in fog", ("golden gate",))),
        ("boats -night", Wording("boats", (), ("night",))),
        ('boats -"cruise ship" -crane', Wording("boats", (), ("cruise ship", "crane"))),
        ('"a" "b" -c', Wording("", ("a", "b"), ("c",))),
        ("“golden gate” «bay»", Wording("", ("golden gate", "bay"))),
        ("a t-shirt - on a line", Wording("a t-shirt - on a line")),
        ('a 12" record', Wording('a 12" record')),
        ('a 12" record -player', Wording('a 12 " record', (), ("player",))),
        ('"" dog', Wording('"" dog')),
        ("-- dog", Wording("-- dog")),
        ("", Wording("")),
    ],
)
def test_a_query_is_taken_apart(query: str, expected: Wording) -> None:
    assert read_wording(query) == expected


@given(st.text())
def test_anything_can_be_typed(query: str) -> None:
    wording = read_wording(query)
    if '"' not in query and "-" not in query and not set(query) & set("“”„‟«»"):
        assert wording == Wording(query)
    assert all(part.strip() for part in (*wording.must, *wording.must_not))


@given(
    st.lists(st.from_regex(r"[a-z]{1,6}", fullmatch=True), max_size=6),
    st.from_regex(r"[a-z]{1,5} [a-z]{1,5}", fullmatch=True),
)
def test_conditions_stand_anywhere(words: list[str], phrase: str) -> None:
    for place in range(len(words) + 1):
        query = " ".join([*words[:place], f'"{phrase}"', f'-"{phrase}"', *words[place:]])
        assert read_wording(query) == Wording(" ".join(words), (phrase,), (phrase,))
