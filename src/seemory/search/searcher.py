"""Query → vector → candidates → hits, with the raw cosine, a calibrated score, and the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from uuid import UUID

import numpy as np
from numpy.typing import ArrayLike

from seemory.calibration import Calibration
from seemory.errors import SeemoryError, UsageError
from seemory.metrics import WORK
from seemory.models.encoder import UNMEASURED, Encoder
from seemory.store.explaining import Explanation
from seemory.store.filters import Condition
from seemory.store.query import Query
from seemory.types import CosineStatistics, Filter, Generation, Hit, Item, Kind, Vector, Vectors

if TYPE_CHECKING:
    from PIL.Image import Image

Direction = Literal["text_to_image", "image_to_image", "text_to_text"]


@dataclass(frozen=True, slots=True)
class Example:
    """One term of a query: words, a picture's vector, or an item's, with a weight (negative to move away)."""

    vector: Vector
    direction: Direction
    weight: float = 1.0
    item_id: UUID | None = None


def combine(examples: Sequence[Example]) -> Vector:
    """`(d,)` float32 of norm 1: the weighted sum of the examples' unit vectors, as in word-vector arithmetic.

    Raises:
        UsageError: there is no example, or they cancel each other out.
    """
    if not examples:
        raise UsageError("nothing to search for: give words, a picture, or an item")
    total = np.sum([example.weight * example.vector for example in examples], axis=0, dtype=np.float64)
    norm = float(np.linalg.norm(total))
    if norm < 1e-6:
        raise UsageError("the examples cancel each other out: what is added is what is taken away")
    return np.asarray(total / norm, dtype=np.float32)


class AbsentEncoder:
    """Stands for an encoder that is not here: stored and ready vectors can be compared, nothing can be embedded."""

    def __init__(self, reason: SeemoryError) -> None:
        self._reason = reason

    @property
    def image_size(self) -> int:
        """Raises the reason."""
        raise self._reason

    def embed_query(self, _: str) -> Vector:
        """Raises the reason."""
        raise self._reason

    def embed_images(self, _: Sequence[Image]) -> Vectors:
        """Raises the reason."""
        raise self._reason

    def calibration(self, direction: Direction) -> CosineStatistics:
        """What holds for an encoder of its kind that was not measured."""
        return UNMEASURED[direction]


class Searcher:
    """Answers queries over one live generation."""

    def __init__(self, query: Query, generation: Generation, encoder: Encoder | AbsentEncoder) -> None:
        self._query = query
        self.generation = generation
        self.encoder = encoder

    def words(self, text: str, weight: float = 1.0) -> Example:
        """The example that words make."""
        return Example(self.encoder.embed_query(text), "text_to_image", weight)

    def picture(self, picture: Image, weight: float = 1.0) -> Example:
        """The example that a picture makes."""
        return Example(self.encoder.embed_images([picture])[0], "image_to_image", weight)

    def same_bytes(self, sha256: bytes, weight: float = 1.0) -> Example | None:
        """The example that a picture file makes whose bytes the owner has in this collection: no forward pass."""
        found = self._query.vector_of_bytes(self.generation, sha256)
        return None if found is None else Example(found, "image_to_image", weight)

    def ready(self, vector: ArrayLike, weight: float = 1.0) -> Example:
        """The example that a vector makes which the same encoder made elsewhere.

        Raises:
            UsageError: it has another width than the collection's, or no direction.
        """
        wide = np.asarray(vector, dtype=np.float64)
        if wide.shape != (self.generation.dim,):
            raise UsageError(f"{self.generation.collection!r} has {self.generation.dim} dimensions, not {wide.shape}")
        largest = np.abs(wide).max()
        if not np.isfinite(largest) or largest == 0.0:
            raise UsageError("a query vector must have a direction: this one is zero, or not finite")
        wide = wide / largest
        return Example(np.asarray(wide / np.linalg.norm(wide), np.float32), "image_to_image", weight)

    def item(self, item_id: UUID, weight: float = 1.0) -> Example:
        """The example that a stored item's vector makes: no forward pass.

        Raises:
            UsageError: the item has no vector (its embedding failed, or it is not in this collection).
        """
        found = self._query.vectors(self.generation, [item_id]).get(item_id)
        if found is None:
            raise UsageError(f"item {item_id} has no vector in collection {self.generation.collection!r}")
        return Example(found, "image_to_image", weight, item_id)

    def hits(
        self,
        examples: Sequence[Example],
        *,
        limit: int = 10,
        offset: int = 0,
        min_score: float | None = None,
        kind: Kind | None = None,
        filters: Sequence[Filter] = (),
        also: Condition | None = None,
    ) -> list[Hit]:
        """The nearest items, best first; items that are themselves examples are left out.

        `also` is one more condition on them, as the store writes it.

        Raises:
            UsageError: `limit` or `offset` is out of range, or a filter is wrong.
        """
        require_page(limit, offset)
        vector = combine(examples)
        calibration = self.calibration(examples)
        with WORK.timed("seemory_stage_seconds", stage="search"):
            neighbours = self._query.nearest(
                self.generation,
                vector,
                limit=limit,
                offset=offset,
                filters=filters,
                kind=kind,
                exclude=[example.item_id for example in examples if example.item_id is not None],
                min_cosine=None if min_score is None else calibration.cosine(min_score),
                also=also,
            )
        return [
            hit_of(
                neighbour.item,
                neighbour.cosine,
                offset + n,
                calibration.score(neighbour.cosine),
                (by_sight(neighbour.cosine, calibration), f"answered by {self.generation.table}"),
            )
            for n, neighbour in enumerate(neighbours, start=1)
        ]

    def explain(
        self,
        examples: Sequence[Example],
        *,
        limit: int = 10,
        offset: int = 0,
        kind: Kind | None = None,
        filters: Sequence[Filter] = (),
    ) -> Explanation:
        """How `hits` finds the nearest items: the way, what it was chosen by, what Postgres did. Raises as `hits`."""
        require_page(limit, offset)
        exclude = [example.item_id for example in examples if example.item_id is not None]
        return self._query.explain(
            self.generation,
            combine(examples),
            limit=limit,
            offset=offset,
            filters=filters,
            kind=kind,
            exclude=exclude,
        )

    def calibration(self, examples: Sequence[Example]) -> Calibration:
        """The calibration of the examples' directions; a mix of words and pictures lies between the two."""
        kinds = {example.direction for example in examples if example.weight > 0} or {
            example.direction for example in examples
        }
        chosen = [self.encoder.calibration(direction) for direction in sorted(kinds)]
        if len(chosen) == 1:
            return Calibration(chosen[0])
        names = CosineStatistics.__slots__
        return Calibration(CosineStatistics(*(float(np.mean([getattr(c, name) for c in chosen])) for name in names)))


def require_page(limit: int, offset: int) -> None:
    """Refuse a page that cannot be.

    Raises:
        UsageError: `limit` or `offset` is out of range.
    """
    if not 1 <= limit <= 10_000 or offset < 0:
        raise UsageError(f"limit must be 1 to 10000 and offset 0 or more, not {limit} and {offset}")


def by_sight(cosine: float, calibration: Calibration) -> str:
    """What the visual channel says of an item."""
    return f"visual: cosine {cosine:.3f}, {calibration.sigmas(cosine):+.1f} σ from unrelated pairs"


def hit_of(item: Item, cosine: float | None, rank: int, score: float, reasons: tuple[str, ...]) -> Hit:
    """An item as an answer."""
    facts = {
        "width": item.width,
        "height": item.height,
        "bytes": item.bytes,
        "format": item.format,
        "camera": item.camera,
        "taken": item.taken_at.isoformat() if item.taken_at else None,
    }
    return Hit(
        item_id=item.item_id,
        kind=item.kind,
        uri=item.uri,
        score=score,
        cosine=cosine,
        rank=rank,
        start_s=item.start_s,
        end_s=item.end_s,
        metadata={name: value for name, value in facts.items() if value is not None} | dict(item.metadata),
        reasons=reasons,
    )
