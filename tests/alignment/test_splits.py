from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seemory.alignment.splits import every, split_by_content
from seemory.errors import UsageError


def content(number: int) -> str:
    return sha256(str(number).encode()).hexdigest()


@settings(max_examples=40)
@given(st.dictionaries(st.text(min_size=1, max_size=6), st.integers(0, 30), min_size=1), st.integers(0, 5), st.data())
def test_no_picture_is_in_two_splits_under_whatever_names(pictures, step, data):
    contents = {name: content(number) for name, number in pictures.items()}
    reserved = every(list(contents), step)
    found = split_by_content(contents, val=0.2, test=0.2, reserved=reserved)
    splits_of: dict[str, set[str]] = {}
    for name, split in found.items():
        splits_of.setdefault(contents[name], set()).add(split)
    assert all(len(splits) == 1 for splits in splits_of.values())
    assert all(found[name] == "test" for name in reserved)
    # What else is in the set, and in which order, changes nothing; with nothing reserved, whatever is taken away.
    some = data.draw(st.sets(st.sampled_from(sorted(contents)), min_size=1))
    fewer = split_by_content({name: contents[name] for name in some}, val=0.2, test=0.2)
    whole = split_by_content(contents, val=0.2, test=0.2)
    assert all(fewer[name] == whole[name] for name in some)


def test_shares_are_what_was_asked_for():
    found = list(split_by_content({str(n): content(n) for n in range(20_000)}, val=0.1, test=0.25).values())
    assert abs(found.count("val") / 20_000 - 0.1) < 0.01
    assert abs(found.count("test") / 20_000 - 0.25) < 0.01


def test_the_same_split_on_every_machine():
    assert split_by_content(
        {"a": content(1), "b": content(2), "c": content(3), "d": content(17)}, val=0.3, test=0.3
    ) == {"a": "test", "b": "test", "c": "train", "d": "val"}


def test_shares_that_leave_nothing_are_refused():
    with pytest.raises(UsageError, match="nothing to train on"):
        split_by_content({"a": content(1)}, val=0.5, test=0.5)
    with pytest.raises(UsageError, match="'x' is reserved"):
        split_by_content({"a": content(1)}, reserved=["x"])


def test_every_fourth_begins_with_the_first():
    assert every(["d", "a", "c", "b", "e"], 4) == ["a", "e"]
    assert every(["a"], 0) == []
