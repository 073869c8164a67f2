"""In which numbers an encoder calculates, what runs it, and the names that say so: `vit-b-32-openai@int8`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Precision = Literal["fp32", "bf16", "int8"]
Runtime = Literal["onnxruntime", "openvino", "cuda"]

PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@dataclass(frozen=True, slots=True)
class Way:
    """A precision and what runs it."""

    runtime: Runtime
    precision: Precision

    def __str__(self) -> str:
        return f"{self.precision} by {self.runtime}"


REFERENCE = Way("onnxruntime", "fp32")
"""The weights as they were exported, on the processor: what fidelity is measured against, and what runs everywhere."""

WAYS = (
    REFERENCE,
    Way("openvino", "fp32"),
    Way("cuda", "fp32"),
    Way("openvino", "bf16"),
    Way("onnxruntime", "int8"),
    Way("openvino", "int8"),
)
"""All there are. The runtime is no part of the fingerprint: two ways of one precision differ by rounding in that
precision, and are nearer to one another than either of int8's is to fp32."""


def ways_of(precision: Precision) -> tuple[Way, ...]:
    """The ways of that precision; the first is the one that is taken when nothing was measured."""
    return tuple(way for way in WAYS if way.precision == precision)


def split_name(name: str) -> tuple[str, Precision | None]:
    """(model, precision) of a name such as `vit-b-32-openai@int8`; (name, None) where no precision is at its end."""
    base, _, last = name.rpartition("@")
    for precision in PRECISIONS:
        if base and last == precision:
            return base, precision
    return name, None


def full_name(model: str, precision: Precision) -> str:
    """The name that `split_name` takes apart again. fp32 goes without saying, except behind what looks like one."""
    if precision == "fp32" and split_name(model)[1] is None:
        return model
    return f"{model}@{precision}"
