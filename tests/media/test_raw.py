from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from made_pictures import dng, encoded, photograph, write

from seemory.errors import MediaTooLarge, UnsupportedMedia
from seemory.media import raw
from seemory.media.image import load_picture, supported_suffixes

needs_rawpy = pytest.mark.skipif(not raw.available(), reason="rawpy is not installed")


@needs_rawpy
def test_a_raw_without_preview_is_developed_at_half_size(tmp_path: Path) -> None:
    picture = load_picture(write(tmp_path / "a.dng", dng(512, 384)), target=64)
    assert (picture.facts.width, picture.facts.height, picture.facts.format) == (512, 384, "RAW")
    assert picture.facts.camera == "Seemory Test Camera"
    assert picture.image.size == (256, 192)
    red, green, blue = np.asarray(picture.image).reshape(-1, 3).mean(axis=0)
    assert red > green + 30
    assert red > blue + 30


@needs_rawpy
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_raw_is_turned_once(orientation: int, tmp_path: Path) -> None:
    picture = load_picture(write(tmp_path / "a.dng", dng(512, 384, orientation=orientation)), target=64)
    upright = (512, 384) if orientation in (1, 3) else (384, 512)
    assert (picture.facts.width, picture.facts.height) == upright
    assert (picture.image.width > picture.image.height) == (upright[0] > upright[1])


@needs_rawpy
@pytest.mark.parametrize("orientation", [1, 6])
def test_the_preview_is_taken_when_it_is_large_enough(orientation: int, tmp_path: Path) -> None:
    shown = photograph(400, 300)
    content = dng(512, 384, orientation=orientation, preview=encoded(shown, "JPEG", quality=95))
    path = write(tmp_path / "a.dng", content)
    picture = load_picture(path, target=224)
    assert picture.image.size == ((400, 300) if orientation == 1 else (300, 400))
    assert (picture.facts.width, picture.facts.height) == ((512, 384) if orientation == 1 else (384, 512))
    # Too small a preview is passed over for the sensor's own data.
    assert max(load_picture(path, target=310).image.size) == 256


@needs_rawpy
def test_raw_refusals(tmp_path: Path) -> None:
    with pytest.raises(MediaTooLarge):
        load_picture(write(tmp_path / "a.dng", dng(512, 384)), target=64, max_pixels=1000)
    with pytest.raises(UnsupportedMedia, match="LibRaw"):
        load_picture(write(tmp_path / "a.nef", b"nothing of the kind" * 100), target=64)


def test_a_jpeg_called_raw_is_a_jpeg(tmp_path: Path) -> None:
    assert load_picture(write(tmp_path / "a.cr2", encoded(photograph(), "JPEG")), target=64).facts.format == "JPEG"


def test_without_rawpy_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "rawpy" else find(name, *rest))
    assert ".dng" not in supported_suffixes()
    with pytest.raises(UnsupportedMedia, match=r"pip install 'seemory\[raw\]'"):
        load_picture(write(tmp_path / "a.dng", dng()), target=64)
