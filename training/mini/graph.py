"""A few lines over onnx.helper: name the outputs, keep the weights small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18


class Graph:
    """Collects nodes and weights of one tower and writes the file."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: str, **attributes: object) -> str:
        """Add one operation with one output, and give the output's name."""
        output = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def constant(self, value: np.ndarray) -> str:
        """A stored array, as it is."""
        name = f"w_{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def weight(self, value: np.ndarray, kind: str) -> str:
        """A float weight stored as `kind`: float32, float16, or int8 with one scale a row (first axis).

        The runtime turns it back into float32 once, when it loads the file: Cast and Mul of constants are folded.
        """
        value = np.asarray(value, np.float32)
        if kind == "float32":
            return self.constant(value)
        if kind == "float16":
            return self.node("Cast", self.constant(value.astype(np.float16)), to=TensorProto.FLOAT)
        scale, code = rows_int8(value)
        return self.node("Mul", self.node("Cast", self.constant(code), to=TensorProto.FLOAT), self.constant(scale))

    def unit(self, x: str) -> str:
        """Rows of norm 1."""
        length = self.node("ReduceL2", x, self.constant(np.array([-1], np.int64)), keepdims=1)
        return self.node("Div", x, self.node("Max", length, self.constant(np.array(1e-12, np.float32))))

    def save(self, path: Path, source: tuple[str, int, list], result: str, dim: int) -> None:
        """Write the model; `source` is the input's (name, element type, shape)."""
        self._nodes.append(helper.make_node("Identity", [result], ["embedding"]))
        graph = helper.make_graph(
            self._nodes,
            self._name,
            [helper.make_tensor_value_info(*source)],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", dim])],
            self._weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
        onnx.checker.check_model(model)
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, path)


def rows_int8(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(scale, code): int8 codes and a float32 scale for each row of the first axis, shaped to broadcast."""
    axes = tuple(range(1, value.ndim))
    scale = np.maximum(np.abs(value).max(axis=axes, keepdims=True), 1e-12) / 127
    return scale.astype(np.float32), np.clip(np.rint(value / scale), -127, 127).astype(np.int8)
