"""A checkpoint as found on disk or on a hub, read into one form that the exporter understands."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from seemory.errors import ModelCorrupt, ModelNotFound, ModelUnavailable, UsageError
from seemory.models.export import openclip
from seemory.models.export.checkpoint import CLIP_MEAN, CLIP_STD, Checkpoint, Tensor, document

_SENTENCE_TYPES = {"albert", "bert", "camembert", "distilbert", "electra", "mpnet", "roberta", "xlm-roberta"}
_RESAMPLING = {1: "lanczos", 2: "bilinear", 3: "bicubic"}


def read(checkpoint: str | Path) -> Checkpoint:
    """The checkpoint at a path or of a hub id.

    Raises `UsageError` for forms that are not supported, `ModelNotFound`, `ModelUnavailable`, `ModelCorrupt`.
    """
    path = Path(checkpoint).expanduser()
    if not path.exists():
        if isinstance(checkpoint, Path) or checkpoint.count("/") != 1 or checkpoint.startswith((".", "/", "~")):
            raise ModelNotFound(f"{checkpoint} is neither a folder nor a weights file nor a hub id like owner/name")
        path = _from_hub(checkpoint)
    if path.is_file():
        return openclip.read(path.parent, path)
    config = document(path / "config.json")
    weights = [path / name for name in ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")]
    # Published OpenCLIP folders often hold both forms; transformers' is the one that needs no conversion.
    if "model_type" in config and any(file.exists() for file in weights):
        return _transformers(path, config)
    if (path / "open_clip_config.json").exists():
        return openclip.read(path)
    raise UsageError(f"{path} holds no checkpoint: expected config.json with model weights, or open_clip_config.json")


def features(output: Any) -> Tensor:
    """The vectors in what `get_image_features` returns: transformers 4 gives them bare, 5 in an output object."""
    return getattr(output, "pooler_output", output)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bars off the terminal, where the caller shows its own."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()


def _from_hub(repo: str) -> Path:
    from huggingface_hub import HfApi, snapshot_download, try_to_load_from_cache
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    from seemory.models.hub.transfer import transport_error

    try:
        names = set(HfApi().list_repo_files(repo))
        chosen = next(
            (
                name
                for name in ("model.safetensors", "open_clip_model.safetensors", "pytorch_model.bin")
                if name in names
            ),
            "open_clip_pytorch_model.bin",
        )
        wanted = [chosen, "*.json", "*.txt", "*.model", "1_Pooling/*"]
        return Path(snapshot_download(repo, allow_patterns=wanted, ignore_patterns=["onnx/*", "openvino/*"]))
    except RepositoryNotFoundError as error:
        raise ModelNotFound(f"{repo} is neither a folder here nor a repository that the hub shows you") from error
    except HFValidationError as error:
        raise ModelNotFound(f"{repo} is neither a folder here nor a hub id: {error}") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, transport_error()) as error:
        for name in ("config.json", "open_clip_config.json"):  # what was fetched before needs no network
            if isinstance(found := try_to_load_from_cache(repo, name), str):
                return Path(found).parent
        raise ModelUnavailable(f"{repo} is no folder here and could not be fetched from the hub: {error}") from error


def _transformers(path: Path, config: Mapping[str, Any]) -> Checkpoint:
    kind = config["model_type"]
    if kind == "siglip2":
        raise UsageError(f"{path}: SigLIP 2 with a variable resolution (naflex) is not supported; its fixed ones are")
    if kind not in ("clip", "siglip") and kind not in _SENTENCE_TYPES:
        raise UsageError(
            f"{path}: model type {kind!r} is not supported (clip, siglip, {', '.join(sorted(_SENTENCE_TYPES))})"
        )
    import torch
    import transformers
    from safetensors import SafetensorError

    loader = {"clip": transformers.CLIPModel, "siglip": transformers.SiglipModel}.get(kind, transformers.AutoModel)
    try:
        with quiet():
            # Plain attention: the fused kinds branch on the mask while tracing, which would fix the text length.
            model, found = loader.from_pretrained(
                path, local_files_only=True, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
            )
    except (OSError, RuntimeError, ValueError, KeyError, SafetensorError) as error:
        raise ModelCorrupt(f"{path} could not be read as a {kind} checkpoint: {error}") from error
    # transformers fills what a file lacks with random numbers. BERT's pooler may lack: nothing here uses it.
    if lacking := sorted(name for name in found["missing_keys"] if not name.startswith("pooler.")):
        raise ModelCorrupt(f"{path} lacks weights that the model needs: {', '.join(lacking[:5])}")
    model.eval()
    return _sentence(path, model) if kind in _SENTENCE_TYPES else _two_towers(path, kind, model)


def _two_towers(path: Path, kind: Literal["clip", "siglip"], model: Any) -> Checkpoint:
    text, vision = model.config.text_config, model.config.vision_config
    dim = (
        model.config.projection_dim if kind == "clip" else (getattr(text, "projection_size", None) or text.hidden_size)
    )
    text_cfg: dict[str, Any] = {
        "context_length": text.max_position_embeddings,
        "vocab_size": text.vocab_size,
        "width": text.hidden_size,
        "heads": text.num_attention_heads,
        "layers": text.num_hidden_layers,
    }
    end_id, lower_case_only = None, False
    if kind == "clip":
        # Configurations older than transformers 4.31 say 2, and mean "the highest id" (transformers #24773).
        end_id = text.vocab_size - 1 if text.eos_token_id == 2 else text.eos_token_id
    else:
        lower_case_only = not str(document(path / "tokenizer_config.json").get("tokenizer_class", "Siglip")).startswith(
            ("SiglipTokenizer",)
        )
        text_cfg |= {"no_causal_mask": True, "proj_bias": True, "pool_type": "last"}
        if not lower_case_only:
            text_cfg["tokenizer_kwargs"] = {"clean": "canonicalize"}
    bias = getattr(model, "logit_bias", None)
    model_cfg = {
        "embed_dim": dim,
        "quick_gelu": text.hidden_act == "quick_gelu",
        "vision_cfg": {
            "image_size": vision.image_size,
            "layers": vision.num_hidden_layers,
            "width": vision.hidden_size,
            "head_width": vision.hidden_size // vision.num_attention_heads,
            "patch_size": vision.patch_size,
        },
        "text_cfg": text_cfg,
        "seemory": {
            "kind": kind,
            "activation": text.hidden_act,
            "logit_scale": float(model.logit_scale.detach().exp()),
            "logit_bias": None if bias is None else float(bias.detach()),
        },
    }
    return Checkpoint(
        kind=kind,
        source=str(path),
        folder=path,
        model=model,
        dim=dim,
        context_length=text.max_position_embeddings,
        vocab_size=text.vocab_size,
        model_cfg=model_cfg,
        text_reference=lambda ids, _mask: features(model.get_text_features(input_ids=ids)),
        image_reference=lambda pixels: features(model.get_image_features(pixel_values=pixels)),
        preprocess=_preprocess(path, kind, vision.image_size),
        end_id=end_id,
        lower_case_only=lower_case_only,
    )


def _sentence(path: Path, model: Any) -> Checkpoint:
    config = model.config
    limit = document(path / "sentence_bert_config.json").get("max_seq_length")
    # RoBERTa's positions start after the padding id, so two of them are never used.
    usable = config.max_position_embeddings - (
        2 if "roberta" in config.model_type or config.model_type == "mpnet" else 0
    )
    return Checkpoint(
        kind="sentence",
        source=str(path),
        folder=path,
        model=model,
        dim=getattr(config, "hidden_size", None) or config.dim,
        context_length=min(int(limit or usable), usable),
        vocab_size=config.vocab_size,
        model_cfg=config.to_dict(),
        text_reference=lambda ids, mask: model(input_ids=ids, attention_mask=mask)[0],
    )


def _preprocess(path: Path, kind: str, image_size: int) -> dict[str, Any]:
    """Of transformers' image processor file, what open_clip's `preprocess_cfg` can say; refuses the rest."""
    said = document(path / "preprocessor_config.json") or document(path / "processor_config.json").get(
        "image_processor"
    )
    said = said or {}
    size, crop = said.get("size"), said.get("crop_size")
    shortest = size if isinstance(size, int) else (size or {}).get("shortest_edge")
    squash = (kind == "siglip") if size is None else shortest is None
    side = image_size if size is None else shortest or (size or {}).get("height")
    cropped = crop.get("height") if isinstance(crop, dict) else crop
    if side != image_size or (
        not squash and said.get("do_center_crop", True) and (cropped or image_size) != image_size
    ):
        raise UsageError(
            f"{path}: pictures are resized to {size} and cropped to {crop}, but the tower takes {image_size}; "
            "Seemory resizes straight to the tower's size"
        )
    siglip = kind == "siglip"
    return {
        "size": [image_size, image_size],
        "mode": "RGB",
        "mean": said.get("image_mean") or ([0.5] * 3 if siglip else CLIP_MEAN),
        "std": said.get("image_std") or ([0.5] * 3 if siglip else CLIP_STD),
        "interpolation": _RESAMPLING.get(said.get("resample", 3), "bicubic"),
        "resize_mode": "squash" if squash else "shortest",
        "fill_color": 0,
    }
