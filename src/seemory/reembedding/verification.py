"""Is a new generation as good as it must be before it answers: counts, fidelity, recall, and how its answers differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from seemory.embedding.pictures import Target, decode, embed
from seemory.models.encoder import Encoder
from seemory.reembedding.comparison import compare, mean, spread
from seemory.store.connect import Database
from seemory.store.figures import Figures, Sample
from seemory.types import Generation, Vector

SAMPLED = 64  # vectors recomputed from their files
LEAST_FIDELITY = 0.999
"""Cosine between a stored vector and the one its file gives now; halves cost some 1e-6 of it."""
LEAST_RECALL = 0.95


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found. `overlap` is no test: encoders are changed because answers should differ."""

    passed: bool
    problems: tuple[str, ...]
    items: int
    rows: int
    lost: int
    """Items that have a vector in the live generation and only a reason in this one."""
    sampled: int
    fidelity_mean: float | None
    fidelity_least: float | None
    recall: float | None
    """Of the approximate index against the exact scan, at 10; None where there is no index (all is exact)."""
    overlap: float | None
    """Mean share of the ten nearest items, asked with items' own vectors, that both generations name."""
    overlap_words: float | None
    """The same for words that were given."""
    at: str

    def as_json(self) -> dict[str, Any]:
        """As it is stored, and as `--json` prints it."""
        return asdict(self) | {"problems": list(self.problems)}


def verify(
    database: Database,
    owners: Sequence[str],
    live: Generation,
    live_encoder: Encoder | None,
    other: Target,
    *,
    max_pixels: int,
    words: Sequence[str] = (),
) -> Verification:
    """How the other generation stands beside the live one, over all these owners.

    Without the live one's encoder, words are not compared.
    """
    figures = [Figures(database, owner) for owner in owners]
    items = sum(one.items(live.collection) for one in figures)
    rows = sum(one.rows(other.generation) for one in figures)
    lost = sum(one.lost(live, other.generation) for one in figures)
    fidelity = [
        cosine
        for one in spread(figures, SAMPLED)
        for cosine in _fidelity(one.sample(other.generation, max(1, SAMPLED // len(figures))), other, max_pixels)
    ]
    encoders = None if live_encoder is None else (live_encoder, other.encoder)
    compared = compare(database, owners, live, other.generation, words=words, encoders=encoders)
    recall = mean(compared.recall)
    problems = []
    if rows < items:
        problems.append(f"{items - rows:,} of {items:,} items have no row yet")
    if lost:
        problems.append(f"{lost:,} items that have a vector could not be embedded (`seemory backfill --retry` tries)")
    if fidelity and min(fidelity) < LEAST_FIDELITY:
        problems.append(f"a stored vector has only cosine {min(fidelity):.4f} to the one its file gives now")
    if recall is not None and recall < LEAST_RECALL:
        problems.append(f"the approximate index finds only {recall:.3f} of the ten nearest")
    return Verification(
        passed=not problems,
        problems=tuple(problems),
        items=items,
        rows=rows,
        lost=lost,
        sampled=len(fidelity),
        fidelity_mean=float(np.mean(fidelity)) if fidelity else None,
        fidelity_least=min(fidelity) if fidelity else None,
        recall=recall,
        overlap=mean(compared.overlap),
        overlap_words=mean(compared.overlap_words),
        at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    )


def cosines_of_pairs(vectors: Sequence[Vector]) -> dict[str, float] | None:
    """Where the cosines of random pairs lie: mean, std and percentiles; None for fewer than two vectors.

    It shows what a threshold of one space means in another, and whether a space has collapsed.
    """
    if len(vectors) < 2:
        return None
    stacked = np.stack(vectors)  # (n, d)
    stacked = stacked / np.linalg.norm(stacked, axis=1, keepdims=True)
    cosines = (stacked @ stacked.T)[np.triu_indices(len(stacked), k=1)]
    low, middle, high = np.percentile(cosines, [5, 50, 95])
    figures = {"mean": cosines.mean(), "std": cosines.std(), "p05": low, "p50": middle, "p95": high}
    return {"pairs": len(cosines)} | {name: round(float(value), 4) for name, value in figures.items()}


def _fidelity(samples: Sequence[Sample], target: Target, max_pixels: int) -> list[float]:
    """The cosine of each stored vector to the one made now of its file, if that has not changed since."""
    found = []
    for sample in samples:
        path = Path(sample.uri)
        try:
            state = path.stat()
        except (OSError, ValueError):
            continue
        squares = decode(path, [target.encoder], max_pixels=max_pixels)
        if (state.st_size, state.st_mtime_ns) != (sample.bytes, sample.mtime_ns) or not squares.pixels:
            continue
        vector, _ = embed(target.encoder, [squares.pixels[target.encoder.fingerprint]])[0]
        if vector is not None:
            found.append(float(vector @ sample.vector / np.linalg.norm(sample.vector)))
    return found
