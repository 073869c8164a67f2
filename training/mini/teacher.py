"""The picture teacher: MobileNetV2 (ImageNet, int8), with its inner feature maps read out as well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 224
FILE = "teacher/mobilenet_v2_1.0_224_quant.tflite"
INNER = {"edges": 122, "parts": 45, "things": 4}
"""Tensors of the tflite graph: 28x28x32 (early), 14x14x96 (middle), 7x7x1280 (last)."""


class Teacher:
    """Runs the tflite network on one crop at a time and gives its logits and three feature maps.

    The inner maps are declared as outputs in the flatbuffer, so the fast delegate still computes them.
    """

    def __init__(self, data: Path) -> None:
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema
        from ai_edge_litert.interpreter import Interpreter

        content = (data / FILE).read_bytes()
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
        logits = int(model.subgraphs[0].outputs[0])
        model.subgraphs[0].outputs = [logits, *INNER.values()]
        builder = flatbuffers.Builder(len(content))
        builder.Finish(model.Pack(builder), b"TFL3")
        self._net = Interpreter(model_content=bytes(builder.Output()), num_threads=1)
        self._net.allocate_tensors()
        self._input = self._net.get_input_details()[0]["index"]
        self._outputs = {}
        details = self._net.get_output_details()
        for name, detail in zip(["logits", *INNER], details, strict=True):
            scale, zero = detail["quantization"]
            self._outputs[name] = (detail["index"], scale, zero)

    def __call__(self, crop: Image.Image) -> dict[str, np.ndarray]:
        """logits (1001,), edges (28, 28, 32), parts (14, 14, 96), things (7, 7, 1280): float32."""
        self._net.set_tensor(self._input, np.asarray(crop)[None])
        self._net.invoke()
        found = {}
        for name, (index, scale, zero) in self._outputs.items():
            found[name] = (self._net.get_tensor(index)[0].astype(np.float32) - zero) * scale
        return found
