"""How the space changes from one generation to the next: the same items and questions in both, before a switch."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any
from uuid import UUID

import numpy as np

from seemory.errors import UsageError
from seemory.evaluation.geometry import distribution, nearest_cosines, pair_cosines, rounded, separation
from seemory.models.encoder import Encoder
from seemory.reembedding.comparison import compare, mean, percentiles, spread
from seemory.store.connect import Database
from seemory.store.figures import Figures, embedding_times, sizes_of
from seemory.store.items import Items
from seemory.store.query import Query
from seemory.types import Generation, Item, Vector, Vectors

SAMPLED = 1000  # items whose vectors are looked at
_ASKED = 100  # items asked for their neighbours

Label = Callable[[Item], str | None]


@dataclass(frozen=True, slots=True)
class Space:
    """One generation's side of the report."""

    generation: Generation
    vectors: Vectors
    """`(n, d)`: of the sampled items, the same in every space and in the same order."""
    figures: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SpaceReport:
    """Both sides, the older first."""

    collection: str
    owners: int
    spaces: tuple[Space, Space]
    labels: tuple[str | None, ...]
    """Of the sampled items."""
    labelled_by: str
    overlap_items: float | None
    """Mean share of the ten nearest items that both name, asked with items' own vectors."""
    overlap_words: float | None
    """The same asked with words; None where there were none, or an encoder is not here."""
    words: int
    notes: tuple[str, ...] = field(default=())
    """What could not be told, and what to do about it."""

    def as_json(self) -> dict[str, Any]:
        """The report as `--json` prints it, without the vectors."""
        return {
            "collection": self.collection,
            "owners": self.owners,
            "items": len(self.labels),
            "labelled_by": self.labelled_by,
            "overlap": {"items": self.overlap_items, "words": self.overlap_words, "queries": self.words},
            "generations": [space.figures for space in self.spaces],
            "notes": list(self.notes),
        }


def report_on(
    database: Database,
    owners: Sequence[str],
    generations: tuple[Generation, Generation],
    encoders: tuple[Encoder, Encoder] | None,
    *,
    words: Sequence[str] = (),
    label: Label,
    labelled_by: str,
) -> SpaceReport:
    """What changes from the first generation to the second, over all these owners, each under its own policy.

    Raises:
        UsageError: no item has a vector in both.
    """
    sampled = _sample(database, owners, generations)
    if not sampled:
        raise UsageError(f"no item has a vector in both {generations[0].table} and {generations[1].table} yet")
    labels = tuple(label(one.item) for one in sampled)
    compared = compare(database, owners, *generations, words=words, encoders=encoders, asked=_ASKED)
    spaces = []
    for n, generation in enumerate(generations):
        vectors = np.stack([one.vectors[n] for one in sampled])
        figures = _identity(generation) | _geometry(vectors, labels) | sizes_of(database, generation)
        figures |= {
            "search_ms": percentiles(compared.milliseconds[n]),
            "embed_ms": _embedding_ms(database, generation, sampled),
        }
        spaces.append(Space(generation, vectors, figures))
    return SpaceReport(
        collection=generations[0].collection,
        owners=len(owners),
        spaces=(spaces[0], spaces[1]),
        labels=labels,
        labelled_by=labelled_by,
        overlap_items=mean(compared.overlap),
        overlap_words=mean(compared.overlap_words),
        words=len(words),
        notes=tuple(_notes(spaces, words, encoders, labelled_by)),
    )


def by_folder(item: Item) -> str | None:
    """The name of the folder that the item's file lies in."""
    return PurePath(item.uri).parent.name or None


def by_tag(item: Item) -> str | None:
    """The item's first tag."""
    return item.tags[0] if item.tags else None


def by_key(key: str) -> Label:
    """What a key of the item's metadata says."""

    def label(item: Item) -> str | None:
        value = item.metadata.get(key)
        return None if value is None or value == "" else str(value)

    return label


def by_file(file: Path) -> Label:
    """What a file says, as `read_labels` reads it. Raises as that does."""
    known = read_labels(file)
    return lambda item: next(
        (known[name] for name in (item.uri, str(item.item_id), PurePath(item.uri).name) if name in known), None
    )


def read_labels(file: Path) -> dict[str, str]:
    """Labels by name: two columns of CSV, a path (or a file's name, or an item's id) and a label.

    Raises:
        UsageError: it cannot be read, or a line has other than two columns.
    """
    known: dict[str, str] = {}
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            for number, row in enumerate(csv.reader(lines), start=1):
                if row and len(row) != 2:
                    raise UsageError(f"{file}, line {number}: a path and a label are expected, not {len(row)} columns")
                if row:
                    known[row[0].strip()] = row[1].strip()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{file} cannot be read as CSV: {error}") from error
    return known


@dataclass(frozen=True, slots=True)
class _Sampled:
    owner: str
    item: Item
    vectors: tuple[Vector, Vector]


def _sample(database: Database, owners: Sequence[str], generations: tuple[Generation, Generation]) -> list[_Sampled]:
    """Random items of all owners, some of each, that have a vector in both generations."""
    found = []
    for owner in spread(owners, SAMPLED):
        second = Figures(database, owner).sample(generations[1], max(2, SAMPLED // len(owners)))
        ids = [one.item_id for one in second]
        first = Query(database, owner).vectors(generations[0], ids)
        items = Items(database, owner).many(ids)
        found += [
            _Sampled(owner, items[one.item_id], (first[one.item_id], one.vector))
            for one in second
            if one.item_id in first and one.item_id in items
        ]
    return found


def _identity(generation: Generation) -> dict[str, Any]:
    names = ("table", "state", "model", "dim")
    return {name: getattr(generation, name) for name in names}


def _geometry(vectors: Vectors, labels: Sequence[str | None]) -> dict[str, Any]:
    return {
        "random_pairs": distribution(pair_cosines(vectors)),
        "nearest": distribution(nearest_cosines(vectors)),
        "separation": rounded(separation(vectors, labels)),
    }


def _embedding_ms(database: Database, generation: Generation, sampled: Sequence[_Sampled]) -> float | None:
    """The median time of one picture's forward pass, as its records say."""
    ids: dict[str, list[UUID]] = {}
    for one in sampled:
        ids.setdefault(one.owner, []).append(one.item.item_id)
    times = [ms for owner, mine in ids.items() for ms in embedding_times(database, owner, generation, mine)]
    return round(float(np.median(times)), 2) if times else None


def _notes(
    spaces: Sequence[Space], words: Sequence[str], encoders: tuple[Encoder, Encoder] | None, labelled_by: str
) -> Iterator[str]:
    count = len(spaces[0].vectors)
    if count < 30:
        yield f"only {count} items have both vectors: take these figures as examples"
    separations = [space.figures["separation"] for space in spaces]
    if None in separations:
        yield f"groups are not compared: by {labelled_by} there are not two with two items each (see --by and --labels)"
    elif any(one["silhouette"] is None for one in separations):
        yield "no silhouette: it needs scikit-learn (pip install 'seemory[plots]')"
    if not words:
        yield "answers to words are not compared: save some with `seemory reembed queries FILE`"
    elif encoders is None:
        yield "answers to words are not compared: an encoder of the two is not here"
