"""What `seemory models check` finds, on sound and on damaged encoders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import toys
from onnx import load, numpy_helper, save

from seemory.models.check import check
from seemory.models.encoder import Encoder
from seemory.models.folder import read_folder


def test_a_sound_encoder_has_no_bad_finding(tmp_path: Path) -> None:
    findings = check(Encoder(read_folder(toys.folder(tmp_path))))
    assert [finding for finding in findings if not finding.ok] == []
    names = {finding.name for finding in findings}
    assert {"picture tower", "picture speed", "text batches", "text length", "text norm"} <= names


def test_a_damaged_tower_is_a_finding(tmp_path: Path) -> None:
    folder = toys.folder(tmp_path)
    (folder / "textual/model.onnx").write_bytes(b"not a model")
    bad = [finding for finding in check(Encoder(read_folder(folder))) if not finding.ok]
    assert [finding.name for finding in bad] == ["text tower"]
    assert "model.onnx" in bad[0].says


def test_a_tower_that_says_the_same_of_everything_is_found(tmp_path: Path) -> None:
    folder = toys.folder(tmp_path, picture=False)
    model = load(str(folder / "textual/model.onnx"))
    table = next(tensor for tensor in model.graph.initializer if tensor.name == "table")
    table.CopyFrom(numpy_helper.from_array(np.ones((len(toys.WORDS), 4), dtype=np.float32), "table"))
    save(model, str(folder / "textual/model.onnx"))
    bad = [finding.name for finding in check(Encoder(read_folder(folder))) if not finding.ok]
    assert bad == ["text tells apart"]


def test_a_picture_only_encoder_is_checked_for_pictures_only(tmp_path: Path) -> None:
    findings = check(Encoder(read_folder(toys.folder(tmp_path, text=False))))
    assert all(finding.ok for finding in findings)
    assert not any(finding.name.startswith("text") for finding in findings)
