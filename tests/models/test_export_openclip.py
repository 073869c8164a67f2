"""OpenCLIP's and OpenAI's state dicts: renamed, exported, and compared with arithmetic on the original names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from test_export import WORDS, clip_checkpoint, expected_pictures, pictures

from seemory.errors import ModelCorrupt, ModelNotFound, UsageError
from seemory.models.export import export, graphs, openclip, verify
from seemory.models.export import source as sources
from seemory.models.loading import load_encoder

# What open_clip's `CLIP(...).state_dict()` has for one block of each tower, and around the blocks
# (mlfoundations/open_clip, model.py and transformer.py).
BLOCK = [
    *(f"ln_{n}.{leaf}" for n in (1, 2) for leaf in ("weight", "bias")),
    *(f"attn.in_proj_{leaf}" for leaf in ("weight", "bias")),
    *(f"{part}.{leaf}" for part in ("attn.out_proj", "mlp.c_fc", "mlp.c_proj") for leaf in ("weight", "bias")),
]
AROUND = [
    "positional_embedding",
    "text_projection",
    "logit_scale",
    "visual.class_embedding",
    "visual.positional_embedding",
    "visual.proj",
    "visual.conv1.weight",
    "token_embedding.weight",
    *(f"{norm}.{leaf}" for norm in ("visual.ln_pre", "visual.ln_post", "ln_final") for leaf in ("weight", "bias")),
]


def openclip_names(model: Any) -> dict[str, Any]:
    """A CLIPModel's weights as open_clip names them: written from its module tree, not from our mapping."""
    state: dict[str, Any] = {"logit_scale": model.logit_scale}
    text, vision = model.text_model, model.vision_model
    state["positional_embedding"] = text.embeddings.position_embedding.weight
    state["token_embedding.weight"] = text.embeddings.token_embedding.weight
    state["text_projection"] = model.text_projection.weight.T
    state["visual.class_embedding"] = vision.embeddings.class_embedding
    state["visual.positional_embedding"] = vision.embeddings.position_embedding.weight
    state["visual.conv1.weight"] = vision.embeddings.patch_embedding.weight
    state["visual.proj"] = model.visual_projection.weight.T
    norms = {"visual.ln_pre": vision.pre_layrnorm, "visual.ln_post": vision.post_layernorm}
    for name, norm in {**norms, "ln_final": text.final_layer_norm}.items():
        state[f"{name}.weight"], state[f"{name}.bias"] = norm.weight, norm.bias
    for prefix, tower in (("", text), ("visual.", vision)):
        for at, layer in enumerate(tower.encoder.layers):
            block, attention = f"{prefix}transformer.resblocks.{at}", layer.self_attn
            parts = {"ln_1": layer.layer_norm1, "ln_2": layer.layer_norm2, "attn.out_proj": attention.out_proj}
            parts |= {"mlp.c_fc": layer.mlp.fc1, "mlp.c_proj": layer.mlp.fc2}
            for leaf in ("weight", "bias"):
                fused = [getattr(one, leaf) for one in (attention.q_proj, attention.k_proj, attention.v_proj)]
                state[f"{block}.attn.in_proj_{leaf}"] = torch.cat(fused)
                for name, part in parts.items():
                    state[f"{block}.{name}.{leaf}"] = getattr(part, leaf)
    return {name: tensor.detach().clone().contiguous() for name, tensor in state.items()}


def model_cfg(quick: bool) -> dict[str, Any]:
    return {
        "embed_dim": 48,
        "quick_gelu": quick,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8},
        "text_cfg": {"context_length": 24, "vocab_size": 517, "width": 64, "heads": 1, "layers": 2},
    }


def openclip_folder(folder: Path, quick: bool = False, **changes: Any) -> Any:
    """An OpenCLIP checkpoint folder; returns the CLIPModel with the same weights."""
    model = clip_checkpoint(folder, "quick_gelu" if quick else "gelu")
    for name in ("config.json", "model.safetensors", "preprocessor_config.json"):
        (folder / name).unlink()
    save_file(openclip_names(model), folder / "open_clip_model.safetensors")
    cfg = model_cfg(quick)
    for key, value in changes.items():
        part, _, name = key.partition("__")
        cfg[part][name] = value
    preprocess = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.25], "interpolation": "bicubic", "resize_mode": "squash"}
    document = {"model_cfg": cfg, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(document))
    return model


@pytest.mark.parametrize("quick", [True, False])
def test_an_openclip_folder(tmp_path: Path, quick: bool) -> None:
    model = openclip_folder(tmp_path / "open", quick)
    report = export(tmp_path / "open", tmp_path / "out")
    assert report.image_cosine is not None
    assert min(report.image_cosine, report.text_cosine or 0) > 0.99999
    encoder = load_encoder(str(report.folder), home=tmp_path)
    rule = encoder.spec.preprocess
    assert rule is not None
    assert (rule.resize_mode, rule.mean) == ("squash", (0.5, 0.4, 0.3))
    assert np.abs(encoder.embed_images(pictures()) - expected_pictures(model, encoder)).max() < 1e-5
    config = json.loads((report.folder / "config.json").read_text())
    assert config["quick_gelu"] == quick
    assert config["seemory"]["logit_scale"] == pytest.approx(float(model.logit_scale.detach().exp()))


def test_the_same_folder_as_from_transformers(tmp_path: Path) -> None:
    clip_checkpoint(tmp_path / "theirs", "quick_gelu")
    openclip_folder(tmp_path / "open", quick=True)
    one = load_encoder(str(export(tmp_path / "theirs", tmp_path / "a").folder), home=tmp_path)
    other = load_encoder(str(export(tmp_path / "open", tmp_path / "b").folder), home=tmp_path)
    assert np.abs(one.embed_texts(WORDS) - other.embed_texts(WORDS)).max() < 1e-5


def test_names_are_open_clips() -> None:
    from transformers import CLIPConfig, CLIPModel

    names = {
        *AROUND,
        *(f"{tower}transformer.resblocks.{at}.{part}" for tower in ("", "visual.") for at in (0, 1) for part in BLOCK),
    }
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 1}
    model = CLIPModel(CLIPConfig(text_config=sizes, vision_config=sizes | {"image_size": 32, "patch_size": 8}))
    state = openclip_names(model)
    assert set(state) == names
    back = openclip.to_transformers(state)
    for name, tensor in model.state_dict().items():
        if not name.endswith("position_ids"):
            assert torch.equal(back.pop(name), tensor)
    assert back == {}


@pytest.mark.parametrize("part", ["visual.proj", "text_projection", "attn.in_proj_weight", "mlp.c_proj.bias"])
def test_a_wrong_conversion_would_be_noticed(tmp_path: Path, part: str) -> None:
    """The comparison goes round the conversion, so an error in it cannot hide: here one tensor is turned over."""
    openclip_folder(tmp_path / "open")
    source = sources.read(tmp_path / "open")
    path = tmp_path / "open" / "open_clip_model.safetensors"
    state = openclip.load_weights(path)
    name = next(name for name in state if name.endswith(part))
    turned = openclip.to_model(path, state | {name: state[name].flip(0)}, source.model_cfg)
    for model, faithful in ((source.model, True), (turned, False)):
        source = replace(source, model=model)
        graphs.write_image_tower(source, tmp_path / "out" / "visual" / "model.onnx")
        graphs.write_text_tower(source, tmp_path / "out" / "textual" / "model.onnx")
        if faithful:
            verify.verify(source, tmp_path / "out")
        else:
            with pytest.raises(ModelCorrupt, match="not faithful"):
                verify.verify(source, tmp_path / "out")


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_training_checkpoint_in_a_pickle(tmp_path: Path, prefix: str) -> None:
    model = openclip_folder(tmp_path / "open")
    (tmp_path / "open" / "open_clip_model.safetensors").unlink()
    state = {prefix + name: tensor for name, tensor in openclip_names(model).items()}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "open" / "open_clip_pytorch_model.bin")
    assert export(tmp_path / "open", tmp_path / "out").dim == 48


def test_a_text_tower_of_its_own_name(tmp_path: Path) -> None:
    model = openclip_folder(tmp_path / "open")
    own = ("transformer.", "token_embedding.", "positional_embedding", "ln_final.", "text_projection")
    state = {f"text.{name}" if name.startswith(own) else name: value for name, value in openclip_names(model).items()}
    save_file(state, tmp_path / "open" / "open_clip_model.safetensors")
    assert export(tmp_path / "open", tmp_path / "out").dim == 48


def test_openais_own_state_dict_in_half_precision(tmp_path: Path) -> None:
    model = openclip_folder(tmp_path / "open", quick=True)
    state = {name: tensor.half() for name, tensor in openclip_names(model).items()}
    numbers = {
        "input_resolution": torch.tensor(32),
        "context_length": torch.tensor(24),
        "vocab_size": torch.tensor(517),
    }
    (tmp_path / "open" / "open_clip_config.json").unlink()
    torch.save(state | numbers, tmp_path / "open" / "ViT-tiny.pt")
    report = export(tmp_path / "open" / "ViT-tiny.pt", tmp_path / "out")
    config = json.loads((report.folder / "config.json").read_text())
    assert config["quick_gelu"] is True  # OpenAI's weights were trained with it, and the file has the marks of theirs
    encoder = load_encoder(str(report.folder), home=tmp_path)
    with torch.no_grad():
        rule = encoder.spec.preprocess
        assert rule is not None
        assert rule.mean == pytest.approx((0.48145466, 0.4578275, 0.40821073))
    cosines = (encoder.embed_images(pictures()) * expected_pictures(model, encoder)).sum(1)
    assert cosines.min() > 0.999  # half precision moved the weights themselves


def test_a_bare_state_dict_does_not_say_its_activation(tmp_path: Path) -> None:
    model = openclip_folder(tmp_path / "open")
    (tmp_path / "open" / "open_clip_config.json").unlink()
    save_file(openclip_names(model), tmp_path / "open" / "weights.safetensors")
    with pytest.raises(UsageError, match="QuickGELU or GELU"):
        export(tmp_path / "open" / "weights.safetensors", tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vision_cfg__timm_model_name": "vit_base_patch16_siglip_224"}, "timm_model_name"),
        ({"vision_cfg__attentional_pool": True}, "attentional_pool"),
        ({"vision_cfg__no_ln_pre": True}, "no_ln_pre"),
        ({"vision_cfg__layers": [3, 4, 6, 3]}, "vision_cfg.layers"),
        ({"vision_cfg__norm_kwargs": {"eps": 1e-6}}, "norm_kwargs"),
        ({"text_cfg__hf_model_name": "xlm-roberta-base"}, "hf_model_name"),
        ({"text_cfg__no_causal_mask": True}, "no_causal_mask"),
        ({"text_cfg__pool_type": "last"}, "pool_type"),
        ({"text_cfg__width": 128}, "text_cfg.width = 128, the weights say 64"),
    ],
)
def test_what_is_no_plain_vit_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    openclip_folder(tmp_path / "open", **changes)
    with pytest.raises((UsageError, ModelCorrupt), match=words):
        export(tmp_path / "open", tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "words"),
    [("visual.trunk.blocks.0.norm1.weight", "timm"), ("visual.layer1.0.conv1.weight", "ResNet"), ("cls_emb", "CoCa")],
)
def test_other_families_are_told_by_their_weights(tmp_path: Path, name: str, words: str) -> None:
    model = openclip_folder(tmp_path / "open")
    save_file(openclip_names(model) | {name: torch.zeros(2)}, tmp_path / "open" / "open_clip_model.safetensors")
    with pytest.raises(UsageError, match=words):
        export(tmp_path / "open", tmp_path / "out")


def test_missing_unknown_and_damaged_weights(tmp_path: Path) -> None:
    model = openclip_folder(tmp_path / "open")
    path = tmp_path / "open" / "open_clip_model.safetensors"
    good = openclip_names(model)
    save_file({name: value for name, value in good.items() if "1.mlp.c_fc.bias" not in name}, path)
    with pytest.raises(ModelCorrupt, match="weights missing"):
        export(tmp_path / "open", tmp_path / "out")
    save_file({name: value for name, value in good.items() if name != "visual.proj"}, path)
    with pytest.raises(ModelCorrupt, match=r"lacks visual\.proj"):
        export(tmp_path / "open", tmp_path / "out")
    save_file(good | {"transformer.resblocks.0.ls_1.gamma_weight": torch.ones(2)}, path)
    with pytest.raises(UsageError, match="no plain CLIP block"):
        export(tmp_path / "open", tmp_path / "out")
    path.write_bytes(b"\0" * 100)
    with pytest.raises(ModelCorrupt, match="damaged"):
        export(tmp_path / "open", tmp_path / "out")
    path.unlink()
    with pytest.raises(ModelNotFound, match="has neither"):
        export(tmp_path / "open", tmp_path / "out")


def test_a_pickle_that_would_run_code_is_not_run(tmp_path: Path) -> None:
    import pickle

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    openclip_folder(tmp_path / "open")
    (tmp_path / "open" / "open_clip_model.safetensors").unlink()
    (tmp_path / "open" / "open_clip_pytorch_model.bin").write_bytes(pickle.dumps({"state_dict": Trap()}))
    with pytest.raises(ModelCorrupt, match="never run"):
        export(tmp_path / "open", tmp_path / "out")
    assert not (tmp_path / "ran").exists()


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    openclip_folder(tmp_path / "open")
    path = tmp_path / "open" / "vocab.json"
    words = json.loads(path.read_text())
    words["<|endoftext|>"], words["x</w>"] = words["x</w>"], words["<|endoftext|>"]
    path.write_text(json.dumps(words))
    with pytest.raises(UsageError, match="different models"):
        export(tmp_path / "open", tmp_path / "out")
