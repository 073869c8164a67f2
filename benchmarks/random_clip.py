"""A CLIP of ViT-B/32's shape with random weights, in the folder that each program of the comparison reads.

No published weights are needed to measure speed: the arithmetic is the same. The weights are drawn so wide that vectors
of different pictures differ (cosines of 0.3 to 0.9), so a fidelity means something; but trained weights have a few far
larger values than others, which 8 bits may like less. `seemory models check` measures that for the encoder one has.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seemory.demo_photographs import PHOTOGRAPHS

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "models"))

RCLIP_FOLDER = "ViT-B-32-256-datacomp_s34b_b86k"
"""rclip has one model, and looks for it in this folder of its data folder: 256 pixels, patches of 32."""


_GREY = ("pebbles", "coins", "lawn", "bricks", "cameraman", "moon")


@dataclass(frozen=True)
class Folders:
    """The same weights, four times."""

    checkpoint: Path
    """As transformers and sentence-transformers read them."""
    seemory: Path
    fastembed: Path
    rclip: Path
    """Its data folder."""
    side: int


def make(place: Path, side: int) -> Folders:
    """The folders below `place`; those of an earlier call are taken as they are."""
    folders = Folders(place / "checkpoint", place / "seemory", place / "fastembed", place / "rclip", side)
    if folders.rclip.is_dir():
        return folders
    shutil.rmtree(place, ignore_errors=True)
    _checkpoint(folders.checkpoint, side)

    from seemory.models.export import export

    export(folders.checkpoint, folders.seemory)
    tower = folders.seemory / "visual" / "model.onnx"
    folders.fastembed.mkdir()
    shutil.copyfile(tower, folders.fastembed / "model.onnx")
    shutil.copyfile(folders.checkpoint / "preprocessor_config.json", folders.fastembed / "preprocessor_config.json")
    _rclip(tower, folders.rclip)
    return folders


def photographs(folder: Path | None) -> list[Path]:
    """The folder's pictures, or scikit-image's and scikit-learn's own photographs in colour where none is named."""
    if folder is None:
        return [path for one in PHOTOGRAPHS if one.name not in _GREY and (path := one.find())]
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))


def _checkpoint(folder: Path, side: int) -> None:
    import torch
    from references import clip_tokenizer, shaken
    from transformers import CLIPConfig, CLIPModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    tokenizer = clip_tokenizer()
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    torch.manual_seed(0)
    vision = {"image_size": side, "patch_size": 32}  # the rest of transformers' defaults is ViT-B/32
    model: Any = shaken(CLIPModel(CLIPConfig(text_config=ids, vision_config=vision, projection_dim=512)), 1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    crop = {"height": side, "width": side}
    CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size=crop).save_pretrained(folder)
    path = folder / "preprocessor_config.json"
    # fastembed knows the processor by the name that published folders have.
    path.write_text(json.dumps(json.loads(path.read_text()) | {"image_processor_type": "CLIPImageProcessor"}))


def _rclip(tower: Path, folder: Path) -> None:
    """The tower under the names that rclip's session asks for. Of the words' half only the names are there: rclip
    looks whether the files exist before it indexes, and opens them when it searches."""
    import onnx

    model = onnx.load(str(tower))
    names = {model.graph.input[0].name: "input", model.graph.output[0].name: "output"}
    for value in (*model.graph.input, *model.graph.output):
        value.name = names[value.name]
    for node in model.graph.node:
        for ends in (node.input, node.output):
            for place, name in enumerate(ends):
                ends[place] = names.get(name, name)
    for file in (f"{RCLIP_FOLDER}/textual.onnx", "tokenizer/bpe_simple_vocab_16e6.txt.gz"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    onnx.save(model, str(folder / RCLIP_FOLDER / "visual.onnx"))
