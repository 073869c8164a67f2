"""The exported folder as it is used: ONNX Runtime on one core, and the preprocessing its own file asks for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image
from tokenizers import Tokenizer


class Towers:
    """Pictures and texts to vectors of norm 1."""

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.visual = onnxruntime.InferenceSession(folder / "visual" / "model.onnx", options, ["CPUExecutionProvider"])
        self.textual = onnxruntime.InferenceSession(
            folder / "textual" / "model.onnx", options, ["CPUExecutionProvider"]
        )
        self.tokenizer = Tokenizer.from_file(str(folder / "textual" / "tokenizer.json"))
        self.wanted = json.loads((folder / "visual" / "preprocess_cfg.json").read_text(encoding="utf-8"))

    def pixels(self, picture: Image.Image) -> np.ndarray:
        """(3, s, s) float32: shortest side to s and the centre, or squashed; then mean and deviation."""
        side = self.wanted["size"][0]
        if self.wanted["resize_mode"] == "shortest":
            short, long = min(picture.size), max(picture.size)
            wide, high = (
                (side, int(side * long / short))
                if picture.width <= picture.height
                else (int(side * long / short), side)
            )
            picture = picture.resize((wide, high), Image.Resampling.BICUBIC)
            left, top = (wide - side) // 2, (high - side) // 2
            picture = picture.crop((left, top, left + side, top + side))
        else:
            picture = picture.resize((side, side), Image.Resampling.BICUBIC)
        scaled = np.asarray(picture, np.float32) / 255
        return ((scaled - self.wanted["mean"]) / self.wanted["std"]).transpose(2, 0, 1).astype(np.float32)

    def pictures(self, pictures: list[Image.Image]) -> np.ndarray:
        """(n, dim)."""
        return np.concatenate([self.visual.run(None, {"image": self.pixels(picture)[None]})[0] for picture in pictures])

    def texts(self, texts: list[str]) -> np.ndarray:
        """(n, dim)."""
        found = []
        for text in texts:
            ids = np.array([self.tokenizer.encode(text).ids], np.int64).reshape(1, -1)
            found.append(self.textual.run(None, {"text": ids})[0])
        return np.concatenate(found)
