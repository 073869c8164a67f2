"""OpenCLIP's and OpenAI's Vision Transformers as transformers' CLIPModel, which the exporter traces.

Names and shapes are those of open_clip's `model.py` and `transformer.py` (mlfoundations/open_clip).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seemory.errors import ModelCorrupt, ModelNotFound, UsageError
from seemory.models.export.checkpoint import CLIP_MEAN, CLIP_STD, Checkpoint, document
from seemory.models.export.openclip_forward import EPS, State, encode_image, encode_text, layers

_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_FILTERS = ("bicubic", "bilinear", "lanczos")
# What a configuration may say without changing the arithmetic below; anything else that is set is refused by name.
_VISION_KEYS = {"layers", "width", "head_width", "mlp_ratio", "patch_size", "image_size", "patch_dropout"}
_TEXT_KEYS = {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio", "tokenizer_kwargs"}
_TEXT_KEYS |= {"hf_tokenizer_name", "pad_id", "bos_id", "eos_id", "variable_text"}
_HARMLESS = {"output_tokens", "norm_kwargs", "timm_model_pretrained", "hf_model_pretrained", "tokenizer_mode"}
_HARMLESS |= {"attn_pooler_queries", "attn_pooler_heads", "tokenizer_type", "tiktoken_name"}
_PLAIN = {"pool_type": {"tok", "argmax", "eos"}, "pos_embed_type": {"learnable", "sin_cos_2d"}, "proj_type": {"linear"}}
_PLAIN |= {"timm_pool": {"avg", ""}, "timm_proj": {"linear", ""}, "text_arch": {"clip"}}

_OUTER = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "visual.ln_pre": "vision_model.pre_layrnorm",
    "visual.ln_post": "vision_model.post_layernorm",
    "ln_final": "text_model.final_layer_norm",
}
_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}


def read(folder: Path, weights: Path | None = None) -> Checkpoint:
    """The checkpoint of an OpenCLIP folder, or of one weights file beside its tokenizer and, maybe, configuration.

    Raises `UsageError` for what is no plain ViT (ResNets, timm trunks, attention pooling, other text towers) and
    `ModelCorrupt` for weights that cannot be read or do not fit.
    """
    weights = weights or next((folder / name for name in _WEIGHTS if (folder / name).exists()), None)
    if weights is None:
        raise ModelNotFound(f"{folder} has neither {' nor '.join(_WEIGHTS)}")
    said = document(folder / "open_clip_config.json")
    if "model_cfg" in said:
        _refuse_other_settings(folder, said["model_cfg"])
    state = _bare(load_weights(weights))
    _refuse_other_families(weights, state)
    cfg = said.get("model_cfg") or _configuration(weights, state)
    model_cfg = _filled(cfg, state)
    image_size = model_cfg["vision_cfg"]["image_size"]
    given = said.get("preprocess_cfg") or {}
    preprocess = {
        "size": [image_size, image_size],
        "mode": "RGB",
        "mean": given.get("mean") or CLIP_MEAN,
        "std": given.get("std") or CLIP_STD,
        "interpolation": given.get("interpolation") or "bicubic",
        "resize_mode": given.get("resize_mode") or "shortest",
        "fill_color": 0,
    }
    if preprocess["resize_mode"] not in ("shortest", "squash") or preprocess["interpolation"] not in _FILTERS:
        raise UsageError(
            f"{folder}: resizing by {preprocess['interpolation']} to {preprocess['resize_mode']} is not supported"
        )
    text = model_cfg["text_cfg"]
    return Checkpoint(
        kind="clip",
        source=str(weights),
        folder=folder,
        model=to_model(weights, state, model_cfg),
        dim=model_cfg["embed_dim"],
        context_length=text["context_length"],
        vocab_size=text["vocab_size"],
        model_cfg=model_cfg,
        text_reference=lambda ids, _mask: encode_text(state, model_cfg, ids),
        image_reference=lambda pixels: encode_image(state, model_cfg, pixels),
        preprocess=preprocess,
        end_id=text["eos_id"] if text.get("pool_type") == "eos" else text["vocab_size"] - 1,
    )


def load_weights(path: Path) -> dict[str, Any]:
    """The tensors in a file by name. Pickles are read as data only; one that wants to run code is refused."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, EOFError) as error:
        raise ModelCorrupt(f"{path} is damaged: {error}") from error
    except Exception as error:  # pickle errors have no common base that torch keeps to
        raise ModelCorrupt(
            f"{path} cannot be read as plain tensors (it may be damaged, a TorchScript archive, or carry code, which "
            f"is never run): save its state_dict as safetensors first. {type(error).__name__}: {str(error)[:200]}"
        ) from error
    if not isinstance(found, dict):
        raise ModelCorrupt(f"{path} holds no state dict but a {type(found).__name__}")
    inner = found.get("state_dict", found)
    return dict(inner)


def to_transformers(state: State) -> State:
    """The same tensors under transformers' names: fused projections split, the two output projections transposed."""
    renamed: State = {"logit_scale": state["logit_scale"].reshape(())}
    renamed["visual_projection.weight"] = state["visual.proj"].T.contiguous()
    renamed["text_projection.weight"] = state["text_projection"].T.contiguous()
    for name, tensor in state.items():
        if name in _OUTER:
            renamed[_OUTER[name]] = tensor
        elif (stem := name.rpartition(".")[0]) in _OUTER:
            renamed[f"{_OUTER[stem]}.{name.rpartition('.')[2]}"] = tensor
        elif match := re.fullmatch(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.+?)[._](weight|bias)", name):
            tower, layer, part, leaf = match.groups()
            block = f"{'vision' if tower else 'text'}_model.encoder.layers.{layer}"
            if part == "attn.in_proj":
                for letter, third in zip("qkv", tensor.chunk(3), strict=True):
                    renamed[f"{block}.self_attn.{letter}_proj.{leaf}"] = third.contiguous()
            elif part in _BLOCK:
                renamed[f"{block}.{_BLOCK[part]}.{leaf}"] = tensor
            else:
                raise UsageError(f"{name} belongs to no plain CLIP block")
    return renamed


def _bare(state: Mapping[str, Any]) -> State:
    """Without what training wrappers put before the names (`module.`, CustomTextCLIP's `text.`), in float32."""
    bare: State = {}
    for name, tensor in state.items():
        short = re.sub(
            r"^(_orig_mod\.)?(module\.)?(text\.(?=transformer|token_emb|positional|ln_final|text_proj))?", "", name
        )
        bare[short] = tensor.float() if getattr(tensor, "is_floating_point", lambda: False)() else tensor
    return bare


def _refuse_other_families(path: Path, state: State) -> None:
    for sign, family in (
        ("visual.trunk.", "a timm image tower (SigLIP, EVA, ConvNeXt …); take transformers' form of the same model"),
        ("visual.layer1.", "a ResNet image tower"),
        ("visual.attn_pool", "attention pooling"),
        ("text.", "a text tower that is not CLIP's"),
        ("text_decoder.", "CoCa"),
        ("cls_emb", "CoCa"),
    ):
        if any(name.startswith(sign) for name in state):
            raise UsageError(f"{path} has {family}: only plain OpenCLIP Vision Transformers can be exported")
    needed = ["logit_scale", "visual.proj", "text_projection", *(name for name in _OUTER if "ln_" not in name)]
    if missing := [name for name in needed if name not in state]:
        raise ModelCorrupt(f"{path} is no CLIP state dict: it lacks {', '.join(missing)}")


def _refuse_other_settings(folder: Path, cfg: Mapping[str, Any]) -> None:
    for part, known in (("vision_cfg", _VISION_KEYS), ("text_cfg", _TEXT_KEYS)):
        for key, value in cfg[part].items():
            plain = key in known or key in _HARMLESS or not value or value in _PLAIN.get(key, ())
            eps = value.get("eps", EPS) if key == "norm_kwargs" and isinstance(value, dict) else EPS
            if not plain or eps != EPS:
                raise UsageError(
                    f"{folder}: {part}.{key} = {value!r} is not supported: only plain CLIP "
                    "ViTs are; of other models, transformers' form may be"
                )
    if cfg["text_cfg"].get("pool_type") == "eos" and not isinstance(cfg["text_cfg"].get("eos_id"), int):
        raise ModelCorrupt(f"{folder}: pools at the end token but does not say which id it has")


def _configuration(path: Path, state: State) -> dict[str, Any]:
    """The configuration of a bare state dict, which only OpenAI's own files allow."""
    if "input_resolution" not in state:
        raise UsageError(
            f"{path} has no open_clip_config.json beside it. Nothing in the weights says whether they were trained "
            "with QuickGELU or GELU, and the wrong one fails silently: put the configuration there"
        )
    # OpenAI's files carry these three as tensors, and their weights are QuickGELU's. Heads are 64 wide in all of them.
    return {"quick_gelu": True, "vision_cfg": {}, "text_cfg": {}}


def _filled(cfg: Mapping[str, Any], state: State) -> dict[str, Any]:
    """The configuration with every number that the weights' shapes say."""
    width, _, _, patch = state["visual.conv1.weight"].shape
    side = round((len(state["visual.positional_embedding"]) - 1) ** 0.5) * patch
    vocab, text_width = state["token_embedding.weight"].shape
    head_width = cfg["vision_cfg"].get("head_width") or 64
    vision = {"image_size": side, "layers": layers(state, "visual."), "width": width, "patch_size": patch}
    text = {"context_length": len(state["positional_embedding"]), "vocab_size": vocab, "width": text_width}
    text |= {"heads": cfg["text_cfg"].get("heads") or text_width // 64, "layers": layers(state, "")}
    kept = {key: cfg["text_cfg"][key] for key in ("pool_type", "eos_id", "tokenizer_kwargs") if key in cfg["text_cfg"]}
    for part, found in (("vision_cfg", vision), ("text_cfg", text)):
        for key, value in found.items():
            said = cfg[part].get(key, value)
            if (said[0] if isinstance(said, list | tuple) and len(set(said)) == 1 else said) != value:
                raise ModelCorrupt(f"the configuration says {part}.{key} = {said}, the weights say {value}")
    return {
        "embed_dim": state["visual.proj"].shape[1],
        "quick_gelu": bool(cfg.get("quick_gelu", False)),
        "vision_cfg": vision | {"head_width": head_width},
        "text_cfg": text | kept,
        "seemory": {
            "kind": "clip",
            "activation": "quick_gelu" if cfg.get("quick_gelu") else "gelu",
            "logit_scale": float(state["logit_scale"].exp()),
            "logit_bias": float(state["logit_bias"]) if "logit_bias" in state else None,
        },
    }


def to_model(path: Path, state: State, cfg: Mapping[str, Any]) -> Any:
    """A CLIPModel with these weights. `path` is for messages. Raises `ModelCorrupt` when one is missing or left."""
    from transformers import CLIPConfig, CLIPModel

    vision, text = cfg["vision_cfg"], cfg["text_cfg"]
    shared = {"hidden_act": cfg["seemory"]["activation"], "projection_dim": cfg["embed_dim"], "layer_norm_eps": EPS}
    config = CLIPConfig(
        projection_dim=cfg["embed_dim"],
        vision_config=shared
        | {
            "hidden_size": vision["width"],
            "intermediate_size": len(state["visual.transformer.resblocks.0.mlp.c_fc.weight"]),
            "num_hidden_layers": vision["layers"],
            "num_attention_heads": vision["width"] // vision["head_width"],
            "image_size": vision["image_size"],
            "patch_size": vision["patch_size"],
        },
        text_config=shared
        | {
            "hidden_size": text["width"],
            "intermediate_size": len(state["transformer.resblocks.0.mlp.c_fc.weight"]),
            "num_hidden_layers": text["layers"],
            "num_attention_heads": text["heads"],
            "max_position_embeddings": text["context_length"],
            "vocab_size": text["vocab_size"],
            "bos_token_id": None,
            # 2 is how transformers spells "pool at the highest id".
            "eos_token_id": text["eos_id"] if text.get("pool_type") == "eos" else 2,
        },
        attn_implementation="eager",
    )
    model = CLIPModel(config).eval()
    try:
        found = model.load_state_dict(to_transformers(state), strict=False)
    except RuntimeError as error:
        raise ModelCorrupt(f"{path}: the weights do not fit the configuration: {error}") from error
    lacking = [name for name in found.missing_keys if not name.endswith("position_ids")]
    if lacking or found.unexpected_keys:
        raise ModelCorrupt(f"{path}: weights missing {lacking[:5]}, not understood {found.unexpected_keys[:5]}")
    return model
