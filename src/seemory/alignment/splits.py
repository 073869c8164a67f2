"""Which pictures train a head, which one chooses by, and which the result is measured with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

from seemory.errors import UsageError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


def split_by_content(
    contents: Mapping[str, str],
    *,
    val: float = 0.1,
    test: float = 0.1,
    reserved: Sequence[str] = (),
) -> dict[str, Split]:
    """Each picture's split, by its name: the same for the same bytes, whatever else is in the set, on any machine.

    The same picture under two names is in one split: whoever drew a split by name would test on what was trained on.

    Args:
        contents: each picture's name with the hexadecimal sha256 of its bytes.
        val: the share to choose by.
        test: the share to measure with.
        reserved: names that are in `test` whatever the shares say, with every other name of the same bytes.

    Raises:
        UsageError: the shares leave nothing to train on, or a reserved name is none of the pictures'.
    """
    if not (0 <= val < 1 and 0 <= test < 1 and val + test < 1):
        raise UsageError(f"shares of {val:g} and {test:g} leave nothing to train on: together they stay below 1")
    if strange := [name for name in reserved if name not in contents]:
        raise UsageError(f"{strange[0]!r} is reserved for the test, and no picture has that name")
    kept = {contents[name] for name in reserved}
    return {name: _drawn(content, val, test, kept) for name, content in contents.items()}


def every(names: Sequence[str], step: int) -> list[str]:
    """Of the names in their order, each `step`-th, beginning with the first; none for a step of 0."""
    return sorted(names)[::step] if step else []


def _drawn(content: str, val: float, test: float, kept: set[str]) -> Split:
    if content in kept:
        return "test"
    # Hashed once more: the beginning of a content's own hash may have chosen it for something else before.
    drawn = int.from_bytes(hashlib.sha256(f"split {content}".encode()).digest()[:8], "big") / 2**64
    return "test" if drawn < test else "val" if drawn < test + val else "train"
