"""What of an encoder is right, and how fast it is here: the findings that `seemory models check` prints."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from seemory.errors import SeemoryError
from seemory.models.encoder import Encoder
from seemory.types import Pixels, Vectors

_TEXTS = (
    "a dog on a beach",
    "two people ride bicycles past a red house",
    "",
    "kitchen",
    "a dog " * 200,
    "犬",
    "🐕",
    "a",
)
# Passes of other batch sizes take other paths through the arithmetic; that must not show in a search.
_SAME = 0.9999


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    says: str


def check(encoder: Encoder) -> list[Finding]:
    """The findings about the towers an encoder has. A tower that cannot be loaded or run is a finding, not an error."""
    findings = [Finding("fingerprint", True, encoder.fingerprint[:16])]
    if encoder.has_images:
        findings += _tower("picture", lambda: _pictures(encoder), encoder.embed_pixels, encoder.dim)
    if encoder.has_texts:
        findings += _tower("text", lambda: list(_TEXTS), encoder.embed_texts, encoder.dim)
        findings += _lengths(encoder)
    measured = ", ".join(sorted(encoder.spec.measured)) or "none: the ranges of its kind stand in"
    return [*findings, Finding("calibration", True, f"measured: {measured}")]


def _tower(name: str, make: Callable[[], Pixels | list[str]], embed: Callable[..., Vectors], dim: int) -> list[Finding]:
    try:
        return list(_tower_findings(name, make(), embed, dim))
    except SeemoryError as error:
        return [Finding(f"{name} tower", False, str(error))]


def _tower_findings(name: str, given: Pixels | list[str], embed: Callable[..., Vectors], dim: int) -> Iterator[Finding]:
    started = time.perf_counter()
    together = embed(given)
    yield Finding(f"{name} tower", True, f"loads and runs ({time.perf_counter() - started:.2f} s the first time)")
    yield Finding(f"{name} width", together.shape == (len(given), dim), f"{together.shape[1]} of {dim}")
    off = float(np.abs(np.linalg.norm(together, axis=1) - 1).max())
    yield Finding(f"{name} norm", off < 1e-5, f"1 within {off:.1e}")
    yield Finding(f"{name} repeats", bool(np.array_equal(embed(given), together)), "the same input, the same vector")
    alone = np.concatenate([embed(given[index : index + 1]) for index in range(len(given))])
    worst = float((alone * together).sum(axis=1).min())
    yield Finding(f"{name} batches", worst >= _SAME, f"one by one against {len(given)} at once: cosine {worst:.7f}")
    apart = float((together[:1] @ together[1:2].T)[0, 0])
    yield Finding(f"{name} tells apart", apart < _SAME, f"two different ones: cosine {apart:.3f}")
    started = time.perf_counter()
    for _ in range(5):
        embed(given[:1])
    yield Finding(f"{name} speed", True, f"{(time.perf_counter() - started) * 200:.1f} ms each, one at a time")


def _lengths(encoder: Encoder) -> list[Finding]:
    try:
        session, tokens, _ = encoder.text_tower()
    except SeemoryError:
        return []
    shape = next(port.shape for port in session.inputs if len(port.shape) == 2)
    length = f"fixed at {shape[1]}" if shape[1] else "free"
    findings = [
        Finding("text length", True, f"{length}; context {encoder.spec.text and encoder.spec.text.context_length}")
    ]
    if tokens.end_id is not None:
        cut = tokens.encode([_TEXTS[4]])[0]
        findings.append(
            Finding("text end token", cut[-1] == tokens.end_id, f"kept when {len(cut)} tokens are the limit")
        )
    return findings


def _pictures(encoder: Encoder) -> Pixels:
    """Eight squares that differ: noise of eight kinds of coarseness."""
    size = encoder.image_size
    random = np.random.default_rng(0)
    squares = []
    for index in range(8):
        coarse = random.integers(0, 256, (2 + 3 * index, 2 + 3 * index, 3), dtype=np.uint8)
        rows = np.arange(size) * len(coarse) // size
        squares.append(coarse[rows][:, rows])
    return np.stack(squares)
