"""What a person gave to search by → examples: words, picture files, stored items, ready vectors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from seemory.errors import MediaError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from PIL.Image import Image

    from seemory.models.encoder import Encoder
    from seemory.search.searcher import AbsentEncoder, Example, Searcher
    from seemory.store.items import Items

Paths = str | os.PathLike[str]
Picture = Paths | bytes
"""A picture file, or what is in one."""


class Terms:
    """Reads the terms of a query."""

    def __init__(self, items: Items, collection: str, max_pixels: int) -> None:
        """Pictures of more than `max_pixels` are refused."""
        self._items = items
        self._collection = collection
        self._max_pixels = max_pixels

    def examples(
        self,
        searcher: Searcher,
        *,
        image: Picture | None = None,
        like: UUID | str | None = None,
        vector: ArrayLike | None = None,
        plus: Sequence[str] = (),
        minus: Sequence[str] = (),
    ) -> list[Example]:
        """All that is given beside words, as examples of one searcher.

        Raises:
            UsageError: an item does not exist or has no vector, or the vector does not fit.
            MediaError: a picture cannot be read.
        """
        examples = []
        if image is not None:
            examples.append(searcher.picture(self.picture(image, searcher.encoder)))
        if like is not None:
            examples.append(searcher.item(self.item(like)))
        if vector is not None:
            examples.append(searcher.ready(vector))
        examples.extend(self._term(searcher, term, 1.0) for term in plus)
        examples.extend(self._term(searcher, term, -1.0) for term in minus)
        return examples

    def item(self, item: UUID | str) -> UUID:
        """The id of an item named by its id, a unique beginning of it, or its path. Raises ItemNotFound."""
        return item if isinstance(item, UUID) else self._items.resolve(item, self._collection)

    def all_items(self, item: UUID | str) -> list[UUID]:
        """The ids of the items that are meant: a film's path means all its scenes. Raises ItemNotFound."""
        return [item] if isinstance(item, UUID) else self._items.resolve_all(item, self._collection)

    def picture(self, given: Picture, encoder: Encoder | AbsentEncoder) -> Image:
        """A picture the user gave, upright and no larger than the encoder needs. Raises MediaError."""
        from seemory.media.image import load_picture, read_picture

        if isinstance(given, bytes):
            return read_picture(BytesIO(given), target=encoder.image_size, max_pixels=self._max_pixels).image
        try:
            picture = load_picture(Path(given).expanduser(), target=encoder.image_size, max_pixels=self._max_pixels)
        except MediaError as error:
            raise type(error)(f"{given}: {error}") from error
        return picture.image

    def _term(self, searcher: Searcher, term: str, weight: float) -> Example:
        path = Path(term).expanduser()
        if path.is_file():
            return searcher.picture(self.picture(path, searcher.encoder), weight)
        if looks_like_id(term):
            return searcher.item(self.item(term), weight)
        return searcher.words(term, weight)


def looks_like_id(term: str) -> bool:
    """Whether a term is meant as an item's id: hexadecimal, long enough not to be a word."""
    try:
        return len(term) >= 8 and int(term.replace("-", ""), 16) >= 0 and any(c.isdigit() for c in term)
    except ValueError:
        return False
