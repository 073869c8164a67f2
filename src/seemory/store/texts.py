"""Texts that Postgres cannot hold as they are, and how they are kept.

A `text` holds no NUL and no lone surrogate; Python's name of a file whose bytes are no UTF-8 has surrogates
(surrogateescape). File names are escaped so that they come back exactly; in metadata, where a stray NUL of a camera's
EXIF means nothing, such characters are replaced.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

MARK = "\ufdd0"  # a noncharacter: valid UTF-8 that no text contains

_UNSAFE = re.compile(f"[\x00\ud800-\udfff{MARK}]")
_ESCAPED = re.compile(f"{MARK}([0-9a-f]{{4}})")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_DOUBTFUL = re.compile(r"\\u(0000|d[89a-f])")  # in JSON as ASCII: NUL and surrogates, and what only looks like them
_ENCODER = json.JSONEncoder(allow_nan=False)


def escape(text: str) -> str:
    """The text with NUL and surrogates written as the mark and four hexadecimal digits; others are unchanged."""
    return _UNSAFE.sub(lambda match: f"{MARK}{ord(match[0]):04x}", text)


def unescape(text: str) -> str:
    """What `escape` was given."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) if MARK in text else text


def clean(text: str) -> str:
    """The text with NUL and surrogates replaced by U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


def clean_json(value: Any) -> Any:
    """The value as jsonb can hold it: clean texts, no NaN or infinity, anything unknown as its text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, np.generic):
        return clean_json(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(key)): clean_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [clean_json(item) for item in value]
    return clean(str(value))


def json_text(value: Any) -> str:
    """The value as the JSON that jsonb can hold: of `clean_json`, which is only asked where something is to clean."""
    try:
        text = _ENCODER.encode(value)
    except (TypeError, ValueError):
        return _ENCODER.encode(clean_json(value))
    return _ENCODER.encode(clean_json(value)) if _DOUBTFUL.search(text) else text
