"""What is refused, by which error, and that the message says what to do."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_pictures import WRITABLE, dng, encoded, photograph, png_chunk, write
from PIL import Image, ImageFile

from seemory.errors import MediaError, MediaTooLarge, UnreadableMedia, UnsupportedMedia
from seemory.media.image import load_picture, read_picture
from seemory.media.opening import open_regular, sniff

# Pillow warns of every broken TIFF tag it meets.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

PNG = b"\x89PNG\r\n\x1a\n"


def refused(path: Path, kind: type[MediaError]) -> str:
    with pytest.raises(kind) as caught:
        load_picture(path, target=224)
    message = str(caught.value)
    assert type(caught.value) is kind, message
    what, _, remedy = message.partition("; ")
    assert what, "says what is wrong"
    assert remedy, "says what to do"
    assert str(path) not in message
    assert len(message) < 400
    return message


def test_empty_text_and_unknown_files(tmp_path: Path) -> None:
    assert "empty" in refused(write(tmp_path / "a.jpg", b""), UnreadableMedia)
    assert "called .jpg" in refused(write(tmp_path / "a.jpg", b"Dear diary,\n"), UnreadableMedia)
    assert "called .jpg" in refused(write(tmp_path / "b.JPG", b"\x00" * 5000), UnreadableMedia)
    refused(write(tmp_path / "a.txt", b"Dear diary,\n"), UnsupportedMedia)
    assert "Photoshop" in refused(write(tmp_path / "a.jpg", b"8BPS\x00\x01" + bytes(60)), UnsupportedMedia)
    svg = b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns="http://www.w3.org/2000/svg"/>'
    assert "SVG" in refused(write(tmp_path / "a.svg", svg), UnsupportedMedia)
    assert "video" in refused(write(tmp_path / "a.heic", b"\0\0\0\x18ftypisom" + bytes(40)), UnsupportedMedia)
    # PostScript would start an interpreter if Pillow were let.
    refused(write(tmp_path / "a.eps", encoded(photograph(), "EPS")), UnsupportedMedia)


@pytest.mark.parametrize("kind", WRITABLE)
def test_truncated_pictures_are_refused(kind: str, tmp_path: Path) -> None:
    content = encoded(photograph(320, 240), kind)
    for part in (0.02, 0.3, 0.6, 0.9):
        refused(write(tmp_path / "cut", content[: int(len(content) * part)]), UnreadableMedia)
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_nothing_but_files_is_opened(tmp_path: Path) -> None:
    assert "folder" in refused(tmp_path, UnreadableMedia)
    assert "not there" in refused(tmp_path / "gone.jpg", UnreadableMedia)
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "nowhere")
    refused(tmp_path / "broken.jpg", UnreadableMedia)
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    refused(tmp_path / "loop.jpg", UnreadableMedia)
    refused(tmp_path / ("x" * 300), UnreadableMedia)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.jpg")
        assert "pipe" in refused(tmp_path / "pipe.jpg", UnsupportedMedia)
        refused(Path("/dev/zero"), UnsupportedMedia)


def test_null_byte_in_a_name_is_a_media_error() -> None:
    with pytest.raises(MediaError):
        open_regular(Path("a\x00b.jpg"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_permission_denied(tmp_path: Path) -> None:
    path = write(tmp_path / "secret.png", encoded(photograph(), "PNG"))
    path.chmod(0)
    assert "permission" in refused(path, UnreadableMedia)


def png_header(width: int, height: int, *chunks: bytes) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0))
    return PNG + header + b"".join(chunks) + png_chunk(b"IDAT", zlib.compress(b"\0" * 100)) + png_chunk(b"IEND", b"")


def test_too_many_pixels_are_judged_by_the_header(tmp_path: Path) -> None:
    bomb = write(tmp_path / "bomb.png", png_header(50_000, 50_000))
    assert "50000 x 50000" in refused(bomb, MediaTooLarge)
    small = write(tmp_path / "small.png", encoded(photograph(), "PNG"))
    with pytest.raises(MediaTooLarge):
        load_picture(small, target=224, max_pixels=160 * 120 - 1)
    assert load_picture(small, target=224, max_pixels=160 * 120)
    for kind in WRITABLE:
        with pytest.raises(MediaTooLarge):
            load_picture(write(tmp_path / "any", encoded(photograph(), kind)), target=224, max_pixels=1000)


def test_our_limit_holds_where_pillows_own_would_not(tmp_path: Path) -> None:
    # 190 megapixels: Pillow's process-wide limit calls it a bomb; the argument allows it.
    wide = encoded(Image.new("L", (19_000, 10_000)), "JPEG", quality=10)
    limit = Image.MAX_IMAGE_PIXELS
    assert limit is not None
    assert 2 * limit < 19_000 * 10_000
    picture = load_picture(write(tmp_path / "wide.jpg", wide), target=224)
    assert picture.facts.width == 19_000
    assert limit == Image.MAX_IMAGE_PIXELS


def test_bombs_within_chunks(tmp_path: Path) -> None:
    zeros = zlib.compress(bytes(80_000_000), 9)
    for chunk in (png_chunk(b"iCCP", b"x\0\0" + zeros), png_chunk(b"zTXt", b"Comment\0\0" + zeros)):
        refused(write(tmp_path / "chunk.png", png_header(4, 4, chunk)), UnreadableMedia)


def test_gif_with_a_lying_header(tmp_path: Path) -> None:
    content = bytearray(encoded(photograph(64, 64), "GIF"))
    struct.pack_into("<2H", content, 6, 65535, 65535)
    refused(write(tmp_path / "a.gif", bytes(content)), MediaTooLarge)
    struct.pack_into("<2H", content, 6, 2, 2)
    picture = load_picture(write(tmp_path / "b.gif", bytes(content)), target=224)
    assert picture.image.size == (picture.facts.width, picture.facts.height)


def test_tiff_with_absurd_tags(tmp_path: Path) -> None:
    def tiff(*entries: tuple[int, int, int, int]) -> bytes:
        table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
        return b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + struct.pack("<I", 0)

    refused(write(tmp_path / "a.tif", tiff((256, 4, 0xFFFFFFFF, 8), (257, 4, 1, 1))), UnreadableMedia)
    side = 2**31
    huge = tiff((256, 4, 1, side), (257, 4, 1, side), (262, 3, 1, 1), (273, 4, 1, 8), (278, 4, 1, side), (279, 4, 1, 8))
    refused(write(tmp_path / "b.tif", huge), MediaTooLarge)
    refused(write(tmp_path / "c.tif", tiff((256, 4, 1, 9), (257, 4, 1, 9), (277, 3, 1, 65535))), UnreadableMedia)
    refused(write(tmp_path / "d.tif", b"II*\0" + struct.pack("<I", 0xFFFFFFF0)), UnreadableMedia)


def test_jpeg_with_thousands_of_scans(tmp_path: Path) -> None:
    content = encoded(Image.new("L", (4000, 3000)), "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    scan = content[last:-2]
    bomb = content[:-2] + scan * 2000 + content[-2:]
    assert len(bomb) < 100_000_000
    assert "scans" in refused(write(tmp_path / "scans.jpg", bomb), UnreadableMedia)
    assert load_picture(write(tmp_path / "usual.jpg", content), target=224).facts.width == 4000


def test_sniffing() -> None:
    for kind in WRITABLE:
        assert sniff(encoded(photograph(8, 8), kind)[:64]) == kind
    assert sniff(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf") == "AVIF"
    assert sniff(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic") == "HEIC"
    assert sniff(b"GIF") is None


SAMPLES = {kind: encoded(photograph(40, 30), kind) for kind in WRITABLE}
SAMPLES["progressive"] = encoded(photograph(40, 30), "JPEG", progressive=True)
SAMPLES["palette"] = encoded(photograph(40, 30).convert("P"), "PNG")
SAMPLES["packed"] = encoded(photograph(40, 30), "TIFF", compression="tiff_lzw")
SAMPLES["deflated"] = encoded(photograph(40, 30), "TIFF", compression="tiff_adobe_deflate")
SAMPLES["animated"] = encoded(photograph(40, 30), "GIF", save_all=True, append_images=[photograph(40, 30, 1)])
SAMPLES["RAW"] = dng(32, 32)


def survives(content: bytes, suffix: str = ".jpg") -> None:
    picture = None
    with contextlib.suppress(MediaError):
        picture = read_picture(io.BytesIO(content), suffix=suffix, target=16, max_pixels=1_000_000, thumbnail_size=16)
    assert picture is None or picture.image.mode == "RGB"


quick = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@quick
@given(st.binary(max_size=400), st.sampled_from([b"", *(sample[:24] for sample in SAMPLES.values())]))
def test_random_bytes_raise_nothing_else(tail: bytes, head: bytes) -> None:
    survives(head + tail)


@pytest.mark.parametrize("name", list(SAMPLES))
@quick
@given(data=st.data())
def test_random_damage_raises_nothing_else(name: str, data: st.DataObject) -> None:
    content = bytearray(SAMPLES[name])
    for _ in range(data.draw(st.integers(0, 8))):
        # Headers are where damage does most: half of it falls into the first 200 bytes.
        end = min(200, len(content)) if data.draw(st.booleans()) else len(content)
        content[data.draw(st.integers(0, end - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    survives(bytes(content[:cut]) if data.draw(st.booleans()) else bytes(content), ".dng" if name == "RAW" else ".jpg")
