"""Photographs as arrays, and what the benchmarks do to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image


@pytest.fixture(scope="session")
def photographs(package_photographs: dict[str, Path]) -> dict[str, NDArray[np.uint8]]:
    """The packages' photographs as `(h, w, 3)` uint8 RGB."""
    return {name: np.asarray(Image.open(path).convert("RGB")) for name, path in package_photographs.items()}
