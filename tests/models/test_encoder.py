"""The encoder: lazy towers, honest errors, a fingerprint of what changes vectors and of nothing else."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import toys
from PIL import Image

from seemory.errors import ModelCorrupt, ModelError, ModelNotFound, ModelUnavailable, TowerMissing
from seemory.models.catalog import DIRECTIONS, find_spec
from seemory.models.check import check
from seemory.models.encoder import BUNDLED, Encoder
from seemory.models.fingerprint import Hashes, external_files
from seemory.models.folder import ModelFolder, read_folder
from seemory.models.loading import load_encoder, resolve_auto
from seemory.models.session import OnnxSession, Session


def counting(opened: list[str]) -> Callable[[Path, int | None], Session]:
    def open_session(path: Path, threads: int | None) -> Session:
        opened.append(path.parent.name)
        return OnnxSession(path, threads)

    return open_session


def test_gives_unit_vectors_of_the_width(tmp_path: Path) -> None:
    encoder = Encoder(read_folder(toys.folder(tmp_path)))
    images = [Image.new("RGB", (30, 20), colour) for colour in ("red", "navy", "white")]
    for vectors in (encoder.embed_images(images), encoder.embed_texts(["dog", "cat", "house"])):
        assert (vectors.shape, vectors.dtype) == ((3, 4), np.float32)
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert encoder.embed_texts([]).shape == encoder.embed_images([]).shape == (0, 4)
    assert encoder.preprocess(images[0]).shape == (8, 8, 3)


def test_a_text_query_does_not_load_the_picture_tower(tmp_path: Path) -> None:
    opened: list[str] = []
    encoder = Encoder(read_folder(toys.folder(tmp_path)), open_session=counting(opened))
    assert encoder.fingerprint
    assert opened == []
    encoder.embed_texts(["dog"])
    encoder.embed_texts(["cat"])
    assert opened == ["textual"]
    encoder.embed_images([Image.new("RGB", (9, 9))])
    assert opened == ["textual", "visual"]


def test_a_tower_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    words = Encoder(read_folder(toys.folder(tmp_path / "words", picture=False)))
    assert (words.has_texts, words.has_images) == (True, False)
    for call in (
        lambda: words.image_size,
        lambda: words.embed_images([]),
        lambda: words.preprocess(Image.new("L", (1, 1))),
    ):
        with pytest.raises(TowerMissing, match="no image tower"):
            call()
    pictures = Encoder(read_folder(toys.folder(tmp_path / "pictures", text=False)))
    with pytest.raises(TowerMissing, match="no text tower"):
        pictures.embed_texts(["dog"])


@pytest.mark.parametrize("weights", [float("nan"), float("inf"), 0.0])
def test_vectors_that_mean_nothing_are_refused(tmp_path: Path, weights: float) -> None:
    folder = toys.folder(tmp_path)
    toys.picture_tower(folder / "visual/model.onnx", weights=weights)
    toys.text_tower(folder / "textual/model.onnx", weights=weights)
    encoder = Encoder(read_folder(folder))
    with pytest.raises(ModelError, match="text 0 of 1 came out zero or not finite"):
        encoder.embed_texts(["dog"])
    with pytest.raises(ModelError, match="picture 0 of 1"):
        encoder.embed_images([Image.new("RGB", (9, 9), "red")])


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 7, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8), np.zeros((1, 8, 8, 3))]
)
def test_pixels_of_another_shape_are_refused(tmp_path: Path, wrong: np.ndarray) -> None:
    with pytest.raises(ModelError, match=r"takes \(n, 8, 8, 3\) uint8"):
        Encoder(read_folder(toys.folder(tmp_path))).embed_pixels(wrong)


def test_one_text_is_not_a_sequence_of_letters(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="sequence"):
        Encoder(read_folder(toys.folder(tmp_path))).embed_texts("dog")


def test_the_fingerprint_follows_the_content_and_not_the_place(tmp_path: Path) -> None:
    first = toys.folder(tmp_path / "one")
    second = tmp_path / "elsewhere" / "two"
    shutil.copytree(first, second)
    four = {"background_mean": 0.1, "background_std": 0.02, "match_mean": 0.4, "match_std": 0.03}
    (second / "calibration.json").write_text(json.dumps({"text_to_image": four}))  # changes scores, not vectors
    (second / "textual/readme.md").write_text("a stray file")
    assert Encoder(read_folder(first)).fingerprint == Encoder(read_folder(second)).fingerprint


def _picture_weights(folder: Path) -> None:
    toys.picture_tower(folder / "visual/model.onnx", weights=2)


def _text_weights(folder: Path) -> None:
    toys.text_tower(folder / "textual/model.onnx", weights=2)


def _tokenizer(folder: Path) -> None:
    toys.tokenizer(folder / "textual/tokenizer.json", special=False)


def _value(name: str, key: str, value: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        document = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(document | {key: value}))

    return change


@pytest.mark.parametrize(
    "change",
    [
        _picture_weights,
        _text_weights,
        _tokenizer,
        _value("visual/preprocess_cfg.json", "mean", [0.4, 0.5, 0.5]),
        _value("visual/preprocess_cfg.json", "resize_mode", "squash"),
        _value("visual/preprocess_cfg.json", "interpolation", "bilinear"),
        _value("textual/tokenizer_config.json", "pad_token", "[UNK]"),
        _value("config.json", "text_cfg", {"context_length": 15, "pool_type": "mean"}),
        _value("config.json", "text_cfg", {"context_length": 16, "pool_type": "last"}),
        lambda folder: shutil.rmtree(folder / "visual"),
    ],
)
def test_the_fingerprint_changes_with_each_thing_that_changes_vectors(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    folder = toys.folder(tmp_path)
    before = Encoder(read_folder(folder)).fingerprint
    change(folder)
    assert Encoder(read_folder(folder)).fingerprint != before


def test_the_fingerprint_of_weights_in_another_file(tmp_path: Path) -> None:
    from onnx import load, save

    folder = toys.folder(tmp_path)
    path = folder / "textual/model.onnx"
    save(load(str(path)), str(path), save_as_external_data=True, location="weights.bin", size_threshold=100)
    assert external_files(path) == [folder / "textual/weights.bin"]
    encoder = Encoder(read_folder(folder))
    before, vector = encoder.fingerprint, encoder.embed_texts(["dog"])
    data = bytearray((folder / "textual/weights.bin").read_bytes())
    data[40:44] = np.float32(3.0).tobytes()
    (folder / "textual/weights.bin").write_bytes(data)
    after = Encoder(read_folder(folder))
    assert after.fingerprint != before
    assert vector.shape == after.embed_texts(["dog"]).shape


def test_checksums_are_remembered_until_the_file_changes(tmp_path: Path) -> None:
    cache, path = tmp_path / "cache" / "hashes.json", tmp_path / "weights"
    path.write_bytes(b"one")
    first = Hashes(cache).sha256(path)
    # A file with the same size and time is not read again, which is what makes starting cheap.
    stat = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert Hashes(cache).sha256(path) == first
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert Hashes(cache).sha256(path) != first
    cache.write_text("{broken")
    assert Hashes(cache).sha256(path) != first


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    assert Hashes(tmp_path / "file" / "hashes.json").sha256(path) == Hashes().sha256(path)


def test_loads_a_folder_by_its_path(tmp_path: Path) -> None:
    folder = toys.folder(tmp_path / "mine")
    encoder = load_encoder(str(folder), home=tmp_path / "home", threads=1)
    assert (encoder.name, encoder.dim) == ("mine", 4)
    assert encoder.fingerprint == Encoder(read_folder(folder)).fingerprint
    assert (tmp_path / "home/models/hashes.json").is_file()


def test_loads_a_catalogue_model_that_was_put_into_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(
        '[model.toy]\nfamily = "toy"\nrepo = "me/toy"\nlicence = "MIT"\ndim = 4\npreprocess = { size = 8 }\n'
        'text = { tokenizer = "bert", context_length = 9, padding = "longest", pooling = "mean" }\n'
    )
    toys.folder(tmp_path / "models/toy")
    encoder = load_encoder("toy", home=tmp_path, offline=True)
    assert encoder.embed_texts(["dog"]).shape == (1, 4)


def test_a_model_that_cannot_be_had_offline_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable):
        load_encoder("vit-b-32-openai", home=tmp_path, offline=True)
    with pytest.raises(ModelNotFound, match="Near it"):
        load_encoder("vit-b-32-opnai", home=tmp_path, offline=True)


def test_a_folder_with_a_known_model_s_name_is_held_to_that_model(tmp_path: Path) -> None:
    with pytest.raises(ModelCorrupt, match="vit-b-32-openai is 512 wide"):
        load_encoder(str(toys.folder(tmp_path / "ViT-B-32__openai")), home=tmp_path)


def test_the_bundled_model_is_sound_and_needs_no_network(tmp_path: Path) -> None:
    encoder = load_encoder(BUNDLED, home=tmp_path, offline=True)
    assert (encoder.has_images, encoder.has_texts, encoder.name) == (True, True, BUNDLED)
    assert [finding for finding in check(encoder) if not finding.ok] == []
    assert encoder.spec.measured == set(DIRECTIONS)
    # What is padding must have no effect: alone as beside a longer text.
    alone, beside = encoder.embed_texts(["a dog"]), encoder.embed_texts(["a dog", "a red house on the beach at night"])
    assert np.allclose(alone[0], beside[0], atol=1e-5)


def test_auto_is_the_bundled_model_without_a_network_and_says_so(tmp_path: Path) -> None:
    name, line = resolve_auto(home=tmp_path, offline=True)
    assert name == BUNDLED
    assert line is not None
    assert "models pull" in line
    assert "\n" not in line


def test_auto_is_the_default_when_it_is_on_disk(tmp_path: Path) -> None:
    default = find_spec("vit-b-32-laion2b")
    toys.folder(tmp_path / "models" / default.name, dim=512, size=224)
    assert resolve_auto(home=tmp_path, offline=True) == (default.name, None)


def test_the_record_names_model_and_weights_apart(tmp_path: Path) -> None:
    folder = read_folder(toys.folder(tmp_path))
    spec = replace(folder.spec, name="vit-b-32-openai", aliases=("ViT-B-32__openai",))
    record = Encoder(ModelFolder(tmp_path, spec)).record(frame_path="a.jpg", inference_time_ms=1.5)
    assert (record.model_name, record.pretrained, record.embed_dim, record.error) == ("ViT-B-32", "openai", 4, None)
    assert Encoder(folder).record(error="broken").model_name == folder.spec.name
