"""ViT-B/32 of CLIP with random weights, in the folder that Seemory loads and in the one that fastembed loads.

    python -m benchmarks.random_clip_text FOLDER

What a tower costs does not depend on what its weights are, so random ones will do where only speed is measured, and no
hub is needed. Both layouts get the same weights: `seemory` (`textual/`, `visual/`, free batch and length, as `seemory
models export` writes it), and `fastembed` (`model.onnx` with `input_ids` and `attention_mask`, as transformers' own
code is exported). The vocabulary is learned from a few sentences, then widened to CLIP's 49,408 rows.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "models"))

VOCABULARY = 49_408


@dataclass(frozen=True)
class RandomClip:
    """The same random weights in two layouts."""

    seemory: Path
    fastembed: Path


def random_clip(folder: Path) -> RandomClip:
    """ViT-B/32 in `folder`, made if it is not there yet (a minute or so)."""
    made = RandomClip(folder / "seemory", folder / "fastembed")
    if not (folder / "whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _make(folder, made)
        (folder / "whole").touch()
    return made


def _make(folder: Path, made: RandomClip) -> None:
    import torch
    from references import clip_tokenizer
    from transformers import CLIPConfig, CLIPModel

    from seemory.models.export import export

    tokenizer = clip_tokenizer()
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config={**ids, "vocab_size": VOCABULARY, "hidden_act": "quick_gelu"},
        vision_config={"image_size": 224, "patch_size": 32, "hidden_act": "quick_gelu"},
        projection_dim=512,
    )
    model = _lively(CLIPModel(config)).eval()
    checkpoint = folder / "checkpoint"
    model.save_pretrained(checkpoint)
    tokenizer.save_pretrained(checkpoint)
    (checkpoint / "preprocessor_config.json").write_text(json.dumps({"size": {"shortest_edge": 224}, "crop_size": 224}))
    export(checkpoint, made.seemory, name="random-vit-b-32")
    _write_fastembed(model, tokenizer, made.fastembed)
    shutil.rmtree(checkpoint)


def _lively(model: Any) -> Any:
    """As initialised, a CLIP's vectors hardly depend on its inputs; larger weights make them differ."""
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and "embedding" not in name:
                parameter.normal_(std=1.5 * parameter.shape[-1] ** -0.5)
            elif "embedding" in name and parameter.ndim >= 2:
                parameter.normal_(std=0.5)
    return model


def _write_fastembed(model: Any, tokenizer: Any, folder: Path) -> None:
    import torch

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    made = random_clip(parser.parse_args().folder)
    print(made.seemory, made.fastembed, sep="\n")


if __name__ == "__main__":
    main()
