"""Exports differ in types, shapes, inputs and outputs; the vectors must not."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import toys

from seemory.errors import ModelCorrupt
from seemory.models.encoder import Encoder
from seemory.models.folder import read_folder
from seemory.models.session import OnnxSession

TEXTS = ["a dog on the beach", "red house", "dog", "the cat", "a", "the red dog on the beach"]


@pytest.fixture
def squares() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)


def encoder(folder: Path) -> Encoder:
    return Encoder(read_folder(folder))


@pytest.mark.parametrize(
    "export",
    [
        {"dtype": "int32"},
        {"batch": 1},
        {"batch": 4},
        {"length": 16},
        {"dtype": "int32", "batch": 1, "length": 16},
        {"name": "input_ids"},
        {"name": "input_ids", "extra": ("attention_mask",)},
        {"name": "input_ids", "extra": ("attention_mask", "token_type_ids")},
        {"name": "input_ids", "extra": ("bool_mask",)},
        {"name": "words"},
    ],
    ids=str,
)
def test_words_through_every_kind_of_export(tmp_path: Path, export: dict) -> None:
    folder = toys.folder(tmp_path)
    expected = encoder(folder).embed_texts(TEXTS)
    toys.text_tower(folder / "textual/model.onnx", **export)
    assert np.allclose(encoder(folder).embed_texts(TEXTS), expected, atol=1e-6)


@pytest.mark.parametrize(
    "export",
    [
        {"dtype": "float16"},
        {"batch": 1},
        {"batch": 3},
        {"channels_last": True},
        {"masked": True},
        {"output": "image_embeds"},
    ],
    ids=str,
)
def test_pictures_through_every_kind_of_export(tmp_path: Path, squares: np.ndarray, export: dict) -> None:
    folder = toys.folder(tmp_path)
    expected = encoder(folder).embed_pixels(squares)
    toys.picture_tower(folder / "visual/model.onnx", **export)
    tolerance = 2e-3 if "dtype" in export else 1e-6
    assert np.allclose(encoder(folder).embed_pixels(squares), expected, atol=tolerance)


def test_a_tower_that_takes_bytes_gets_the_pixels_as_they_are(tmp_path: Path, squares: np.ndarray) -> None:
    folder = toys.folder(tmp_path)
    toys.picture_tower(folder / "visual/model.onnx", dtype="uint8", channels_last=True)
    session = OnnxSession(folder / "visual/model.onnx")
    expected = session.run({"image": squares})[0]
    found = encoder(folder).embed_pixels(squares)
    assert np.allclose(found, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize("mode", ["mean_tokens", "cls_token", "max_tokens", "lasttoken"])
def test_outputs_of_all_positions_are_pooled_by_the_folder_s_rule(tmp_path: Path, mode: str) -> None:
    folder = toys.sentence_folder(tmp_path / "s", mode=mode, context=9)
    table = OnnxSession(folder / "onnx/model.onnx")
    ids = np.array([[2, 4, 5, 3]])  # [CLS] a dog [SEP]
    ones = np.ones_like(ids)
    states = table.run({"input_ids": ids, "attention_mask": ones, "token_type_ids": ones * 0})[0][0]
    expected = {
        "mean_tokens": states.mean(axis=0),
        "cls_token": states[0],
        "max_tokens": states.max(axis=0),
        "lasttoken": states[-1],
    }[mode]
    # Beside a longer text, so that there is padding which must not count.
    found = encoder(folder).embed_texts(["a dog", "the red cat on the beach"])[0]
    assert np.allclose(found, expected / np.linalg.norm(expected), atol=1e-6)


def test_a_passed_over_pooler_is_not_taken_for_the_sentence(tmp_path: Path) -> None:
    """BERT exports often give `pooler_output` too; mean pooling is of `last_hidden_state`."""
    from onnx import TensorProto, helper, load, save

    folder = toys.sentence_folder(tmp_path / "s")
    expected = encoder(folder).embed_texts(TEXTS)
    path = folder / "onnx/model.onnx"
    model = load(str(path))
    model.graph.node.append(
        helper.make_node("ReduceMax", ["last_hidden_state"], ["pooler_output"], axes=[1], keepdims=0)
    )
    model.graph.output.insert(0, helper.make_tensor_value_info("pooler_output", TensorProto.FLOAT, ["batch", 4]))
    save(model, str(path))
    assert np.allclose(encoder(folder).embed_texts(TEXTS), expected, atol=1e-6)


def test_inputs_nobody_knows_are_refused_by_name(tmp_path: Path) -> None:
    folder = toys.folder(tmp_path)
    toys.text_tower(folder / "textual/model.onnx", strange="speaker")
    with pytest.raises(ModelCorrupt, match="speaker"):
        encoder(folder).embed_texts(["dog"])


def test_many_threads_get_the_vectors_one_thread_gets(tmp_path: Path, squares: np.ndarray) -> None:
    made = encoder(toys.folder(tmp_path))
    expected = made.embed_texts(TEXTS), made.embed_pixels(squares)
    shared = encoder(tmp_path)
    wrong: list[str] = []

    def work(index: int) -> None:
        for turn in range(20):
            text, square = (index + turn) % len(TEXTS), (index + turn) % len(squares)
            if not np.allclose(shared.embed_texts(TEXTS[text : text + 1])[0], expected[0][text], atol=1e-6):
                wrong.append(f"text {text}")
            if not np.allclose(shared.embed_pixels(squares[square : square + 1])[0], expected[1][square], atol=1e-6):
                wrong.append(f"picture {square}")

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_more_than_one_pass_keeps_the_order(tmp_path: Path) -> None:
    made = encoder(toys.folder(tmp_path))
    texts = [" ".join(["dog"] * (1 + index % 9) + ["cat"]) for index in range(150)]
    together = made.embed_texts(texts)
    alone = np.concatenate([made.embed_texts([text]) for text in texts[:40]])
    assert np.allclose(together[:40], alone, atol=1e-6)
    squares = np.random.default_rng(4).integers(0, 256, (70, 8, 8, 3), dtype=np.uint8)
    assert np.allclose(made.embed_pixels(squares)[50:], made.embed_pixels(squares[50:]), atol=1e-6)
