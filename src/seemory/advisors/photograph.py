"""One picture file, read once: its bytes, and the picture in them as large as somebody needs it."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

from PIL import Image

from seemory.advisors.regions import parts
from seemory.errors import MediaError
from seemory.media.image import Picture, ReadPicture, read_here
from seemory.media.opening import open_regular, unreadable
from seemory.models.encoder import Encoder
from seemory.types import Vector, Vectors

_PROOF_QUALITY = 85


class Photograph:
    """A picture file's bytes. Each look decodes them anew: no more pixels are held than are looked at."""

    def __init__(self, content: bytes, name: str, *, max_pixels: int, decoder: ReadPicture = read_here) -> None:
        """`name` is what it is called; pictures of more than `max_pixels` are refused when they are looked at."""
        self.content = content
        self.name = name
        self.sha256 = hashlib.sha256(content).digest()
        self._max_pixels = max_pixels
        self._decoder = decoder

    @classmethod
    def read(
        cls,
        given: str | os.PathLike[str] | bytes,
        *,
        max_pixels: int,
        name: str = "photograph",
        decoder: ReadPicture = read_here,
    ) -> Photograph:
        """The picture in that file, or of these bytes, which are then called `name`. Raises MediaError.

        `decoder` decodes what came as bytes.
        """
        if isinstance(given, bytes):
            return cls(given, name, max_pixels=max_pixels, decoder=decoder)
        path = Path(given).expanduser()
        try:
            with open_regular(path) as stream:
                return cls(stream.read(), str(path), max_pixels=max_pixels)
        except (OSError, MediaError) as error:
            reason = unreadable(error)
            raise type(reason)(f"{path}: {reason}") from error

    def look(self, target: int) -> Picture:
        """The picture, upright RGB, its short side at least twice `target` unless the file's own is shorter.

        Raises MediaError, with the name before the reason.
        """
        try:
            suffix = Path(self.name).suffix
            return self._decoder(
                self.content, suffix=suffix, target=target, max_pixels=self._max_pixels, thumbnail_size=16
            )
        except MediaError as error:
            raise type(error)(f"{self.name}: {error}") from error

    def vector(self, encoder: Encoder) -> Vector:
        """`(d,)` of norm 1, as indexing makes it. Raises MediaError or ModelError."""
        vector: Vector = encoder.embed_images([self.look(encoder.image_size).image])[0]
        return vector

    def vectors_with_parts(self, encoder: Encoder) -> tuple[Vector, Vectors]:
        """`vector`, and the vectors of its regions, `(5, d)`; decoded once. Raises as `vector` does."""
        seen = self.look(encoder.image_size).image
        # The whole by itself: in one pass with others its last digits would be others.
        return encoder.embed_images([seen])[0], encoder.embed_images(parts(seen))

    def proof(self, side: int) -> tuple[bytes, int, int]:
        """A small copy as JPEG, its longest side at most `side`, and the file's own width and height."""
        seen = self.look(side // 2)
        return jpeg(seen.image, side), seen.facts.width, seen.facts.height


def jpeg(picture: Image.Image, side: int) -> bytes:
    """An RGB picture as JPEG bytes, its longest side at most `side`."""
    small = picture.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    small.save(written, "JPEG", quality=_PROOF_QUALITY)
    return written.getvalue()
