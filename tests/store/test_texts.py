from __future__ import annotations

import json
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seemory.store.texts import MARK, clean, clean_json, escape, unescape

ANY_TEXT = st.text(st.characters() | st.sampled_from(["\0", "\udcff", "\ud800", MARK, "0"]))
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(ANY_TEXT)
def test_escaped_text_can_be_stored_and_comes_back(text: str) -> None:
    stored = escape(text)
    assert "\0" not in stored
    stored.encode("utf-8")
    assert unescape(stored) == text


@given(ANY_TEXT, ANY_TEXT)
def test_different_texts_stay_different(a: str, b: str) -> None:
    assert (escape(a) == escape(b)) == (a == b)


def test_ordinary_text_is_unchanged() -> None:
    assert escape("/Bilder/Müller 100%_☃.jpg") == "/Bilder/Müller 100%_☃.jpg"


@given(ANY_JSON)
def test_cleaned_json_is_json(value: object) -> None:
    text = json.dumps(clean_json(value), allow_nan=False, ensure_ascii=False)
    assert "\\u0000" not in text
    text.encode("utf-8")


def test_cleaning_keeps_what_can_be_kept() -> None:
    value = {"iso": 100, "lens": "EF\0", "gps": (48.1, math.nan), "deep": {"x": np.float64(0.5)}, 3: b"raw"}
    assert clean_json(value) == {"iso": 100, "lens": "EF\ufffd", "gps": [48.1, None], "deep": {"x": 0.5}, "3": "b'raw'"}
    assert clean("a\udcffb") == "a\ufffdb"
