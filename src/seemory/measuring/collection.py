"""The geometry of what a user has stored: their vectors, and, where items have captions, how words lie to pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from seemory.errors import CollectionMismatch, ModelError
from seemory.evaluation.remedies import REMEDIES, RemedyName
from seemory.measuring.geometry import GeometryReport, Pairing, measure
from seemory.measuring.index_quality import IndexReport, Plan, measure_index
from seemory.measuring.spaces import SAMPLED, Space, of_array, of_collection
from seemory.models.encoder import Encoder
from seemory.models.fidelity import QUERIES
from seemory.reembedding.space_report import by_file, by_folder, by_key, by_tag
from seemory.store.connect import Database
from seemory.store.items import Items
from seemory.store.query import Query
from seemory.telemetry import ProgressListener, ignore
from seemory.types import Generation, Item

FEWEST_CAPTIONS = 10


class EncoderOf(Protocol):
    """Knows which encoder made a generation's vectors."""

    def of(self, generation: Generation) -> Encoder:
        """Raises CollectionMismatch, or ModelError where it is not here."""
        ...


def measure_collection(
    query: Query,
    items: Items,
    generation: Generation,
    encoders: EncoderOf,
    *,
    by: str = "folder",
    labels: Path | None = None,
    sample: int = SAMPLED,
    remedies: Sequence[RemedyName] = REMEDIES,
    listen: ProgressListener = ignore,
) -> GeometryReport:
    """The figures of an owner's vectors of a generation; with captions of items, embedded by the encoder, as a pairing.

    Args:
        query, items: the owner's.
        generation: whose vectors.
        encoders: tells which encoder made them.
        by, labels: what the groups are made by.
        sample: at most so many vectors.
        remedies: which.
        listen: hears how far it is.

    Raises:
        UsageError: the owner has no vectors, or the labels cannot be read.
    """
    known: dict[str, Callable[[Item], str | None]] = {"folder": by_folder, "tag": by_tag}
    label = by_file(labels) if labels is not None else known.get(by) or by_key(by)
    space, chosen = of_collection(query, items, generation, label=label, sample=sample)
    captions = {row: item.caption for row, item in enumerate(chosen) if item is not None and item.caption}
    spaces, pairing, notes = [space], None, []
    if len(captions) >= FEWEST_CAPTIONS:
        try:
            encoder = encoders.of(generation)
            said = of_array(f"captions of {len(captions):,} items", encoder.embed_texts(list(captions.values())))
            pairing = Pairing(_part(space, list(captions)), said, np.arange(len(captions)))
            spaces.append(said)
        except (ModelError, CollectionMismatch) as error:
            notes.append(f"captions are not compared with pictures: {error}")
    elif generation.channel == "visual":
        notes.append(
            f"{len(captions)} of these items have captions: with {FEWEST_CAPTIONS} and more (seemory describe), words "
            f"and pictures are compared as well"
        )
    return measure(spaces, pairing=pairing, remedies=remedies, notes=notes, listen=listen)


def index_of_collection(
    database: Database,
    query: Query,
    items: Items,
    generation: Generation,
    encoders: EncoderOf,
    *,
    plan: Plan | None = None,
    words: Sequence[str] | None = None,
    sample: int = 20_000,
    listen: ProgressListener = ignore,
) -> IndexReport:
    """How much indexes find of an owner's vectors of a generation, asked by pictures and by words.

    Args:
        database, query, items: the owner's.
        generation: whose vectors.
        encoders: tells which encoder made them.
        plan: what is measured.
        words: the texts that ask; by default the items' captions, and some that people search with.
        sample: at most so many vectors are indexed.
        listen: hears of each index.

    Raises:
        UsageError: the owner has too few vectors, or some of the plan is out of pgvector's reach.
    """
    space, chosen = of_collection(query, items, generation, label=lambda _item: None, sample=sample)
    said, notes = None, list(space.notes)
    captions = [item.caption for item in chosen if item is not None and item.caption]
    texts = list(dict.fromkeys(words if words is not None else (*captions, *QUERIES)))
    if texts:
        try:
            said = encoders.of(generation).embed_texts(texts)
        except (ModelError, CollectionMismatch) as error:
            notes.append(f"words do not ask: {error}")
    return measure_index(database, query.owner, space.vectors, said, plan=plan, notes=notes, listen=listen)


def _part(space: Space, rows: Sequence[int]) -> Space:
    chosen = np.array(rows)
    labels = tuple(space.labels[row] for row in rows)
    return Space(space.name, space.vectors[chosen], space.rows[chosen], labels, space.of, space.notes)
