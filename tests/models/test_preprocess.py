"""Pixels as the reference makes them."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from seemory.models import preprocess
from seemory.types import Preprocess

CLIP = Preprocess(size=224)
SIGLIP = Preprocess(size=224, resize_mode="squash", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    "size", [(224, 224), (640, 480), (333, 500), (225, 224), (100, 700), (50, 40), (1, 1), (3500, 224)]
)
@pytest.mark.parametrize("rule", [CLIP, SIGLIP], ids=["clip", "siglip"])
def test_is_the_reference_s_picture_to_the_bit(size: tuple[int, int], rule: Preprocess) -> None:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    processor = CLIPImageProcessorPil() if rule is CLIP else SiglipImageProcessorPil()
    image = noise(*size)
    raw = processor(image, do_rescale=False, do_normalize=False)["pixel_values"][0].transpose(1, 2, 0)
    ours = preprocess.apply(rule, image)
    assert ours.dtype == np.uint8
    assert np.array_equal(ours, raw)
    theirs = np.asarray(processor(image)["pixel_values"][0])
    assert np.allclose(preprocess.normalise(ours[None], rule)[0], theirs, atol=2e-6)


@pytest.mark.parametrize("size", [(5000, 3), (3, 5000), (4000, 224)])
def test_long_strips_differ_by_one_of_255_in_few_places(size: tuple[int, int]) -> None:
    image = noise(*size)
    short = min(size)
    scaled = (int(224 * size[0] / short), 224) if size[0] >= size[1] else (224, int(224 * size[1] / short))
    whole = image.resize(scaled, Image.Resampling.BICUBIC)
    left, top = (scaled[0] - 224) // 2, (scaled[1] - 224) // 2
    expected = np.asarray(whole.crop((left, top, left + 224, top + 224))).astype(int)
    del whole
    tracemalloc.start()
    found = preprocess.apply(CLIP, image).astype(int)
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()
    off = np.abs(found - expected)
    assert off.max() <= 1
    assert (off > 0).mean() < 0.001


def test_other_modes_are_converted() -> None:
    assert preprocess.apply(CLIP, Image.new("L", (30, 40), 7)).tolist()[0][0] == [7, 7, 7]


def test_normalising_makes_one_copy_of_floats() -> None:
    pixels = np.zeros((16, 224, 224, 3), dtype=np.uint8)
    tracemalloc.start()
    found = preprocess.normalise(pixels, CLIP)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.flags.c_contiguous
    assert peak < found.nbytes * 1.3
