"""What a person gave to search by → examples: words, picture files, stored items, ready vectors."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from seemory.errors import MediaError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from PIL.Image import Image

    from seemory.media.image import ReadPicture
    from seemory.models.encoder import Encoder
    from seemory.search.searcher import AbsentEncoder, Example, Searcher
    from seemory.store.items import Items

Paths = str | os.PathLike[str]
Picture = Paths | bytes
"""A picture file, or what is in one."""


class Terms:
    """Reads the terms of a query."""

    def __init__(self, items: Items, collection: str, max_pixels: int, decoder: ReadPicture | None = None) -> None:
        """Pictures of more than `max_pixels` are refused; `decoder` reads those that come as bytes, by default here."""
        self._items = items
        self._collection = collection
        self._max_pixels = max_pixels
        self._decoder = decoder

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
            examples.append(self.look(searcher, image))
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

    def look(self, searcher: Searcher, given: Picture, weight: float = 1.0) -> Example:
        """The example that a picture makes: the stored vector of bytes the memory has, else one of a forward pass.

        Raises MediaError, and what an encoder that is not here raises.
        """
        known = searcher.same_bytes(_sha256(given), weight)
        return known or searcher.picture(self.picture(given, searcher.encoder), weight)

    def picture(self, given: Picture, encoder: Encoder | AbsentEncoder) -> Image:
        """A picture the user gave, upright and no larger than the encoder needs. Raises MediaError."""
        from seemory.media.image import load_picture, read_here

        if isinstance(given, bytes):
            decoder = self._decoder or read_here
            return decoder(given, target=encoder.image_size, max_pixels=self._max_pixels).image
        with _naming(given):
            where = Path(given).expanduser()
            return load_picture(where, target=encoder.image_size, max_pixels=self._max_pixels).image

    def _term(self, searcher: Searcher, term: str, weight: float) -> Example:
        path = Path(term).expanduser()
        if path.is_file():
            return self.look(searcher, path, weight)
        if looks_like_id(term):
            return searcher.item(self.item(term), weight)
        return searcher.words(term, weight)


def _sha256(given: Picture) -> bytes:
    from seemory.media.files import hash_file

    if isinstance(given, bytes):
        return sha256(given).digest()
    with _naming(given):
        return hash_file(Path(given).expanduser())


@contextmanager
def _naming(path: Paths) -> Iterator[None]:
    """Puts the file's name before the message of a MediaError."""
    try:
        yield
    except MediaError as error:
        raise type(error)(f"{path}: {error}") from error


def looks_like_id(term: str) -> bool:
    """Whether a term is meant as an item's id: hexadecimal, long enough not to be a word."""
    try:
        return len(term) >= 8 and int(term.replace("-", ""), 16) >= 0 and any(c.isdigit() for c in term)
    except ValueError:
        return False
