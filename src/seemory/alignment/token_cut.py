"""A picture tower's positions: which tensor of its graph has a vector for each place of the picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seemory.errors import ModelCorrupt, UsageError

TOKENS = "seemory_tokens"
"""The name of the output that is added: `(batch, positions, width)`."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A tensor with a vector for each position."""

    layer: str
    """The tensor's own name in the graph."""
    positions: int
    width: int
    is_map: bool
    """Laid out as a convolution's `(batch, width, height, width)` rather than `(batch, positions, width)`."""


def with_tokens(model: Any, cut: Cut) -> Any:
    """The ONNX model, changed: it has the positions as a further output, `TOKENS`, `(batch, positions, width)`."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    source = cut.layer
    if cut.is_map:
        shape = numpy_helper.from_array(np.array([0, cut.width, cut.positions], np.int64), f"{TOKENS}_shape")
        graph.initializer.append(shape)
        graph.node.append(helper.make_node("Reshape", [source, shape.name], [f"{TOKENS}_flat"]))
        graph.node.append(helper.make_node("Transpose", [f"{TOKENS}_flat"], [TOKENS], perm=[0, 2, 1]))
    else:
        graph.node.append(helper.make_node("Identity", [source], [TOKENS]))
    graph.output.append(helper.make_tensor_value_info(TOKENS, TensorProto.FLOAT, ["batch", cut.positions, cut.width]))
    return model


def load_tower(path: Path) -> Any:
    """The tower's ONNX model. Raises UsageError without the `onnx` package, ModelCorrupt where it is none."""
    try:
        import onnx
    except ImportError as error:
        raise UsageError("token features need the onnx package: pip install 'seemory[align]'") from error
    try:
        return onnx.load(str(path))
    except Exception as error:  # protobuf's own errors are many
        raise ModelCorrupt(f"{path} is no ONNX model ({type(error).__name__}). Fetch or export it again.") from error


def find_cut(model: Any, path: Path, layer: str | None = None) -> Cut:
    """The tensor named, or else the last one that still has a vector for each position.

    Of a convolutional net that is what its pooling takes, of a ViT its last hidden states, the class token among them.

    Raises:
        UsageError: there is no such tensor, or none with positions.
    """
    from onnx import shape_inference

    inferred = shape_inference.infer_shapes(model)
    known = {value.name: value.type.tensor_type for value in [*inferred.graph.value_info, *inferred.graph.output]}
    if layer is not None:
        cut = _cut(layer, known.get(layer))
        if cut is None:
            raise UsageError(f"{path} has no tensor {layer!r} with a vector for each position")
        return cut
    for node in reversed(model.graph.node):
        for name in node.output:
            if (cut := _cut(name, known.get(name))) is not None:
                return cut
    raise UsageError(f"{path} shows no vectors for positions: only pooled features can be had of it (--level pooled)")


def _cut(name: str, told: Any) -> Cut | None:
    if told is None or told.elem_type != 1:  # float32
        return None
    sides = [dimension.dim_value for dimension in told.shape.dim]
    if len(sides) == 4 and sides[1] > 1 and sides[2] > 1 and sides[3] > 1:
        return Cut(name, sides[2] * sides[3], sides[1], True)
    if len(sides) == 3 and sides[1] > 1 and sides[2] > 1:
        return Cut(name, sides[1], sides[2], False)
    return None
