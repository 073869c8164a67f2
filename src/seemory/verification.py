"""Is a new generation as good as it must be before it answers: counts, fidelity, recall, and how its answers differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from seemory.embedding import Target, decode, embed
from seemory.store.connect import Database
from seemory.store.figures import Figures, Sample, is_indexed
from seemory.store.query import Query
from seemory.types import Vector

SAMPLED = 64  # vectors recomputed from their files
ASKED = 32  # items whose neighbours are compared
NEIGHBOURS = 10
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
    live: Target,
    other: Target,
    *,
    max_pixels: int,
    words: Sequence[str] = (),
) -> Verification:
    """How the other generation stands beside the live one, over all these owners."""
    figures = [Figures(database, owner) for owner in owners]
    items = sum(one.items(live.generation.collection) for one in figures)
    rows = sum(one.rows(other.generation) for one in figures)
    lost = sum(one.lost(live.generation, other.generation) for one in figures)
    fidelity = [
        cosine
        for one in _share(figures, SAMPLED)
        for cosine in _fidelity(one.sample(other.generation, max(1, SAMPLED // len(figures))), other, max_pixels)
    ]
    recall, overlap, by_words = _answers(database, figures, live, other, words)
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
        overlap=overlap,
        overlap_words=by_words,
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


def _share(figures: Sequence[Figures], most: int) -> Sequence[Figures]:
    """Of more owners than there are samples, some, spread over all."""
    step = -(-len(figures) // most) if figures else 1
    return figures[::step]


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


def _answers(
    database: Database, figures: Sequence[Figures], live: Target, other: Target, words: Sequence[str]
) -> tuple[float | None, float | None, float | None]:
    """(recall of the index, overlap for items, overlap for words), each a mean, or None where nothing was asked."""
    indexed = is_indexed(database, other.generation)
    recall: list[float] = []
    overlap: list[float] = []
    by_words: list[float] = []
    texts = list(words) if live.encoder.has_texts and other.encoder.has_texts else []
    pairs = list(zip(live.encoder.embed_texts(texts), other.encoder.embed_texts(texts), strict=True)) if texts else []
    for one in _share(figures, ASKED):
        query = Query(database, one.owner)
        samples = one.sample(other.generation, max(1, ASKED // len(figures)))
        before = query.vectors(live.generation, [sample.item_id for sample in samples])
        asked = [(before[s.item_id], s.vector, s.item_id) for s in samples if s.item_id in before]
        for old, new, item_id in asked:
            hits = [n.item.item_id for n in query.nearest(other.generation, new, limit=NEIGHBOURS, exclude=[item_id])]
            was = [n.item.item_id for n in query.nearest(live.generation, old, limit=NEIGHBOURS, exclude=[item_id])]
            overlap += _common(was, hits)
            if indexed:
                exact = query.nearest(other.generation, new, limit=NEIGHBOURS, exclude=[item_id], exact=True)
                recall += _common([n.item.item_id for n in exact], hits)
        for old, new in pairs:
            was = [n.item.item_id for n in query.nearest(live.generation, old, limit=NEIGHBOURS)]
            by_words += _common(was, [n.item.item_id for n in query.nearest(other.generation, new, limit=NEIGHBOURS)])
    return _mean(recall), _mean(overlap), _mean(by_words)


def _common(first: Sequence[object], second: Sequence[object]) -> list[float]:
    return [len(set(first) & set(second)) / len(first)] if first else []


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
