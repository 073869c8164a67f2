"""The picture teacher: MobileNetV2 (ImageNet, int8), with its last feature map read out as well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 224
FILE = "teacher/mobilenet_v2_1.0_224_quant.tflite"
LAST = 4
"""The tensor of the tflite graph that is pooled: 7x7x1280."""


class Teacher:
    """Runs the tflite network on one crop at a time and gives its logits and its pooled feature.

    The last map is declared as an output in the flatbuffer, so the fast delegate still computes it.
    """

    def __init__(self, data: Path) -> None:
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema
        from ai_edge_litert.interpreter import Interpreter

        content = (data / FILE).read_bytes()
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
        logits = int(model.subgraphs[0].outputs[0])
        model.subgraphs[0].outputs = [logits, LAST]
        builder = flatbuffers.Builder(len(content))
        builder.Finish(model.Pack(builder), b"TFL3")
        self._net = Interpreter(model_content=bytes(builder.Output()), num_threads=1)
        self._net.allocate_tensors()
        self._input = self._net.get_input_details()[0]["index"]
        self._outputs = {}
        details = self._net.get_output_details()
        for name, detail in zip(["logits", "last"], details, strict=True):
            scale, zero = detail["quantization"]
            self._outputs[name] = (detail["index"], scale, zero)

    def __call__(self, crop: Image.Image) -> dict[str, np.ndarray]:
        """logits (1001,) and pooled (1280,), float32."""
        self._net.set_tensor(self._input, np.asarray(crop)[None])
        self._net.invoke()
        found = {}
        for name, (index, scale, zero) in self._outputs.items():
            found[name] = (self._net.get_tensor(index)[0].astype(np.float32) - zero) * scale
        return {"logits": found["logits"], "pooled": found["last"].mean((0, 1))}
