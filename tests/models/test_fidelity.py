"""Measuring ways: what the figures mean, and what is not offered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import toys

from seemory.errors import ModelError
from seemory.models.encoder import Encoder
from seemory.models.fidelity import QUERIES, Material, Measured, measure
from seemory.models.folder import read_folder
from seemory.models.loading import encoder_in
from seemory.models.precision import REFERENCE, Way
from seemory.telemetry import Progress

INT8, OPENVINO = Way("onnxruntime", "int8"), Way("openvino", "fp32")


@pytest.fixture
def material() -> Material:
    squares = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    return Material(squares, ("a dog", "the red cat", "house"), (0, 3, 11))


def test_the_figures_of_a_way(tmp_path: Path, material: Material) -> None:
    folder = read_folder(toys.folder(tmp_path))
    heard: list[Progress] = []
    ways = {REFERENCE: None, OPENVINO: None, Way("cuda", "fp32"): "no device"}
    first, second, third = measure(lambda way: encoder_in(folder, way, home=tmp_path), ways, material, heard.append)
    assert (first.way, second.way) == (REFERENCE, OPENVINO)
    assert third == Measured("cuda", "fp32", "no device")
    assert first.pictures
    assert first.texts
    assert (first.pictures.count, first.texts.count) == (12, 3)
    assert (first.pictures.mean, first.fidelity) == (pytest.approx(1), pytest.approx(1))
    assert first.batch in (1, 8, 32)
    assert first.speed == first.pictures_per_s
    assert first.speed >= (first.pictures_per_s_alone or 0) > 0
    assert second.recall == first.recall, "the same vectors find the same pictures"
    assert [event.done for event in heard] == [0, 1, 2, 3]


def test_what_changes_nothing_is_not_offered(tmp_path: Path, material: Material) -> None:
    """Words without one product of matrices: an 8-bit copy would be another fingerprint for the same vectors."""
    folder = read_folder(toys.folder(tmp_path, picture=False))
    ways = {REFERENCE: None, INT8: None}
    found = measure(lambda way: encoder_in(folder, way, home=tmp_path), ways, material)
    assert found[1].missing == "it changes nothing in this encoder"


def test_a_way_that_fails_is_a_reason_and_fp32_failing_is_an_error(tmp_path: Path, material: Material) -> None:
    folder = read_folder(toys.folder(tmp_path))

    def make(way: Way) -> Encoder:
        if way == INT8:
            toys.text_tower(tmp_path / "textual/model.onnx", weights=float("nan"))
        return encoder_in(folder, way, home=tmp_path)

    ways = {REFERENCE: None, INT8: None}
    assert "came out zero or not finite" in str(measure(make, ways, material)[1].missing)
    with pytest.raises(ModelError, match="came out zero or not finite"):
        measure(make, ways, material)


def test_the_standing_words_are_many_and_differ() -> None:
    assert len(set(QUERIES)) == len(QUERIES) >= 30
