"""Features of real photographs by the real bundled encoder."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest

from seemory.alignment.feature_set import FeatureSet
from seemory.alignment.features import SplitRule, make_features
from seemory.alignment.nets import EncoderPictures, EncoderTexts
from seemory.alignment.shards import open_shard, write_shard
from seemory.errors import UsageError
from seemory.media.image import load_picture
from seemory.models.loading import load_encoder

pytest.importorskip("onnx")
pytest.importorskip("safetensors")

SAID = {
    "cat": ["a cat looks into the camera", "a striped cat"],
    "coffee": ["a cup of coffee on a saucer"],
    "flower": ["a pink flower", "petals"],
    "temple": ["a temple", "a pagoda behind trees", "a roof"],
}


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    encoder = load_encoder("seemory-mini", home=tmp_path_factory.mktemp("home"), threads=1)
    return EncoderPictures(encoder, tokens=True, threads=1), EncoderTexts(encoder, tokens=False), encoder


@pytest.fixture
def pictures(tmp_path, package_photographs):
    """A folder with captions, in which one picture is there twice and one is damaged."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rows = []
    for name, captions in SAID.items():
        path = package_photographs[name]
        shutil.copy(path, folder / path.name)
        rows += [(path.name, caption) for caption in captions]
    shutil.copy(package_photographs["cat"], folder / "again.png")
    (folder / "damaged.jpg").write_bytes(b"\xff\xd8 damaged")
    rows += [("again.png", "the cat once more"), ("damaged.jpg", "nothing"), ("absent.jpg", "nothing")]
    with (tmp_path / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "caption"), *rows])
    return folder


def test_features_are_the_encoder_s_own_and_nothing_is_made_twice(pictures, nets, tmp_path):
    images, texts, encoder = nets
    out = tmp_path / "features"
    first = make_features(pictures, tmp_path / "captions.csv", out, images, texts, rule=SplitRule(0.4, 0.3))
    assert (first.pictures, first.captions, first.made) == (5, 9, 4)  # the cat's bytes once
    assert set(first.failed) == {"damaged.jpg", "absent.jpg"}
    assert all(first.failed.values())
    again = make_features(pictures, tmp_path / "captions.csv", out, images, texts, rule=SplitRule(0.4, 0.3))
    assert again.made == 0
    assert again.failed == first.failed

    found = FeatureSet([out])
    names = [entry.name for entry in found.entries]
    rows = np.arange(len(names))
    square = encoder.preprocess(load_picture(pictures / "coffee.png", target=encoder.image_size).image)
    wanted = encoder.embed_pixels(square[None])[0]
    np.testing.assert_allclose(found.picture_pooled(rows)[names.index("coffee.png")], wanted, atol=1e-6)
    tokens = found.picture_tokens(rows)
    assert tokens.shape == (5, 25, 1280)
    np.testing.assert_array_equal(tokens[names.index("again.png")], tokens[names.index("chelsea.png")])
    captions = [found.captions[n] for n in found.entries[names.index("china.jpg")].captions]
    assert captions == SAID["temple"]
    number = found.captions.index("a striped cat")
    np.testing.assert_allclose(
        found.text_pooled(np.array([number]))[0], encoder.embed_texts(["a striped cat"])[0], atol=1e-6
    )
    splits = {entry.name: entry.split for entry in found.entries}
    assert splits["again.png"] == splits["chelsea.png"]


def test_tokens_pool_to_what_the_tower_pools(nets, package_photographs):
    """The positions are read where the tower itself takes its mean: from there on the rest is the tower's own."""
    import onnx
    import onnxruntime

    images, _, encoder = nets
    assert images.cut is not None
    square = encoder.preprocess(load_picture(package_photographs["cat"], target=encoder.image_size).image)
    shown = images.show(square[None])
    model = onnx.load(str(encoder.folder.image_model))
    pooling = next(node for node in model.graph.node if images.cut.layer in node.input and node.op_type == "ReduceMean")
    model.graph.output.append(onnx.helper.make_tensor_value_info(pooling.output[0], 1, ["batch", 1280]))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rule = encoder.spec.preprocess
    pixels = ((square / 255.0 - rule.mean) / rule.std).transpose(2, 0, 1)[None].astype(np.float32)
    (mean,) = session.run([pooling.output[0]], {session.get_inputs()[0].name: pixels})
    np.testing.assert_allclose(shown.tokens.mean(axis=1), mean.reshape(1, -1), atol=1e-4)


def test_another_layer_is_another_fingerprint_and_cannot_be_mixed(pictures, nets, tmp_path):
    images, texts, encoder = nets
    earlier = EncoderPictures(encoder, tokens=True, layer="conv_162", threads=1)
    assert earlier.fingerprint != images.fingerprint
    assert (earlier.cut.positions, earlier.cut.width) == (25, 320)
    make_features(pictures, tmp_path / "captions.csv", tmp_path / "one", images, texts)
    make_features(pictures, tmp_path / "captions.csv", tmp_path / "two", earlier, texts)
    with pytest.raises(UsageError, match="another encoder or layer"):
        FeatureSet([tmp_path / "one", tmp_path / "two"])
    with pytest.raises(UsageError, match="no tensor 'nonsense'"):
        EncoderPictures(encoder, tokens=True, layer="nonsense")


def test_a_picture_that_is_trained_on_here_and_tested_with_there_is_refused(pictures, nets, tmp_path):
    images, texts, _ = nets
    make_features(pictures, tmp_path / "captions.csv", tmp_path / "one", images, texts, rule=SplitRule(0, 0))
    make_features(
        pictures, tmp_path / "captions.csv", tmp_path / "two", images, texts, rule=SplitRule(0, 0, reserve_every=1)
    )
    with pytest.raises(UsageError, match="the same picture"):
        FeatureSet([tmp_path / "one", tmp_path / "two"])


def test_pooled_features_alone(pictures, nets, tmp_path):
    _, texts, encoder = nets
    plain = EncoderPictures(encoder, tokens=False)
    make_features(pictures, tmp_path / "captions.csv", tmp_path / "out", plain, texts)
    found = FeatureSet([tmp_path / "out"])
    assert found.picture_width == {"pooled": 256}
    with pytest.raises(UsageError, match="pooled features alone"):
        found.picture_tokens(np.array([0]))
    with pytest.raises(UsageError, match="without positions"):
        EncoderTexts(encoder, tokens=True)


def test_a_shard_that_does_not_fit_is_refused(pictures, nets, tmp_path):
    images, texts, _ = nets
    out = tmp_path / "out"
    make_features(pictures, tmp_path / "captions.csv", out, images, texts)
    shard = next(out.glob("pictures-*.safetensors"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match="no shard of features"):
        FeatureSet([out])
    shard.write_bytes(whole)
    told = open_shard(shard, ("pooled", "tokens"))
    write_shard(shard, {name: np.asarray(t)[1:] for name, t in told.tensors.items()}, told.contents, {})
    with pytest.raises(UsageError, match="rows for 4 contents"):
        FeatureSet([out])
    document = json.loads((out / "features.json").read_text())
    document["pictures"]["shards"] = ["../elsewhere.safetensors"]
    (out / "features.json").write_text(json.dumps(document))
    with pytest.raises(UsageError, match="outside its folder"):
        FeatureSet([out])


def test_the_teacher_s_positions(shared, package_photographs):
    pytest.importorskip("ai_edge_litert")
    from seemory.alignment.tflite import TfliteNet

    net = TfliteNet(shared / "teacher" / "mobilenet_v2_1.0_224_quant.tflite")
    square = net.square(load_picture(package_photographs["cat"], target=net.side).image)
    shown = net.show(square[None])
    assert shown.tokens.shape == (1, 49, 1280)
    assert shown.tokens.min() >= 0
    np.testing.assert_allclose(np.linalg.norm(shown.pooled, axis=1), 1, atol=1e-5)
    logits, _ = net.logits_and_map(square)
    assert 282 <= int(logits.argmax()) <= 287  # one of ImageNet's cats, the background first
