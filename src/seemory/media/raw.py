"""Camera RAW, through LibRaw (`rawpy`, an extra): the preview the camera put in, or a half-size development."""

from __future__ import annotations

import contextlib
import importlib.util
import io
from typing import TYPE_CHECKING, BinaryIO, Final

from PIL import Image

from seemory.errors import UnsupportedMedia
from seemory.media import exif, pixels
from seemory.media.opening import open_image, require_pixels, sniff
from seemory.types import PictureFacts

if TYPE_CHECKING:
    import rawpy

# fmt: off
RAW_SUFFIXES: Final = frozenset({
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos", ".mrw",
    ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
})
# fmt: on
_MAGIC: Final = (
    b"FUJIFILMCCD-RAW",
    b"IIRO",
    b"IIRS",
    b"MMOR",
    b"IIU\x00",
    b"FOVb",
    b"\x00MRM",
    b"II\x1a\x00\x00\x00HEAP",
)
_TIFF: Final = (b"II*\x00", b"MM\x00*")
_TURN: Final = {3: 3, 5: 8, 6: 6}
"""LibRaw's flip, a quarter-turn code of its own, as the EXIF orientation of the same meaning."""


def available() -> bool:
    """Whether camera RAW can be read here."""
    return importlib.util.find_spec("rawpy") is not None


def is_raw(head: bytes, suffix: str) -> bool:
    """Whether a file is camera RAW: by its first bytes, or by its name where those are TIFF's or nobody's."""
    if head.startswith(_MAGIC) or head[4:12] == b"ftypcrx ":
        return True
    return suffix.lower() in RAW_SUFFIXES and sniff(head) in ("TIFF", None)


def read_raw(
    stream: BinaryIO, head: bytes, *, target: int, floor: int, max_pixels: int
) -> tuple[Image.Image, PictureFacts]:
    """The upright RGB picture of a RAW file, and its facts: width and height are the sensor picture's own.

    The embedded preview is taken when its short side reaches `target`: it is the photograph as the camera showed
    it, and a hundred times cheaper. Otherwise the file is developed at half size.
    Raises UnsupportedMedia when `rawpy` is not installed, and what LibRaw raises.
    """
    if not available():
        raise UnsupportedMedia("camera RAW needs one more package; pip install 'seemory[raw]'")
    import rawpy

    stream.seek(0)
    try:
        opened = rawpy.imread(stream)
    except rawpy.LibRawFileUnsupportedError as error:
        raise UnsupportedMedia("no camera RAW that LibRaw knows; export it as JPEG, PNG or DNG") from error
    with opened as file:
        sizes = file.sizes
        width, height = sizes.width, sizes.height
        require_pixels(width, height, max_pixels)
        preview, directories = _preview(file, target, floor, max_pixels)
        if preview is not None:
            image = preview
        else:
            image = Image.fromarray(file.postprocess(half_size=True, use_camera_wb=True, output_bps=8))
        if sizes.flip in (5, 6):
            width, height = height, width
    if head.startswith(_TIFF):
        directories = _tiff_directories(stream) or directories
    main, photo, gps = directories
    facts = PictureFacts(
        width=width,
        height=height,
        format="RAW",
        taken_at=exif.taken_at(photo),
        camera=exif.camera(main),
        metadata=exif.metadata(main, photo, gps),
    )
    return image, facts


def _preview(
    file: rawpy.RawPy, target: int, floor: int, max_pixels: int
) -> tuple[Image.Image | None, exif.Directories]:
    """The embedded preview, upright, or None when there is none of use; and the EXIF it carries."""
    import rawpy

    nothing: exif.Directories = ({}, {}, {})
    try:
        thumb = file.extract_thumb()
        if thumb.format != rawpy.ThumbFormat.JPEG:
            image: Image.Image = Image.fromarray(thumb.data)
            directories = nothing
        else:
            opened, _ = open_image(io.BytesIO(thumb.data), ".jpg", max_pixels)
            directories = exif.read_exif(opened)
            opened.draft(None, (floor, floor))
            opened.load()
            image = opened
    except Exception:  # a preview is a convenience: without one there is still the sensor's own data
        return None, nothing
    if min(image.size) < target:
        return None, directories
    turn = exif.orientation(directories[0])
    # Some makers turn the preview's EXIF, some only the RAW's, none both.
    if turn == 1:
        turn = _TURN.get(file.sizes.flip, 1)
    return pixels.turned(pixels.rgb(image), turn), directories


def _tiff_directories(stream: BinaryIO) -> exif.Directories | None:
    block = Image.Exif()
    with contextlib.suppress(Exception):
        stream.seek(0)
        block.load_from_fp(stream)
        found = exif.directories(block)
        return found if any(found) else None
    return None
