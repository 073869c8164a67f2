"""Model folders: the two layouts, with and without a catalogue entry, and every way they break."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import toys

from seemory.errors import ModelCorrupt, ModelError, ModelNotFound
from seemory.models.catalog import find_spec
from seemory.models.encoder import Encoder
from seemory.models.folder import read_folder
from seemory.types import CosineStatistics, Pixels


def _square(size: int) -> Pixels:
    return np.full((1, size, size, 3), 100, dtype=np.uint8)


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_an_immich_folder_says_all_that_is_needed(tmp_path: Path) -> None:
    spec = read_folder(toys.folder(tmp_path / "my-model")).spec
    assert (spec.name, spec.dim, spec.layout, spec.towers) == ("my-model", 4, "immich", ("image", "text"))
    assert spec.preprocess is not None
    assert (spec.preprocess.size, spec.preprocess.mean) == (8, (0.5, 0.5, 0.5))
    assert spec.text is not None
    assert (spec.text.context_length, spec.text.pad_id) == (16, 0)


def test_size_may_be_one_number(tmp_path: Path) -> None:
    folder = toys.folder(tmp_path)
    change(folder / "visual/preprocess_cfg.json", size=8)
    rule = read_folder(folder).spec.preprocess
    assert rule is not None
    assert rule.size == 8


def test_configuration_may_be_wrapped_as_open_clip_does(tmp_path: Path) -> None:
    folder = toys.folder(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    assert read_folder(folder).spec.dim == 4


def test_canonical_text_is_read_from_the_configuration(tmp_path: Path) -> None:
    folder = toys.folder(tmp_path)
    text_cfg = {"context_length": 16, "no_causal_mask": True, "tokenizer_kwargs": {"clean": "canonicalize"}}
    change(folder / "config.json", text_cfg=text_cfg)
    rule = read_folder(folder).spec.text
    assert rule is not None
    assert (rule.canonicalise, rule.lower_case, rule.padding) == (True, True, "context")


def test_what_the_export_wrote_down_is_read(tmp_path: Path) -> None:
    folder = toys.folder(tmp_path)
    said = {"kind": "siglip", "activation": "gelu", "logit_scale": 117.3, "logit_bias": -12.9}
    change(folder / "config.json", seemory=said)
    spec = read_folder(folder).spec
    assert (spec.family, spec.logit_scale, spec.logit_bias) == ("siglip", 117.3, -12.9)


def test_a_sentence_transformers_folder(tmp_path: Path) -> None:
    spec = read_folder(toys.sentence_folder(tmp_path / "s", mode="max_tokens")).spec
    assert (spec.dim, spec.layout, spec.towers) == (4, "sentence-transformers", ("text",))
    assert spec.text is not None
    assert (spec.text.context_length, spec.text.pooling, spec.text.pad_id) == (6, "max", 0)


@pytest.mark.parametrize("tower", ["picture", "text"])
def test_a_tower_may_be_absent(tmp_path: Path, tower: str) -> None:
    folder = read_folder(toys.folder(tmp_path, **{tower: False}))
    assert len(folder.spec.towers) == 1
    assert (folder.image_model is None) is (tower == "picture")


@pytest.mark.parametrize(
    "name",
    ["config.json", "visual/model.onnx", "visual/preprocess_cfg.json", "textual/model.onnx", "textual/tokenizer.json"],
)
@pytest.mark.parametrize("damage", ["missing", "empty"])
def test_a_file_that_is_missing_or_empty_is_named(tmp_path: Path, name: str, damage: str) -> None:
    path = toys.folder(tmp_path) / name
    path.unlink()
    if damage == "empty":
        path.touch()
    with pytest.raises(ModelCorrupt, match=Path(name).name) as caught:
        read_folder(tmp_path)
    assert "again" in str(caught.value)  # it says what to do


@pytest.mark.parametrize(
    "name", ["config.json", "visual/preprocess_cfg.json", "textual/tokenizer_config.json", "calibration.json"]
)
@pytest.mark.parametrize("content", ["{", "[]", "\x00\xff"])
def test_broken_json_is_named(tmp_path: Path, name: str, content: str) -> None:
    folder = toys.folder(tmp_path)
    (folder / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(ModelCorrupt, match=Path(name).name):
        read_folder(folder)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": [8, 9]},
        {"mean": [0.5]},
        {"mean": None},
        {"resize_mode": "stretchy"},
        {"interpolation": "guess"},
        {"size": "big"},
    ],
)
def test_preprocessing_that_makes_no_sense_is_refused(tmp_path: Path, wrong: dict) -> None:
    folder = toys.folder(tmp_path)
    change(folder / "visual/preprocess_cfg.json", **wrong)
    with pytest.raises(ModelCorrupt, match="preprocess_cfg"):
        read_folder(folder)


def test_a_folder_of_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelCorrupt, match=r"config\.json: says 4 wide, but vit-b-32-openai is 512"):
        read_folder(toys.folder(tmp_path), find_spec("vit-b-32-openai"))


def test_a_width_the_weights_do_not_have_is_refused_when_they_load(tmp_path: Path) -> None:
    folder = toys.folder(tmp_path)
    change(folder / "config.json", embed_dim=5)
    encoder = Encoder(read_folder(folder))
    with pytest.raises(ModelCorrupt, match=r"textual.model\.onnx.*5 wide"):
        encoder.embed_texts(["dog"])
    with pytest.raises(ModelCorrupt, match=r"visual.model\.onnx.*5 wide"):
        encoder.embed_pixels(_square(8))


def test_a_preprocessing_of_another_size_is_refused_when_the_tower_loads(tmp_path: Path) -> None:
    folder = toys.folder(tmp_path)
    change(folder / "visual/preprocess_cfg.json", size=16)
    with pytest.raises(ModelCorrupt, match="16 x 16"):
        Encoder(read_folder(folder)).embed_pixels(_square(16))


@pytest.mark.parametrize("tower", ["visual", "textual"])
def test_a_truncated_model_is_refused_when_it_loads(tmp_path: Path, tower: str) -> None:
    folder = toys.folder(tmp_path)
    model = folder / tower / "model.onnx"
    model.write_bytes(model.read_bytes()[: model.stat().st_size // 2])
    encoder = Encoder(read_folder(folder))
    with pytest.raises(ModelCorrupt, match="models pull"):
        encoder.embed_texts(["dog"]) if tower == "textual" else encoder.embed_pixels(_square(8))


def test_a_tokenizer_that_is_none_is_refused(tmp_path: Path) -> None:
    folder = toys.folder(tmp_path)
    (folder / "textual/tokenizer.json").write_text('{"added_tokens": []}')
    with pytest.raises(ModelCorrupt, match=r"tokenizer\.json"):
        Encoder(read_folder(folder)).embed_texts(["dog"])


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    spec = replace(find_spec("vit-b-32-openai"), dim=4)
    with pytest.raises(ModelCorrupt, match="endoftext"):
        Encoder(read_folder(toys.folder(tmp_path), spec)).embed_texts(["dog"])


def test_places_that_are_no_model_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="not a folder"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(ModelCorrupt, match="neither visual"):
        read_folder(tmp_path)
    (tmp_path / "onnx").mkdir()
    with pytest.raises(ModelError, match=r"model\.onnx is missing"):
        read_folder(tmp_path)


def test_two_pooling_modes_are_one_too_many(tmp_path: Path) -> None:
    folder = toys.sentence_folder(tmp_path / "s")
    change(folder / "1_Pooling/config.json", pooling_mode_cls_token=True)
    with pytest.raises(ModelCorrupt, match="exactly one"):
        read_folder(folder)


def test_a_folder_s_own_calibration_goes_before_the_catalogue_s(tmp_path: Path) -> None:
    folder = toys.folder(tmp_path)
    spec = replace(find_spec("vit-b-32-laion2b"), dim=4, text=None)
    four = {"background_mean": 0.1, "background_std": 0.02, "match_mean": 0.4, "match_std": 0.03}
    (folder / "calibration.json").write_text(json.dumps({"text_to_image": four}))
    encoder = Encoder(read_folder(folder, spec))
    assert encoder.calibration("text_to_image") == CosineStatistics(0.1, 0.02, 0.4, 0.03)
    assert encoder.calibration("image_to_image") == spec.calibration["image_to_image"]
    assert encoder.spec.measured == {"text_to_image"}
    (folder / "calibration.json").write_text(json.dumps({"text_to_image": {"background_mean": 0.1}}))
    with pytest.raises(ModelCorrupt, match="four figures"):
        read_folder(folder, spec)
