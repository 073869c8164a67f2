"""No photograph is both fitted on and measured on, wherever it lies and whatever it is called."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.dimension_split import half_of, photographs


def test_a_half_follows_from_the_bytes(tmp_path: Path, package_photographs: dict[str, Path]) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    for number in range(64):
        pixels[0, 0, 0] = number
        Image.fromarray(pixels).save(first / f"{number}.png")
        shutil.copy(first / f"{number}.png", second / f"other-{number}.png")
    shutil.copy(package_photographs["cat"], first / "cat.png")
    halves = {half: list(photographs([first, second], half, longer_side=40)) for half in ("fit", "proof")}
    contents = [{path.read_bytes() for path in found} for found in halves.values()]
    assert not contents[0] & contents[1]
    assert sum(map(len, halves.values())) == sum(map(len, contents)) == 64, "each content once, and no demo photograph"
    assert all(len(found) > 16 for found in contents)
    for number in range(64):
        assert half_of(first / f"{number}.png") == half_of(second / f"other-{number}.png")
    assert list(photographs([first], "fit", longer_side=41)) == []
