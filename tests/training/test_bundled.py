"""The bundled folder itself: small enough, whole, and of one mind about hard texts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from tokenizers import Tokenizer

FOLDER = Path(__file__).parents[2] / "src" / "seemory" / "models" / "bundled" / "seemory-mini"
TEXTS = ["a dog on a beach", "", "\U0001f600", "你好世界", "word " * 500, "A DOG on a Beach!"]


@pytest.fixture(scope="module")
def towers():
    sessions = [
        onnxruntime.InferenceSession(FOLDER / tower / "model.onnx", providers=["CPUExecutionProvider"])
        for tower in ("visual", "textual")
    ]
    return *sessions, Tokenizer.from_file(str(FOLDER / "textual" / "tokenizer.json"))


def test_it_is_at_most_sixteen_megabytes():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) <= 16_000_000


def test_pictures_in_a_batch_are_unit_vectors_and_the_same_as_alone(towers):
    visual, _, _ = towers
    side = json.loads((FOLDER / "visual" / "preprocess_cfg.json").read_text())["size"][0]
    pixels = np.random.default_rng(0).uniform(-1, 1, (3, 3, side, side)).astype(np.float32)
    together = visual.run(None, {"image": pixels})[0]
    assert together.shape == (3, json.loads((FOLDER / "config.json").read_text())["embed_dim"])
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(visual.run(None, {"image": pixels[1:2]})[0][0], together[1], atol=1e-4)


@pytest.mark.parametrize("text", TEXTS, ids=["words", "empty", "emoji", "chinese", "long", "capitals"])
def test_any_text_has_a_unit_vector_that_padding_leaves_alone(towers, text):
    _, textual, tokenizer = towers
    ids = np.array([tokenizer.encode(text).ids], np.int64).reshape(1, -1)
    bare = textual.run(None, {"text": ids})[0]
    padded = textual.run(None, {"text": np.pad(ids, ((0, 0), (0, 20)))})[0]
    assert np.isfinite(bare).all()
    np.testing.assert_allclose(np.linalg.norm(bare, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(padded, bare, atol=1e-4)


def test_calibration_has_right_pairs_above_unrelated_ones():
    calibration = json.loads((FOLDER / "calibration.json").read_text())
    assert set(calibration) == {"text_to_image", "image_to_image", "text_to_text"}
    for cosines in calibration.values():
        assert cosines["match_mean"] > cosines["background_mean"] + cosines["background_std"]
