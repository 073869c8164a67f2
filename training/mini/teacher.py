"""The picture teacher: MobileNetV2 (ImageNet, int8), with its last feature map read out as well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from seemory.alignment.tflite import TfliteNet

SIDE = 224
FILE = "teacher/mobilenet_v2_1.0_224_quant.tflite"


class Teacher:
    """Runs the tflite network on one crop at a time and gives its logits and its pooled feature."""

    def __init__(self, data: Path) -> None:
        self._net = TfliteNet(data / FILE)

    def __call__(self, crop: Image.Image) -> dict[str, np.ndarray]:
        """logits (1001,) and pooled (1280,), float32."""
        logits, seen = self._net.logits_and_map(np.asarray(crop))
        return {"logits": logits, "pooled": seen.mean((0, 1))}
