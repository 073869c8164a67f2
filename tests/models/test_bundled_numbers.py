"""Pinned numbers: the bundled encoder cannot drift unseen, nor can the decoding and preprocessing before it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seemory.media.image import load_picture
from seemory.models.loading import load_encoder

PICTURE = [0.2096, 0.0635, 0.1555, -0.1854, -0.0009]
WORDS = [0.2095, 0.0057, -0.0260, -0.2475, 0.0966]


def test_the_first_values_are_those_written_down(tmp_path: Path, package_photographs: dict[str, Path]) -> None:
    encoder = load_encoder("seemory-mini", home=tmp_path)
    cat = load_picture(package_photographs["cat"], target=encoder.image_size).image
    [picture], [words] = encoder.embed_images([cat]), encoder.embed_texts(["a photo of a cat"])
    np.testing.assert_allclose(picture[:5], PICTURE, atol=2e-3)  # processors differ in the last bits of 8-bit products
    np.testing.assert_allclose(words[:5], WORDS, atol=2e-3)
    assert float(picture @ words) == pytest.approx(0.7725, abs=5e-3)
