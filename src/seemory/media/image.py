"""One picture file to what indexing needs of it: upright RGB pixels, facts and a thumbnail."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from PIL import Image, ImageFile

from seemory.errors import MediaError
from seemory.media import exif, pixels, raw
from seemory.media.opening import PICTURE_SUFFIXES, open_image, open_regular, read_head, unreadable
from seemory.metrics import WORK
from seemory.types import PictureFacts

_THUMBNAIL_QUALITY = 80
_BITS_PER_SAMPLE = 258


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: mode RGB, upright, perhaps smaller than the file (`facts` has the file's own size)."""

    image: Image.Image
    facts: PictureFacts
    thumbnail: bytes
    """JPEG, longest side as asked, never larger than `image`."""


class ReadPicture(Protocol):
    """Who decodes the bytes of a picture file: this process, or one that is held in (`seemory.contained`)."""

    def __call__(
        self, content: bytes, *, suffix: str = "", target: int, max_pixels: int, thumbnail_size: int = 256
    ) -> Picture:
        """The picture, as `read_picture` gives it. Raises MediaError."""


def read_here(content: bytes, *, suffix: str = "", target: int, max_pixels: int, thumbnail_size: int = 256) -> Picture:
    """`read_picture` for the bytes of a file, in this process."""
    return read_picture(
        io.BytesIO(content), suffix=suffix, target=target, max_pixels=max_pixels, thumbnail_size=thumbnail_size
    )


def load_picture(path: Path, *, target: int, max_pixels: int = 200_000_000, thumbnail_size: int = 256) -> Picture:
    """The picture in a file, shrunk as far as an encoder that needs `target` pixels a side will not notice.

    Its short side stays at least twice `target`, and at least `thumbnail_size`, unless the file's own is shorter.
    A picture that is not that large keeps the very pixels `PIL.Image.open(path).convert("RGB")` gives (see
    `pixels` for the exceptions: transparency, more than 8 bits, orientation).

    Raises only MediaError: UnreadableMedia (missing, forbidden, empty, truncated, damaged, not a picture),
    UnsupportedMedia (a format that is not read here), MediaTooLarge (more than `max_pixels`, as the header says,
    before anything is decoded). The message is "what is wrong; what to do" and **leaves the path to the caller**,
    which has it and may want to show it in its own way. Any number of threads may call this at once.
    """
    with open_regular(Path(path)) as stream:
        return read_picture(
            stream, suffix=Path(path).suffix, target=target, max_pixels=max_pixels, thumbnail_size=thumbnail_size
        )


@WORK.timed("seemory_stage_seconds", stage="decode")
def read_picture(
    stream: BinaryIO, *, suffix: str = "", target: int, max_pixels: int = 200_000_000, thumbnail_size: int = 256
) -> Picture:
    """`load_picture` for an open, seekable binary stream; `suffix` only helps to tell camera RAW from TIFF."""
    floor = max(2 * target, thumbnail_size, 1)
    WORK.count("seemory_pictures_decoded_total")
    try:
        head = read_head(stream)
        if raw.is_raw(head, suffix):
            image, facts = raw.read_raw(stream, head, target=target, floor=floor, max_pixels=max_pixels)
        else:
            image, facts = _decode(stream, suffix, floor, max_pixels)
        # What the decoder could not shrink is shrunk here, so that nobody ends up holding a queue of 36 MB pictures.
        # Averaging blurs more than a JPEG decoder's shrinking does, so it stops twice as early.
        plain = pixels.shrunk(image, 2 * floor)
        plain = plain.copy() if plain is image else plain  # never the file's own object, which keeps its blobs alive
        plain.info = {}
        return Picture(plain, facts, thumbnail_of(plain, thumbnail_size, image.info.get("icc_profile")))
    except MediaError:
        raise
    except Exception as error:  # a decoder may raise anything: struct.error, OverflowError, libheif's own …
        raise unreadable(error) from error


def supported_suffixes() -> frozenset[str]:
    """The suffixes worth trying here, lower case and with their dot; camera RAW only where `rawpy` is installed."""
    return PICTURE_SUFFIXES | raw.RAW_SUFFIXES if raw.available() else PICTURE_SUFFIXES


def _decode(stream: BinaryIO, suffix: str, floor: int, max_pixels: int) -> tuple[Image.Image, PictureFacts]:
    image, kind = open_image(stream, suffix, max_pixels)
    width, height = image.size
    main, photo, gps = _directories(image, kind)
    if kind == "JPEG":
        image.draft(None, (floor, floor))  # the decoder shrinks by 2, 4 or 8, and never below
    bits = _true_bits(image) if kind == "TIFF" else None
    image.load()
    # Asked again, since a TIFF is turned by Pillow while loading (and then says 1) and a PNG may say it at its end.
    main_now, photo_now, gps_now = exif.read_exif(image)
    turn = 1 if kind == "HEIC" else exif.orientation(main_now)  # libheif turns by the container's own boxes
    upright = pixels.turned(pixels.rgb(image, bits), turn)
    main, photo, gps = main or main_now, photo or photo_now, gps or gps_now
    if turn >= 5 or (kind == "TIFF" and image.size != (width, height)):
        width, height = height, width
    facts = PictureFacts(
        width=width,
        height=height,
        format=kind,
        taken_at=exif.taken_at(photo),
        camera=exif.camera(main),
        metadata=exif.metadata(main, photo, gps),
    )
    return upright, facts


def _directories(image: ImageFile.ImageFile, kind: str) -> exif.Directories:
    # A PNG would decode its pixels to look for EXIF behind them; whatever lies there is read after loading.
    if kind == "PNG" and "exif" not in image.info:
        return {}, {}, {}
    main, photo, gps = exif.read_exif(image)
    if kind == "HEIC" and (turn := image.info.get("original_orientation")):
        main[exif.ORIENTATION] = turn
    return main, photo, gps


def _true_bits(image: ImageFile.ImageFile) -> int | None:
    depths = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, ())
    return depths[0] if depths and isinstance(depths[0], int) else None


def thumbnail_of(image: Image.Image, size: int, profile: object = None) -> bytes:
    """The small picture of an RGB one as JPEG, its longest side `size` pixels at most; `profile` is its ICC profile."""
    small = image if max(image.size) <= size else image.resize(_within(image.size, size), reducing_gap=1.25)
    # Wide-gamut colours (Display P3, Adobe RGB: some 550 bytes) would look faded without their profile. Only what
    # describes RGB may go along, and nothing big: an sRGB profile of 3 kB says nothing that is not assumed anyway.
    told = isinstance(profile, bytes) and len(profile) <= 1024 and profile[16:20] == b"RGB "
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_THUMBNAIL_QUALITY, icc_profile=profile if told else None)
    return buffer.getvalue()


def _within(size: tuple[int, int], longest: int) -> tuple[int, int]:
    scale = longest / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
