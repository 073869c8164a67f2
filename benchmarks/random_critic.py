"""A tiny Qwen3-VL with random weights, in the layout of a published folder: the real architecture, a tokenizer."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from seemory.advisors.critic import question
from seemory.advisors.critic.critique import read_critique
from seemory.advisors.profile import DIMENSIONS

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)

# What Qwen3-VL's own template makes of system and user messages with pictures and text.
CHAT_TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% else %}{%- for part in message.content -%}
{%- if part.type == 'image' or part.type == 'image_url' -%}<|vision_start|><|image_pad|><|vision_end|>
{%- else -%}{{ part.text }}{%- endif -%}
{%- endfor -%}{% endif %}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif -%}"""


THINGS = (
    *("tree", "horse", "boat", "train", "bread", "clock", "river", "child", "plate", "street"),
    *("tower", "bench", "glass", "field", "kite", "bear", "wave", "house", "road", "cup"),
)


def critique(n: int) -> dict[str, Any]:
    """The n-th of twenty critiques, each with a beginning and scores of its own."""
    chance = random.Random(n)
    scores = {name: chance.randint(0, 10) for name in DIMENSIONS}
    remarks = {
        name: {"score": score, "comment": "strong" if score >= 7 else "fair" if score >= 4 else "weak"}
        for name, score in scores.items()
    }
    return {"overall": f"A {THINGS[n]}.", "dimensions": remarks, "advice": "Go on."}


def corpus() -> list[str]:
    """What the tiny model's tokenizer is made of: critiques, and the words of the question."""
    return [read_critique(critique(n)).written() for n in range(20)] * 20 + [question.ROLE, question.FORM] * 50


def save(folder: Path, *, seed: int = 0, width: int = 64, layers: int = 2, scale: float = 0.3) -> Path:
    """A folder that `AutoProcessor` and `AutoModelForImageTextToText` load; its words are of the corpus, at random."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen3VLConfig, Qwen3VLForConditionalGeneration

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1500, special_tokens=list(SPECIAL), initial_alphabet=alphabet)
    bpe.train_from_iterator(corpus(), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=CHAT_TEMPLATE
    )
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL}
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": width,
            "intermediate_size": 2 * width,
            "num_hidden_layers": layers,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 32,
            "max_position_embeddings": 8192,
            "initializer_range": scale,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 5e6,
                "mrope_section": [8, 4, 4],
                "mrope_interleaved": True,
            },
            "eos_token_id": ids["<|im_end|>"],
            "pad_token_id": ids["<|endoftext|>"],
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": width,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    torch.manual_seed(seed)
    model = Qwen3VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = [ids["<|im_end|>"], ids["<|endoftext|>"]]
    model.generation_config.pad_token_id = ids["<|endoftext|>"]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    pictures = {
        "size": {"shortest_edge": 32 * 32, "longest_edge": 64 * 32 * 32},
        "patch_size": 16,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "processor_class": "Qwen3VLProcessor",
    }
    for name, kind in (("preprocessor", "image"), ("video_preprocessor", "video")):
        of = "Qwen2VLImageProcessorFast" if kind == "image" else "Qwen3VLVideoProcessor"
        (folder / f"{name}_config.json").write_text(json.dumps(pictures | {f"{kind}_processor_type": of}))
    return folder
