"""Which of a tower's positions is the vector: plain functions of arrays.

`states` are `(n, t, d)`, masks `(n, t)` with 1 for text and 0 for padding, results `(n, d)` float32.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seemory.models.catalog import Pooling
from seemory.types import Vectors

Floats = NDArray[np.floating]
Integers = NDArray[np.int64]


def mean(states: Floats, mask: Integers) -> Vectors:
    """The mean over the mask (Reimers and Gurevych 2019); a row without any text is zero."""
    weights = mask.astype(np.float32)[:, :, None]
    total = (states * weights).sum(axis=1)
    return _float32(total / np.maximum(weights.sum(axis=1), 1e-9))


def cls(states: Floats) -> Vectors:
    """The first position."""
    return _float32(states[:, 0])


def last(states: Floats) -> Vectors:
    """The last position, padding or not: what SigLIP was trained on."""
    return _float32(states[:, -1])


def last_text(states: Floats, mask: Integers) -> Vectors:
    """The last position that is not padding."""
    positions = mask.shape[1] - 1 - np.argmax(mask[:, ::-1], axis=1)
    return _float32(states[np.arange(len(states)), positions])


def maximum(states: Floats, mask: Integers) -> Vectors:
    """The largest value of each feature over the mask."""
    return _float32(np.where(mask[:, :, None] > 0, states, -np.inf).max(axis=1))


def eot(states: Floats, ids: Integers, end_id: int) -> Vectors:
    """The first end-of-text token of each row (CLIP). A row without one falls back to its last position."""
    found = ids == end_id
    positions = np.where(found.any(axis=1), found.argmax(axis=1), ids.shape[1] - 1)
    return _float32(states[np.arange(len(states)), positions])


def pool(output: Floats, rule: Pooling, ids: Integers, mask: Integers, end_id: int | None, padded: bool) -> Vectors:
    """A tower's output as `(n, d)`: as it is when the export has pooled it, else by the rule.

    `padded` says that the padding is part of the text (SigLIP), which decides what `last` means.
    """
    if output.ndim == 2:
        return _float32(output)
    if output.ndim != 3:
        raise ValueError(f"an output of {output.ndim} dimensions is neither pooled (2) nor per position (3)")
    if rule == "mean":
        return mean(output, mask)
    if rule == "cls":
        return cls(output)
    if rule == "max":
        return maximum(output, mask)
    if rule == "eot" and end_id is not None:
        return eot(output, ids, end_id)
    return last(output) if padded else last_text(output, mask)


def _float32(values: Floats) -> Vectors:
    return values.astype(np.float32, copy=False)
