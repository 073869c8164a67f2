"""What lies beside the graphs in an exported folder: configuration, preprocessing, tokenizer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from seemory.errors import ModelCorrupt, UsageError
from seemory.models.export.checkpoint import Checkpoint, document

_CLIP_START, _CLIP_END = "<|startoftext|>", "<|endoftext|>"
# CLIP's own splitting (openai/CLIP, simple_tokenizer.py), as the tokenizers library spells it.
_CLIP_WORDS = r"""'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""


def write(source: Checkpoint, folder: Path, name: str) -> None:
    """Write everything but the graphs. Raises `UsageError` when the checkpoint has no tokenizer to write."""
    about = {"name": name, "source": source.source}
    if source.kind == "sentence":
        _write_sentence(source, folder, about)
        return
    config = dict(source.model_cfg) | {"seemory": {**source.model_cfg["seemory"], **about}}
    _json(folder / "config.json", config)
    _json(folder / "visual" / "preprocess_cfg.json", dict(source.preprocess or {}))
    _write_tokenizer(source, folder / "textual")


def clip_tokenizer(vocab: Path, merges: Path) -> Any:
    """CLIP's byte-pair tokenizer from `vocab.json` and `merges.txt`, with start and end tokens put around each text."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    words = document(vocab)
    if _CLIP_START not in words or _CLIP_END not in words:
        raise ModelCorrupt(f"{vocab} has no {_CLIP_START} or no {_CLIP_END}: it is not CLIP's vocabulary")
    lines = merges.read_text("utf-8").split("\n")
    pairs = [tuple(line.split()) for line in lines if line.strip() and not line.startswith("#version")]
    tokenizer = Tokenizer(
        models.BPE(
            words,
            [(pair[0], pair[1]) for pair in pairs if len(pair) == 2],
            continuing_subword_prefix="",
            end_of_word_suffix="</w>",
            fuse_unk=False,
            unk_token=_CLIP_END,
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_CLIP_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(
        (_CLIP_END, words[_CLIP_END]),
        (_CLIP_START, words[_CLIP_START]),
        add_prefix_space=False,
        trim_offsets=False,
    )
    tokenizer.add_special_tokens([_CLIP_START, _CLIP_END])
    return tokenizer


def _write_tokenizer(source: Checkpoint, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    target, said = folder / "tokenizer.json", document(source.folder / "tokenizer_config.json")
    vocab, merges = source.folder / "vocab.json", source.folder / "merges.txt"
    if (source.folder / "tokenizer.json").exists():
        shutil.copyfile(source.folder / "tokenizer.json", target)
    elif source.kind == "clip" and vocab.exists() and merges.exists():
        clip_tokenizer(vocab, merges).save(str(target))
    else:
        _converted(source, target)
    if source.kind == "clip" and source.model_cfg["text_cfg"].get("pool_type") != "eos":
        _check_end_token(source, target)
    pad = said.get("pad_token") or document(source.folder / "special_tokens_map.json").get("pad_token")
    pad = pad.get("content") if isinstance(pad, dict) else pad
    if pad is None and source.kind == "clip":
        pad = _CLIP_END
    length = {"model_max_length": source.context_length, "pad_token": pad}
    _json(folder / "tokenizer_config.json", said | length)


def _check_end_token(source: Checkpoint, tokenizer: Path) -> None:
    """A tokenizer of another model would be silently wrong: its end token must be the one the tower pools at."""
    from tokenizers import Tokenizer

    found = Tokenizer.from_file(str(tokenizer)).token_to_id(_CLIP_END)
    if found is not None and found != source.end_id:
        raise UsageError(
            f"{source.folder}: the tokenizer's {_CLIP_END} is {found}, the tower pools at {source.end_id}: "
            "they belong to different models"
        )


def _converted(source: Checkpoint, target: Path) -> None:
    """Have transformers turn an older vocabulary (SentencePiece) into `tokenizer.json`."""
    from transformers import AutoTokenizer

    try:
        backend = AutoTokenizer.from_pretrained(source.folder, local_files_only=True).backend_tokenizer
    except Exception as error:  # whatever is missing there, what helps is the same
        raise UsageError(
            f"{source.folder} has no tokenizer.json (or vocab.json and merges.txt): put the model's there. {error}"
        ) from error
    backend.save(str(target))


def _write_sentence(source: Checkpoint, folder: Path, about: dict[str, str]) -> None:
    modules_path = source.folder / "modules.json"
    modules = json.loads(modules_path.read_text("utf-8")) if modules_path.exists() else []
    kinds = [str(module.get("type", "")).rpartition(".")[2] for module in modules]
    if strange := [kind for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize")]:
        raise UsageError(f"{source.folder}: a sentence encoder with {', '.join(strange)} is not supported")
    pooling = document(source.folder / "1_Pooling" / "config.json")
    if not pooling:  # a bare encoder; the mean over the mask is what sentence-transformers itself then takes
        pooling = {"word_embedding_dimension": source.dim, "pooling_mode_mean_tokens": True}
    if not modules:
        names = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
        modules = [
            {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for at, (path, kind) in enumerate(names)
        ]
    (folder / "onnx").mkdir(parents=True)
    _json(folder / "modules.json", modules)
    _json(folder / "1_Pooling" / "config.json", pooling)
    _json(folder / "config.json", dict(source.model_cfg) | {"seemory": {"kind": source.kind, **about}})
    bert = document(source.folder / "sentence_bert_config.json")
    _json(folder / "sentence_bert_config.json", bert | {"max_seq_length": source.context_length})
    if (source.folder / "tokenizer.json").exists():
        shutil.copyfile(source.folder / "tokenizer.json", folder / "tokenizer.json")
    else:
        _converted(source, folder / "tokenizer.json")
    for name in ("tokenizer_config.json", "special_tokens_map.json", "config_sentence_transformers.json"):
        if (source.folder / name).exists():
            shutil.copyfile(source.folder / name, folder / name)


def _json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, default=str) + "\n", "utf-8")
