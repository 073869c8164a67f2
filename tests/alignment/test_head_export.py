"""A head on the real bundled encoder, trained on real photographs, put into use."""

from __future__ import annotations

import csv
import shutil
from uuid import uuid4

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from seemory.alignment.aligner import load_aligner  # noqa: E402
from seemory.alignment.config import TrainConfig  # noqa: E402
from seemory.alignment.export import LEAST, export  # noqa: E402
from seemory.alignment.feature_set import FeatureSet  # noqa: E402
from seemory.alignment.features import SplitRule, make_features  # noqa: E402
from seemory.alignment.nets import EncoderPictures, EncoderTexts  # noqa: E402
from seemory.alignment.training import HEAD, train  # noqa: E402
from seemory.errors import UsageError  # noqa: E402
from seemory.media.image import load_picture  # noqa: E402
from seemory.models.loading import load_encoder  # noqa: E402

SAID = {
    "astronaut": "a woman in an orange space suit",
    "cat": "a striped cat looks into the camera",
    "coffee": "a cup of coffee on a saucer",
    "rocket": "a rocket stands on its pad",
    "motorcycle": "a motorcycle in a garage",
    "galaxies": "galaxies in deep space",
    "temple": "a temple with a curved roof",
    "flower": "a pink flower in a pond",
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, package_photographs):
    """Features of eight photographs, and two runs: by positions and by pooled vectors."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "pictures").mkdir()
    rows = []
    for name, said in SAID.items():
        path = package_photographs[name]
        shutil.copy(path, folder / "pictures" / path.name)
        rows.append((path.name, said))
    with (folder / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "caption"), *rows])
    encoder = load_encoder("seemory-mini", home=folder / "home", threads=1)
    pictures = EncoderPictures(encoder, tokens=True, layer="conv_162", threads=1)
    texts = EncoderTexts(encoder, tokens=False)
    rule = SplitRule(0, 0)
    make_features(folder / "pictures", folder / "captions.csv", folder / "features", pictures, texts, rule=rule)
    heads = {
        "tokens": {"kind": "perceiver", "inner": 32, "hidden": 32, "heads": 2, "latents": 4, "layers": 1},
        "pooled": {"kind": "linear", "input": "pooled", "front": "none"},
    }
    for name, image in heads.items():
        document = {
            "features": [folder / "features"],
            "out": 48,
            "image": image,
            "loss": {"widths": [16]},
            "optimiser": {"rate": 3e-3, "steps": 60, "batch": 8, "warm_up": 5},
            "run": {"threads": 1, "checkpoint_every": 0},
        }
        assert train(TrainConfig.model_validate(document), folder / name).stopped is None
    return folder


@pytest.mark.parametrize("kind", ["tokens", "pooled"])
def test_the_exported_encoder_gives_the_head_s_vectors(trained, kind, package_photographs, tmp_path):
    encoder = load_encoder("seemory-mini", home=tmp_path, threads=1)
    made = export(trained / kind, f"lab-{kind}", home=tmp_path, pictures=encoder, texts=encoder)
    assert made.worst > LEAST
    assert "trained" in (made.folder / "README.md").read_text()
    mine = load_encoder(f"lab-{kind}", home=tmp_path, threads=1)
    assert (mine.dim, mine.has_images, mine.has_texts) == (48, True, True)
    assert mine.spec.family == "aligned"
    aligner, _, _ = load_aligner(trained / kind / HEAD)
    features = FeatureSet([trained / "features"])
    names = [entry.name for entry in features.entries]
    with torch.no_grad():
        wanted = aligner.picture_vectors(features, np.arange(8)).numpy()
        said = aligner.text_vectors(features, np.arange(8)).numpy()
    for side in (wanted, said):
        side /= np.linalg.norm(side, axis=1, keepdims=True)
    images = [load_picture(trained / "pictures" / name, target=mine.image_size).image for name in names]
    found = mine.embed_images(images)
    assert (found * wanted).sum(axis=1).min() > 0.9995  # features are kept as halves
    texts = mine.embed_texts(features.captions)
    assert (texts * said).sum(axis=1).min() > 0.9999
    alone = np.concatenate([mine.embed_texts([text]) for text in features.captions])
    np.testing.assert_allclose(alone, texts, atol=1e-5)


def test_it_is_indexed_searched_and_re_embedded_to_like_any_other(trained, home, new_memory, photos):
    name = f"lab-{uuid4().hex[:12]}"
    encoder = load_encoder("seemory-mini", home=home)
    export(trained / "tokens", name, home=home, pictures=encoder, texts=encoder)
    memory = new_memory()
    memory.index(photos)
    change = memory.reembedding()
    change.start(name)
    change.switch()
    hits = memory.search(SAID["flower"], limit=3, weights={"words": 0.0})
    assert hits[0].uri.endswith("flower.jpg")  # it was trained on this very picture
    assert memory.model_name == name


def test_what_cannot_be_exported_is_refused_and_nothing_is_left(trained, tmp_path):
    from made_encoders import turned

    encoder = load_encoder("seemory-mini", home=tmp_path, threads=1)
    for name, says in (
        ("seemory-mini", "called 'seemory-mini' already"),
        ("../x", "no name for a model"),
        ("", "no name"),
    ):
        with pytest.raises(UsageError, match=says):
            export(trained / "tokens", name, home=tmp_path, pictures=encoder, texts=encoder)
    other = load_encoder(str(turned(tmp_path / "turned")), home=tmp_path, threads=1)
    with pytest.raises(UsageError, match="whose files are others"):
        export(trained / "tokens", "mine", home=tmp_path, pictures=other, texts=encoder)
    assert not (tmp_path / "models.toml").exists()
    assert not list((tmp_path / "models").glob("*mine*"))
    export(trained / "tokens", "mine", home=tmp_path, pictures=encoder, texts=encoder)
    with pytest.raises(UsageError, match="called 'mine' already"):
        export(trained / "tokens", "mine", home=tmp_path, pictures=encoder, texts=encoder)
