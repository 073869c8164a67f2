"""From a path to an open Pillow image whose pixels are not decoded yet.

The format is told by the first bytes, never by the name, and the format's own Pillow class is called directly. That
keeps three things out: decoders nobody asked for (`Image.open` tries forty, one of which starts Ghostscript), Pillow's
process-wide pixel limit (ours is an argument, so threads with different limits do not meet), and plugin registration.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final, cast

from PIL import AvifImagePlugin, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from seemory.errors import MediaError, MediaTooLarge, UnreadableMedia, UnsupportedMedia

# fmt: off
PICTURE_SUFFIXES: Final = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".dib",
    ".heic", ".heif", ".hif", ".avif",
})
# fmt: on
_HEAD_BYTES: Final = 4096
_SCANNED_PIXELS: Final = 4_000_000_000
"""Pixels times scans a progressive JPEG may ask for: a usual 12-megapixel file asks for a thirtieth of it."""

_UNREAD: Final = (
    (b"8BPS", "Photoshop (PSD)"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x01\x00", "icon (ICO)"),
    (b"qoif", "QOI"),
    (b"gimp xcf", "GIMP (XCF)"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"DDS ", "DirectDraw (DDS)"),
)
"""First bytes of picture formats that people do keep and that are not read here: their message names the format."""


def open_regular(path: Path) -> io.BufferedReader:
    """An open file, never a pipe, socket, device or folder: opening one of those could block for ever.

    Raises UnreadableMedia where it is missing, forbidden or a folder, UnsupportedMedia where it is no regular file.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        # Looked at before it is opened, since opening some devices already does something; and again afterwards,
        # since it may have been exchanged in between.
        _require_regular(path.stat().st_mode)
        descriptor = os.open(path, flags)
        try:
            _require_regular(os.fstat(descriptor).st_mode)
            return os.fdopen(descriptor, "rb")
        except BaseException:
            os.close(descriptor)
            raise
    except (OSError, ValueError) as error:
        raise unreadable(error) from error


def _require_regular(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise UnreadableMedia("a folder, not a file; name the pictures in it, or index the folder")
    if not stat.S_ISREG(mode):
        raise UnsupportedMedia("a pipe, socket or device; copy the picture into an ordinary file")


def sniff(head: bytes) -> str | None:
    """The picture format that the first bytes announce, or None: `JPEG PNG WEBP GIF TIFF BMP HEIC AVIF`."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        # `mif1` and `msf1` say no more than "pictures in a box": the compatible brands tell AVIF from HEIC.
        box = head[8 : max(16, min(int.from_bytes(head[:4], "big"), 256))]
        brands = {box[:4]} | {box[at : at + 4] for at in range(8, len(box), 4)}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        if brands & {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}:
            return "HEIC"
    return None


_MAGIC: Final = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"BM", "BMP"),
)


def read_head(stream: BinaryIO) -> bytes:
    """The first bytes of a stream, which is left at its start. Raises UnreadableMedia when there are none."""
    stream.seek(0)
    head = stream.read(_HEAD_BYTES)
    stream.seek(0)
    if not head:
        raise UnreadableMedia("an empty file; copy it again from its source")
    return head


def open_image(stream: BinaryIO, suffix: str, max_pixels: int) -> tuple[ImageFile.ImageFile, str]:
    """The Pillow image of a stream, header read and pixels not, and its format's name.

    Raises UnreadableMedia, UnsupportedMedia, or MediaTooLarge when the header announces more than `max_pixels`.
    """
    head = read_head(stream)
    kind = sniff(head)
    if kind is None:
        raise _refusal(head, suffix)
    image = _CLASSES[kind](stream)
    require_pixels(*image.size, max_pixels)
    if kind == "JPEG" and image.info.get("progressive"):
        _require_few_scans(stream, image.width * image.height)
    return image, kind


def require_pixels(width: int, height: int, max_pixels: int) -> None:
    """Nothing, or MediaTooLarge for a picture of more than `max_pixels`."""
    if width * height > max_pixels:
        raise MediaTooLarge(
            f"{width} x {height} pixels, where {max_pixels:,} are allowed; scale it down, or raise the limit"
        )


def _require_few_scans(stream: BinaryIO, pixels: int) -> None:
    """Refuse a progressive JPEG that visits its pixels thousands of times: small on disk, hours to decode."""
    position = stream.tell()
    stream.seek(0)
    scans, last = 0, b""
    while block := stream.read(1 << 20):
        # Within the coded data FF is always followed by 00, so FF DA is a scan's start (or lies in a thumbnail).
        scans += block.count(b"\xff\xda") + (last + block[:1] == b"\xff\xda")
        last = block[-1:]
    stream.seek(position)
    if scans * pixels > _SCANNED_PIXELS and scans > 20:
        raise UnreadableMedia(f"a JPEG of {scans} scans, which would take very long to decode; save it again")


def _refusal(head: bytes, suffix: str) -> MediaError:
    for magic, name in _UNREAD:
        if head.startswith(magic):
            return UnsupportedMedia(f"{name} is not read; export it as JPEG or PNG")
    if b"<svg" in head.lower():
        return UnsupportedMedia("SVG is a drawing, not pixels, and is not read; export it as PNG")
    if head[4:8] == b"ftyp":
        return UnsupportedMedia("a video, or a format of its family that is not read; export a picture of it")
    if suffix.lower() in PICTURE_SUFFIXES:
        return UnreadableMedia(f"not a picture, though it is called {suffix.lower()}; copy it again from its source")
    return UnsupportedMedia("no picture format that is read; export it as JPEG or PNG")


def _heif(stream: BinaryIO) -> ImageFile.ImageFile:
    from pi_heif import HeifImageFile

    return cast(ImageFile.ImageFile, HeifImageFile(stream))


def _avif(stream: BinaryIO) -> ImageFile.ImageFile:
    if not AvifImagePlugin.SUPPORTED:
        raise UnsupportedMedia("this Pillow was built without AVIF; install a Pillow wheel from PyPI")
    return AvifImagePlugin.AvifImageFile(stream)


_CLASSES: Final[dict[str, Callable[[BinaryIO], ImageFile.ImageFile]]] = {
    # The plain JPEG class also for multi-picture files (.mpo, and most phones' .jpg): their first picture is the one
    # people see, and this class can shrink it while decoding.
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
    "GIF": GifImageFile,
    "TIFF": TiffImageFile,
    "BMP": BmpImageFile,
    "HEIC": _heif,
    "AVIF": _avif,
}


def unreadable(error: Exception) -> MediaError:
    """What any exception of a decoder, or of the file system, means to the person whose file it is."""
    if isinstance(error, MediaError):
        return error
    if isinstance(error, FileNotFoundError):
        return UnreadableMedia("the file is not there; it may have been moved or removed since it was listed")
    if isinstance(error, PermissionError):
        return UnreadableMedia("permission denied; allow this user to read it")
    if isinstance(error, MemoryError):
        return UnreadableMedia("decoding it needs more memory than there is; scale it down, or read fewer at once")
    text = " ".join(str(error).replace("\x00", " ").split())[:160]
    if isinstance(error, OSError) and error.errno is not None:
        return UnreadableMedia(
            f"the system could not read it ({error.strerror or text}); check the disk, then try again"
        )
    if type(error).__name__ in ("DecompressionBombError", "DecompressionBombWarning"):
        return MediaTooLarge("it would unpack to far more pixels than it announces; save it again")
    if "truncated" in text or "Truncated" in text:
        return UnreadableMedia("the file is cut short; copy it again from its source")
    return UnreadableMedia(f"damaged ({text or type(error).__name__}); copy it again from its source, or save it again")
