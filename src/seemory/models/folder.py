"""A model folder on disk, read into one specification and the paths of its parts.

Two published layouts are understood as they are: Immich's (`visual/`, `textual/`, `config.json`) and that of
sentence-transformers (`onnx/model.onnx`, `modules.json`, `1_Pooling/`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seemory.errors import ModelCorrupt, ModelNotFound
from seemory.models.catalog import ModelSpec, Pooling, TextRule, preprocess_from, statistics_from
from seemory.types import Modality, Preprocess

CALIBRATION_FILE = "calibration.json"
CLIP_END = "<|endoftext|>"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """One encoder's files, and what is known of it from them and from the catalogue."""

    path: Path
    spec: ModelSpec
    image_model: Path | None = None
    text_model: Path | None = None
    tokenizer: Path | None = None


def read_folder(path: Path, spec: ModelSpec | None = None) -> ModelFolder:
    """The folder's encoder; `spec` is its catalogue entry, where it has one.

    A tower may be absent (pictures only, words only). Raises ModelNotFound when there is no such folder, ModelCorrupt
    when a file that is needed is missing or makes no sense, with the file's name and what to do.
    """
    if not path.is_dir():
        raise ModelNotFound(f"{path} is not a folder. Give one with an exported model, or a name from the catalogue.")
    if (path / "visual").is_dir() or (path / "textual").is_dir():
        folder = _read_immich(path, spec)
    elif (path / "onnx").is_dir() or (path / "modules.json").is_file():
        folder = _read_sentence_transformers(path, spec)
    else:
        raise ModelCorrupt(
            f"{path}: neither visual/ or textual/ (Immich's layout) nor onnx/ (sentence-transformers) is in it. "
            "`seemory models export` makes such a folder from a checkpoint."
        )
    if (path / CALIBRATION_FILE).is_file():
        folder = replace(folder, spec=_calibrated(folder.spec, path / CALIBRATION_FILE))
    return folder


def _read_immich(path: Path, spec: ModelSpec | None) -> ModelFolder:
    image_model = _model_file(path / "visual")
    text_model = _model_file(path / "textual")
    if image_model is None and text_model is None:
        raise _missing(path / "visual" / "model.onnx")
    config = _json(path / "config.json") if spec is None or not spec.dim or (path / "config.json").is_file() else {}
    # Some exporters wrap open_clip's configuration, some write it bare.
    model_cfg = config.get("model_cfg", config)
    known = spec or _unknown(path)
    dim = _width(path / "config.json", model_cfg.get("embed_dim"), known)
    if spec is None:
        known = _as_exported(known, config.get("seemory", {}))
    preprocess, text, tokenizer = known.preprocess, known.text, None
    if image_model is not None:
        preprocess = _preprocess(path / "visual" / "preprocess_cfg.json", known)
    if text_model is not None:
        tokenizer = _required(path / "textual" / "tokenizer.json")
        text = known.text or _open_clip_rule(model_cfg.get("text_cfg", {}), tokenizer)
        text = _padded(text, tokenizer)
    return ModelFolder(
        path=path,
        spec=replace(
            known, dim=dim, preprocess=preprocess, text=text, towers=_towers(image_model, text_model), layout="immich"
        ),
        image_model=image_model,
        text_model=text_model,
        tokenizer=tokenizer,
    )


def _read_sentence_transformers(path: Path, spec: ModelSpec | None) -> ModelFolder:
    text_model = _required(path / "onnx" / "model.onnx")
    tokenizer = _required(path / "tokenizer.json")
    known = spec or _unknown(path)
    pooling_path = path / "1_Pooling" / "config.json"
    pooling = _json(pooling_path) if spec is None or pooling_path.is_file() else {}
    dim = _width(pooling_path, pooling.get("word_embedding_dimension"), known)
    text = known.text
    if text is None:
        bert = _json(path / "sentence_bert_config.json")
        text = TextRule(
            tokenizer="bert",
            context_length=int(bert.get("max_seq_length") or 512),
            padding="longest",
            pooling=_pooling_mode(pooling, pooling_path),
            lower_case=bool(bert.get("do_lower_case", False)),
        )
    return ModelFolder(
        path=path,
        spec=replace(known, dim=dim, text=_padded(text, tokenizer), towers=("text",), layout="sentence-transformers"),
        text_model=text_model,
        tokenizer=tokenizer,
    )


def _pooling_mode(pooling: Mapping[str, Any], path: Path) -> Pooling:
    modes: dict[str, Pooling] = {
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_cls_token": "cls",
        "pooling_mode_max_tokens": "max",
        "pooling_mode_lasttoken": "last",
    }
    chosen = [mode for key, mode in modes.items() if pooling.get(key)]
    if len(chosen) != 1:
        raise ModelCorrupt(f"{path}: needs exactly one pooling mode of {', '.join(modes)}; it has {len(chosen)}.")
    return chosen[0]


def _open_clip_rule(text_cfg: Mapping[str, Any], tokenizer: Path) -> TextRule:
    """The text rule of a folder without a catalogue entry, from open_clip's configuration of the text tower.

    A tokenizer with CLIP's end token is CLIP's. Of any other without a hint, padding is taken to be without effect.
    """
    context = int(text_cfg.get("context_length", 77))
    canonicalise = text_cfg.get("tokenizer_kwargs", {}).get("clean") == "canonicalize"
    if text_cfg.get("hf_model_name"):
        rule = TextRule("xlm-roberta", context, padding="longest", pooling="mean")
    elif text_cfg.get("no_causal_mask") or text_cfg.get("pool_type") == "last":
        # Attends both ways and without a mask: the padding counts, so it must always be there.
        rule = TextRule("siglip", context, padding="context", pooling="last", lower_case=True)
    elif _vocabulary_id(tokenizer, CLIP_END) is not None:
        rule = TextRule("clip", context, padding="longest", pooling="eot", end_token=CLIP_END)
    else:
        rule = TextRule("bert", context, padding="longest", pooling="mean")
    return replace(rule, canonicalise=canonicalise, lower_case=rule.lower_case or canonicalise)


def _padded(rule: TextRule, tokenizer: Path) -> TextRule:
    """The rule with the padding token of `tokenizer_config.json`, where the rule itself names none."""
    config_path = tokenizer.with_name("tokenizer_config.json")
    if rule.pad_id is not None or not config_path.is_file():
        return rule
    token = _json(config_path).get("pad_token")
    content = token.get("content") if isinstance(token, dict) else token
    if content is None:
        return rule
    found = _vocabulary_id(tokenizer, content)
    return rule if found is None else replace(rule, pad_id=found)


def _vocabulary_id(tokenizer: Path, token: str) -> int | None:
    """The id of a special token in a `tokenizer.json`."""
    document = _json(tokenizer)
    added = {item["content"]: item["id"] for item in document.get("added_tokens", [])}
    vocabulary = document.get("model", {}).get("vocab", {})
    found = added.get(token, vocabulary.get(token) if isinstance(vocabulary, dict) else None)
    return None if found is None else int(found)


def _preprocess(path: Path, known: ModelSpec) -> Preprocess:
    if not path.is_file() and known.preprocess is not None:
        return known.preprocess
    try:
        return preprocess_from(_json(path))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelCorrupt(f"{path}: makes no sense as preprocessing ({error}). Fetch or export it again.") from error


def _calibrated(spec: ModelSpec, path: Path) -> ModelSpec:
    try:
        statistics = statistics_from(_json(path))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelCorrupt(f"{path}: needs the four figures of each direction ({error}).") from error
    return replace(spec, calibration={**spec.calibration, **statistics}, measured=spec.measured | frozenset(statistics))


def _as_exported(spec: ModelSpec, said: Mapping[str, Any]) -> ModelSpec:
    """The specification with what `seemory models export` wrote down of the checkpoint."""
    return replace(
        spec,
        family=said.get("kind", spec.family),
        activation=said.get("activation", spec.activation),
        logit_scale=said.get("logit_scale"),
        logit_bias=said.get("logit_bias"),
    )


def _unknown(path: Path) -> ModelSpec:
    return ModelSpec(name=path.resolve().name, family="unknown", dim=0, towers=(), revision_pinned=False)


def _width(source: Path, declared: Any, known: ModelSpec) -> int:
    if declared is None:
        if known.dim:
            return known.dim
        raise ModelCorrupt(f"{source}: does not say how wide the vectors are (embed_dim).")
    if known.dim and int(declared) != known.dim:
        raise ModelCorrupt(
            f"{source}: says {declared} wide, but {known.name} is {known.dim} wide: these are another model's files."
        )
    return int(declared)


def _towers(image_model: Path | None, text_model: Path | None) -> tuple[Modality, ...]:
    present: list[Modality] = []
    if image_model is not None:
        present.append("image")
    if text_model is not None:
        present.append("text")
    return tuple(present)


def _model_file(tower: Path) -> Path | None:
    """The tower's model; None when the tower is absent altogether. A tower's folder without its model is an error."""
    return _required(tower / "model.onnx") if tower.is_dir() else None


def _required(path: Path) -> Path:
    if not path.is_file():
        raise _missing(path)
    if path.stat().st_size == 0:
        raise ModelCorrupt(f"{path} is empty. Fetch or export the model again.")
    return path


def _missing(path: Path) -> ModelCorrupt:
    return ModelCorrupt(f"{path} is missing. Fetch the model again (`seemory models pull`) or export it again.")


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(_required(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelCorrupt(f"{path} is not readable JSON ({error}). Fetch or export the model again.") from error
    if not isinstance(document, dict):
        raise ModelCorrupt(f"{path} holds no JSON object. Fetch or export the model again.")
    return document
