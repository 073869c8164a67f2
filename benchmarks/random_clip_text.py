"""The text tower of `random_clip`'s ViT-B/32 in the folder that fastembed reads words with: the same weights."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import random_clip


@dataclass(frozen=True)
class Folders:
    """The same weights, twice."""

    seemory: Path
    fastembed: Path


def make(place: Path) -> Folders:
    """The folders below `place`; those of an earlier call are taken as they are."""
    found = random_clip.make(place, 224)
    folders = Folders(found.seemory, place / "fastembed-text")
    if not (folders.fastembed / "model.onnx").exists():
        _write(found.checkpoint, folders.fastembed)
    return folders


def _write(checkpoint: Path, folder: Path) -> None:
    import torch
    from transformers import CLIPModel, CLIPTokenizer

    model = CLIPModel.from_pretrained(checkpoint, attn_implementation="eager")
    tokenizer = CLIPTokenizer.from_pretrained(checkpoint)

    class TextTower(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            found = self.model.get_text_features(input_ids=input_ids, attention_mask=attention_mask)
            return found if isinstance(found, torch.Tensor) else found.pooler_output

    tokenizer.save_pretrained(folder)
    written = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(written | {"model_max_length": 77}))
    given = tokenizer(["a dog", "a cat runs along the beach"], padding=True, return_tensors="pt")
    free = {0: "batch", 1: "length"}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            TextTower().eval(),
            (given["input_ids"], given["attention_mask"]),
            str(folder / "model.onnx"),
            input_names=["input_ids", "attention_mask"],
            output_names=["text_embeds"],
            dynamic_axes={"input_ids": free, "attention_mask": free, "text_embeds": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
