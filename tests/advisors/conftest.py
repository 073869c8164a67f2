"""Photographs as arrays, and a library of them, made once for a module's tests that change nothing in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from reading_pages import BIOGRAPHY

from seemory.memory import Memory
from seemory.settings import read_settings


@pytest.fixture(scope="session")
def photographs(package_photographs: dict[str, Path]) -> dict[str, NDArray[np.uint8]]:
    """The packages' photographs as `(h, w, 3)` uint8 RGB."""
    return {name: np.asarray(Image.open(path).convert("RGB")) for name, path in package_photographs.items()}


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory, package_photographs: dict[str, Path]) -> Path:
    folder = tmp_path_factory.mktemp("works")
    for name, path in package_photographs.items():
        shutil.copy(path, folder / f"{name}{path.suffix}")
    return folder


@pytest.fixture(scope="module")
def many(home: Path, works: Path) -> Iterator[Memory]:
    """A memory whose advisor `many` has them; one work's title and the biography are no plain text, and one's file is
    gone."""
    table = works.parent / f"{works.name}.csv"
    table.write_text('file,title,licence\ncat.png,"<script>alert(1)</script> & a cat",CC0\n')
    about = works.parent / f"{works.name}.txt"
    about.write_text(BIOGRAPHY)
    settings = read_settings(home=home, owner=f"teacher-{uuid4()}", collection=f"advisors-{uuid4()}")
    with Memory(settings, model="seemory-mini") as memory:
        assert memory.advisors.add("many", works, catalogue=table, biography=about).added == 8
        (works / "galaxies.jpg").rename(works.parent / f"{works.name}-galaxies.jpg")
        yield memory
