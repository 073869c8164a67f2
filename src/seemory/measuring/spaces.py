"""Vectors to be measured, with names and groups: of a file, of a collection, of texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seemory.errors import SeemoryError, UsageError
from seemory.exchange.files import VectorRow, read_vectors
from seemory.exchange.vectors import unit_rows
from seemory.measuring.text_ways import Asked, embedded, text_ways
from seemory.store.items import Items
from seemory.store.query import Query
from seemory.telemetry import Progress, ProgressListener, ignore
from seemory.types import Generation, Item, Vectors

SAMPLED = 5000
"""So many vectors are looked at, unless told otherwise."""

LabelOf = Callable[[VectorRow], str | None]


@dataclass(frozen=True, slots=True)
class Space:
    """Vectors of one kind."""

    name: str
    vectors: Vectors
    """`(n, d)` float32, rows of norm 1."""
    rows: NDArray[np.int64]
    """`(n,)`: which rows of the source they are."""
    labels: tuple[str | None, ...]
    """The group of each; None where it has none."""
    of: int
    """How many vectors the source has."""
    notes: tuple[str, ...] = ()
    """What was left out, and why."""

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return int(self.vectors.shape[1])


def of_file(
    path: Path, *, column: str | None = None, label: LabelOf | None = None, sample: int = SAMPLED, seed: int = 0
) -> Space:
    """The vectors of a `.npy`, `.parquet`, `.safetensors` or clip-retrieval folder, or as many of them, at random.

    Two files of as many rows are sampled alike. Rows that are zero or not finite are left out, and counted.

    Raises:
        UsageError: the file cannot be read, its vectors are of different widths, or none is left.
    """
    random, kept = np.random.default_rng(seed), _Kept(sample)
    for batch in read_vectors(path, column):
        labels = [label(row) if label else None for row in batch.rows]
        kept.add(batch.vectors, labels, random.random(len(batch.rows)), path)
    return kept.space(path.name, path)


def of_array(
    name: str, vectors: Vectors, *, labels: Sequence[str | None] | None = None, sample: int = SAMPLED
) -> Space:
    """Vectors that are here already, or as many of them; what is zero or not finite is left out.

    Raises:
        UsageError: none is left.
    """
    kept = _Kept(sample)
    kept.add(vectors, list(labels or [None] * len(vectors)), np.random.default_rng(0).random(len(vectors)), name)
    return kept.space(name, name)


def of_collection(
    query: Query, items: Items, generation: Generation, *, label: Callable[[Item], str | None], sample: int = SAMPLED
) -> tuple[Space, list[Item | None]]:
    """An owner's vectors of one generation, or as many of them, at random, and their items (None: just forgotten).

    Raises:
        UsageError: the owner has none.
    """
    random, kept, ids = np.random.default_rng(0), _Kept(sample), []
    for page, vectors in query.all_vectors(generation):
        kept.add(vectors, [None] * len(page), random.random(len(page)), generation.table)
        ids += page
    if not ids:
        raise UsageError(f"{generation.table}: collection {generation.collection!r} has no vectors of this owner")
    space = kept.space(f"{generation.collection} ({generation.model.rsplit('/', 1)[-1]})", generation.table)
    chosen = [ids[row] for row in space.rows.tolist()]
    known = items.many(chosen)
    found = [known.get(one) for one in chosen]
    labels = tuple(None if item is None else label(item) for item in found)
    return Space(space.name, space.vectors, space.rows, labels, space.of, space.notes), found


def read_texts(path: Path, sample: int = SAMPLED) -> list[str]:
    """The different lines of a file, or as many of them, at random; `name<tab>text` is taken as its text.

    Raises:
        UsageError: it cannot be read, or has fewer than two.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as texts, one a line: {error}") from error
    texts = list(dict.fromkeys(text for line in lines if (text := line.rpartition("\t")[2].strip())))
    if len(texts) < 2:
        raise UsageError(f"{path} has {len(texts)} different lines: a space is made of two vectors and more")
    chosen = np.sort(np.random.default_rng(0).permutation(len(texts))[:sample])
    return [texts[row] for row in chosen]


def spaces_of_texts(
    texts: Sequence[str],
    asked: Asked,
    scratch: Path,
    *,
    home: Path,
    threads: int | None = None,
    offline: bool = False,
    listen: ProgressListener = ignore,
) -> tuple[list[Space], list[str]]:
    """The same texts' spaces in each way that was asked for, and what could not be had; arguments of `text_ways`.

    Raises as `text_ways` does.
    """
    found, notes = [], []
    for way in text_ways(asked, texts, scratch, home=home, threads=threads, offline=offline, listen=listen):
        if isinstance(way, str):
            notes.append(way)
            continue
        try:
            vectors = embedded(way, texts, lambda done: listen(Progress("embed", done, len(texts), "texts")))
            found.append(of_array(way.title, vectors, sample=len(texts)))
        except SeemoryError as error:
            notes.append(str(error))
            continue
        notes += [way.note] if way.note else []
    if not found:
        raise UsageError("; ".join(notes))
    return found, notes


class _Kept:
    """A sample of rows that come in batches: those of the smallest random numbers, so that memory stays bounded."""

    def __init__(self, most: int) -> None:
        if most < 2:
            raise UsageError(f"a space is made of two vectors and more, not of a sample of {most}")
        self._most = most
        self._vectors: list[Vectors] = []
        self._keys: list[NDArray[np.float64]] = []
        self._rows: list[NDArray[np.int64]] = []
        self._labels: list[NDArray[Any]] = []
        self._seen = self._refused = 0
        self._dim: int | None = None

    def add(
        self, vectors: NDArray[Any], labels: Sequence[str | None], keys: NDArray[np.float64], source: object
    ) -> None:
        """Keep what belongs to the sample of these rows."""
        self._dim = self._dim or int(vectors.shape[1])
        if vectors.shape[1] != self._dim:
            raise UsageError(f"{source}: vectors of {vectors.shape[1]} dimensions after ones of {self._dim}")
        unit, not_finite, zero, _ = unit_rows(vectors)
        good = np.flatnonzero(~(not_finite | zero))
        self._refused += len(unit) - len(good)
        named = np.empty(len(unit), object)
        named[:] = labels
        self._vectors.append(unit[good])
        self._keys.append(keys[good])
        self._rows.append(self._seen + good)
        self._labels.append(named[good])
        self._seen += len(unit)
        if sum(map(len, self._keys)) > 2 * self._most:
            self._shrink()

    def _shrink(self) -> None:
        keys = np.concatenate(self._keys)
        chosen = np.sort(np.argsort(keys, kind="stable")[: self._most])
        self._keys = [keys[chosen]]
        self._vectors = [np.concatenate(self._vectors)[chosen]]
        self._rows = [np.concatenate(self._rows)[chosen]]
        self._labels = [np.concatenate(self._labels)[chosen]]

    def space(self, name: str, source: object) -> Space:
        """What was kept, in the order of the source."""
        if not self._keys or not sum(map(len, self._keys)):
            raise UsageError(
                f"{source} has no vectors that could be measured ({self._refused} were zero or not finite)"
            )
        self._shrink()
        vectors, rows = self._vectors[0], self._rows[0]
        return Space(name, vectors, rows, tuple(self._labels[0]), self._seen, tuple(self._notes(name, len(rows))))

    def _notes(self, name: str, kept: int) -> Iterator[str]:
        if self._refused:
            yield f"{name}: {self._refused:,} of {self._seen:,} vectors are zero or not finite, and were left out"
        if kept + self._refused < self._seen:
            yield f"{name}: {kept:,} of {self._seen:,} vectors, drawn at random (--sample)"


def without_repeats(space: Space) -> tuple[Space, NDArray[np.int64]]:
    """The space with each different vector once, in the order of first coming, and for each row which one it is."""
    _, first, which = np.unique(space.vectors, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    chosen = first[order]
    notes = space.notes
    if len(chosen) < len(space.vectors):
        notes = (*notes, f"{space.name}: {len(space.vectors):,} rows are {len(chosen):,} different vectors")
    labels = tuple(space.labels[row] for row in chosen)
    once = Space(space.name, space.vectors[chosen], space.rows[chosen], labels, space.of, notes)
    return once, place[which.ravel()]
