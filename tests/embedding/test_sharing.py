"""Shared passes give what single ones give, with real encoders and many threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seemory.batching import Passed
from seemory.embedding.sharing import SharedPasses
from seemory.errors import ModelError
from seemory.models.encoder import Encoder
from seemory.models.loading import load_encoder

WORDS = ["a cat", "a very small dog that runs along the beach in the evening", "x", "a rocket being launched", "katze "]
LONG = "every word of a long text that nobody has asked to be short and that goes on until the tower's own end " * 4


@pytest.fixture
def encoder(home: Path) -> Callable[[], Encoder]:
    return lambda: load_encoder("seemory-mini", home=home, offline=True)


def test_shared_passes_give_what_single_ones_give(
    encoder: Callable[[], Encoder], package_photographs: dict[str, Path]
) -> None:
    alone, together = encoder(), encoder()
    passed: list[Passed] = []
    together.share_passes(SharedPasses(most=8, queue=256, listen=passed.append))
    texts = [f"{text} {n}" for n in range(12) for text in (*WORDS, LONG)]
    squares = [alone.preprocess(Image.open(path).convert("RGB")) for path in package_photographs.values()] * 4
    with ThreadPoolExecutor(32) as pool:
        words = pool.map(lambda text: together.embed_texts([text])[0], texts)
        pictures = pool.map(lambda square: together.embed_pixels(square[np.newaxis])[0], squares)
        made = np.stack([*words, *pictures])
    expected = np.stack(
        [
            *(alone.embed_texts([text])[0] for text in texts),
            *(alone.embed_pixels(one[np.newaxis])[0] for one in squares),
        ]
    )
    assert (made * expected).sum(axis=1).min() > 1 - 1e-3
    assert sum(one.size for one in passed) == len(texts) + len(squares)
    assert max(one.size for one in passed) > 1, "nothing was shared"
    assert {one.name for one in passed} == {"image tower", "text tower"}


def test_a_batch_of_ones_own_waits_for_nobody(encoder: Callable[[], Encoder]) -> None:
    together = encoder()
    passed: list[Passed] = []
    together.share_passes(SharedPasses(most=8, queue=8, listen=passed.append))
    np.testing.assert_allclose(together.embed_texts(WORDS), encoder().embed_texts(WORDS), atol=1e-5)
    assert together.embed_texts([]).shape == (0, together.dim)
    assert passed == []


def test_a_bad_square_fails_alone(encoder: Callable[[], Encoder], package_photographs: dict[str, Path]) -> None:
    together = encoder()
    together.share_passes(SharedPasses(most=8, queue=64))
    good = together.preprocess(Image.open(package_photographs["cat"]).convert("RGB"))
    bad = np.zeros((3, 3, 3), np.uint8)

    def one(square: np.ndarray) -> object:
        try:
            return together.embed_pixels(square[np.newaxis])[0]
        except ModelError as error:
            return error

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(one, [good, bad] * 8))
    assert all(isinstance(answer, np.ndarray) for answer in found[::2])
    assert all(isinstance(answer, ModelError) for answer in found[1::2])
