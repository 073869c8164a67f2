from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_pictures import encoded, mean_difference, photograph, write
from PIL import Image

from seemory.media import pixels
from seemory.media.image import load_picture


def loaded(path: Path) -> np.ndarray:
    return np.asarray(load_picture(path, target=224).image)


def reference(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_grey_one_bit_and_palette_are_the_reference(mode: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", encoded(photograph().convert(mode), "PNG"))
    assert np.array_equal(loaded(path), reference(path))


def test_cmyk_is_the_reference_and_adobe_inversion_is_undone(tmp_path: Path) -> None:
    white = Image.new("CMYK", (32, 32), (0, 0, 0, 0))
    for kind in ("JPEG", "TIFF"):
        path = write(tmp_path / kind, encoded(white, kind))
        assert np.array_equal(loaded(path), reference(path))
        assert loaded(path).min() > 250
    # Pillow writes the Adobe marker and inverts, as Photoshop does; the colours must come back.
    path = write(tmp_path / "photo.jpg", encoded(photograph().convert("CMYK"), "JPEG", quality=95))
    assert b"Adobe" in path.read_bytes()
    assert mean_difference(Image.fromarray(loaded(path)), photograph()) < 4


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "HEIC", "AVIF"])
def test_transparency_is_laid_on_white(kind: str, tmp_path: Path) -> None:
    image = photograph().convert("RGBA")
    image.putalpha(255)
    image.paste((0, 0, 0, 0), (0, 0, 80, 120))
    path = write(tmp_path / "clear", encoded(image, kind, quality=90))
    seen = loaded(path)
    assert seen[:, :70].min() > 240, "black under full transparency must not show"
    assert mean_difference(Image.fromarray(seen[:, 90:]), photograph().crop((90, 0, 160, 120))) < 6


def test_half_transparent_black_is_grey(tmp_path: Path) -> None:
    for mode, colour in (("RGBA", (0, 0, 0, 128)), ("LA", (0, 128))):
        path = write(tmp_path / "half.png", encoded(Image.new(mode, (8, 8), colour), "PNG"))
        assert np.all(loaded(path) == 127)
    assert np.all(np.asarray(pixels.rgb(Image.new("PA", (4, 4), (0, 0)))) == 255)
    assert np.all(np.asarray(pixels.rgb(Image.new("RGBa", (4, 4), (0, 0, 0, 0)))) == 255)
    assert np.all(np.asarray(pixels.rgb(Image.new("La", (4, 4), (0, 0)))) == 255)


def test_opaque_alpha_changes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "opaque.png", encoded(photograph().convert("RGBA"), "PNG"))
    assert np.array_equal(loaded(path), np.asarray(photograph()))


@pytest.mark.parametrize(
    ("image", "transparent"),
    [
        (Image.new("RGB", (4, 4), (9, 8, 7)), (9, 8, 7)),
        (Image.new("L", (4, 4), 9), 9),
        (Image.new("1", (4, 4), 0), 0),
    ],
)
def test_png_with_one_transparent_colour(image: Image.Image, transparent: object, tmp_path: Path) -> None:
    path = write(tmp_path / "key.png", encoded(image, "PNG", transparency=transparent))
    assert np.all(loaded(path) == 255)


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_palette_with_a_transparent_entry(kind: str, tmp_path: Path) -> None:
    image = Image.frombytes("P", (16, 16), bytes(range(256)))
    image.putpalette([value // 2 for value in range(256) for _ in range(3)])
    seen = loaded(write(tmp_path / "key", encoded(image, kind, transparency=3)))[..., 0].ravel()
    assert seen[3] == 255
    assert np.delete(seen, 3).max() == 127


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_not_clipped(kind: str, tmp_path: Path) -> None:
    ramp = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    path = write(tmp_path / "deep", encoded(Image.fromarray(ramp), kind))
    expected = (ramp // 257).astype(np.uint8)
    for channel in range(3):
        assert np.array_equal(loaded(path)[:, :, channel], expected)


def test_other_depths() -> None:
    ramp = np.arange(256, dtype=np.uint16).reshape(16, 16)
    eight = ramp.astype(np.uint8)
    big_endian = Image.frombytes("I;16B", (16, 16), (ramp * 257).astype(">u2").tobytes())
    assert np.array_equal(np.asarray(pixels.rgb(big_endian))[..., 0], eight)
    for values in (
        ramp.astype(np.int32),
        ramp.astype(np.int32) * 257,
        ramp.astype(np.float32) / 255,
        ramp.astype("f4"),
    ):
        assert np.array_equal(np.asarray(pixels.rgb(Image.fromarray(values)))[..., 1], eight), values.dtype
    heights = np.asarray(pixels.rgb(Image.fromarray(np.array([[-500.0, 0.0, 3500.0, np.nan]], np.float32))))[0, :, 0]
    assert list(heights) == [0, 32, 255, 32]
    assert np.asarray(pixels.rgb(Image.fromarray(np.full((2, 2), np.inf, np.float32)))).max() == 0
    twelve = pixels.rgb(Image.fromarray(np.array([[0, 4095]], np.uint16)), bits=12)
    assert np.asarray(twelve)[0, :, 0].tolist() == [0, 255]


def test_sixteen_bit_rgb_is_scaled(tmp_path: Path) -> None:
    import struct
    import zlib

    from made_pictures import png_chunk

    row = b"\0" + struct.pack(">6H", 0, 0x80FF, 0xFFFF, 0x00FF, 0x0100, 0x7FFF)
    content = (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", struct.pack(">2I5B", 2, 1, 16, 2, 0, 0, 0))
        + png_chunk(b"IDAT", zlib.compress(row))
        + png_chunk(b"IEND", b"")
    )
    assert loaded(write(tmp_path / "deep.png", content)).tolist() == [[[0, 128, 255], [0, 1, 127]]]


def test_animations_give_their_first_picture(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "green", "blue")]
    for kind in ("GIF", "WEBP", "PNG", "TIFF", "AVIF"):
        content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True, quality=90)
        seen = loaded(write(tmp_path / "moving", content))
        assert seen.shape == (10, 20, 3)
        assert np.abs(seen.astype(int) - (255, 0, 0)).max() < 12, kind


@pytest.mark.parametrize("size", [(1200, 900), (1201, 901), (1199, 907), (1202, 902)])
def test_shrinking_does_not_stretch(size: tuple[int, int]) -> None:
    whole = photograph(*size)
    small = [p.resize((75, 56), Image.Resampling.BICUBIC) for p in (whole, pixels.shrunk(whole, 224))]
    assert mean_difference(*small) < 0.5


def test_shrinking_keeps_the_floor() -> None:
    assert pixels.shrunk(Image.new("RGB", (900, 500)), 448).size == (900, 500)
    assert pixels.shrunk(Image.new("RGB", (2000, 896)), 448).size == (1000, 448)
    assert pixels.shrunk(Image.new("RGB", (2001, 897)), 448).size == (1000, 448)
    assert pixels.shrunk(Image.new("RGB", (4000, 3000)), 896).size == (2000, 1500)
    assert pixels.shrunk(Image.new("RGB", (50_000, 1)), 448).size == (50_000, 1)
