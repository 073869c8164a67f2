"""Pictures the media tests make for themselves."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image

WRITABLE = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "HEIC", "AVIF")


def photograph(width: int = 160, height: int = 120, seed: int = 0) -> Image.Image:
    """Smooth colour fields with an edge and some grain: compresses and scales like a photograph."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    field = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).astype(np.float32)
    field[height // 3 : height // 2, width // 4 : width // 2] = (230, 40, 30)
    field += rng.normal(0, 4, field.shape)
    return Image.fromarray(np.clip(field, 0, 255).astype(np.uint8))


def corners(width: int = 80, height: int = 48) -> Image.Image:
    """Red, green, blue and white quarters (top left, top right, bottom left, bottom right): shows how it is turned."""
    image = Image.new("RGB", (width, height))
    half = (width // 2, height // 2)
    for colour, place in (
        ((255, 0, 0), (0, 0)),
        ((0, 255, 0), (half[0], 0)),
        ((0, 0, 255), (0, half[1])),
        ((255, 255, 255), half),
    ):
        image.paste(colour, (*place, place[0] + half[0], place[1] + half[1]))
    return image


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    if kind == "HEIC":
        pillow_heif.from_pillow(image).save(buffer, **options)
    else:
        image.save(buffer, kind, **options)
    return buffer.getvalue()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def mean_difference(one: Image.Image, other: Image.Image) -> float:
    assert one.size == other.size
    return float(np.abs(np.asarray(one).astype(int) - np.asarray(other).astype(int)).mean())


def black_png(width: int, height: int) -> bytes:
    """A small file that unpacks to this many black pixels."""
    packer = zlib.compressobj(1)
    row = bytes(1 + (width + 7) // 8)
    rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def dng(width: int = 512, height: int = 384, *, orientation: int = 1, preview: bytes = b"") -> bytes:
    """A small but real DNG: a Bayer mosaic (reddish), with a JPEG preview in a second directory when given."""
    mosaic = np.full((height, width), 2000, np.uint16)
    mosaic[0::2, 0::2] = 12000  # red sites of RGGB
    data = mosaic.tobytes()
    make, model = b"Seemory\0", b"Test Camera\0"
    entries: list[tuple[int, int, int, bytes]] = [
        (254, 4, 1, struct.pack("<I", 0)),
        (256, 4, 1, struct.pack("<I", width)),
        (257, 4, 1, struct.pack("<I", height)),
        (258, 3, 1, struct.pack("<H", 16)),
        (259, 3, 1, struct.pack("<H", 1)),
        (262, 3, 1, struct.pack("<H", 32803)),
        (271, 2, len(make), make),
        (272, 2, len(model), model),
        (273, 4, 1, b"DATA"),
        (274, 3, 1, struct.pack("<H", orientation)),
        (277, 3, 1, struct.pack("<H", 1)),
        (278, 4, 1, struct.pack("<I", height)),
        (279, 4, 1, struct.pack("<I", len(data))),
        (33421, 3, 2, struct.pack("<2H", 2, 2)),
        (33422, 1, 4, bytes((0, 1, 1, 2))),
        (50706, 1, 4, bytes((1, 4, 0, 0))),
        (50708, 2, len(model), model),
        (50717, 4, 1, struct.pack("<I", 16383)),
        (50721, 10, 9, struct.pack("<18i", *(v for i in range(9) for v in (1 if i % 4 == 0 else 0, 1)))),
        (50728, 5, 3, struct.pack("<6I", 1, 1, 1, 1, 1, 1)),
    ]
    if preview:
        entries.append((330, 4, 1, b"SUBI"))
        entries.sort()
    at = 8 + 2 + 12 * len(entries) + 4
    table, extra = b"", b""
    places: dict[bytes, int] = {}
    for tag, kind, count, value in entries:
        field = value
        if len(value) > 4:
            field = struct.pack("<I", at + len(extra))
            extra += value + b"\0" * (len(value) % 2)
        if value in (b"DATA", b"SUBI"):
            places[value] = 10 + len(table) + 8
        table += struct.pack("<HHI", tag, kind, count) + field.ljust(4, b"\0")
    body = bytearray(b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + struct.pack("<I", 0) + extra)
    struct.pack_into("<I", body, places[b"DATA"], len(body))
    body += data
    if preview:
        struct.pack_into("<I", body, places[b"SUBI"], len(body))
        with Image.open(io.BytesIO(preview)) as image:
            size = image.size
        start = len(body) + 2 + 12 * 9 + 4 + 8
        sub = [
            (254, 4, 1, struct.pack("<I", 1)),
            (256, 4, 1, struct.pack("<I", size[0])),
            (257, 4, 1, struct.pack("<I", size[1])),
            (258, 3, 3, struct.pack("<I", start - 8)),
            (259, 3, 1, struct.pack("<H", 7)),
            (262, 3, 1, struct.pack("<H", 6)),
            (273, 4, 1, struct.pack("<I", start)),
            (277, 3, 1, struct.pack("<H", 3)),
            (279, 4, 1, struct.pack("<I", len(preview))),
        ]
        body += struct.pack("<H", len(sub))
        for tag, kind, count, value in sub:
            body += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
        body += struct.pack("<I", 0) + struct.pack("<4H", 8, 8, 8, 0) + preview
    return bytes(body)
