"""Where the picture tower starts: the teacher's own published weights, and the aim's recipe for its head.

The file has eight-bit weights with one scale a layer; norms are folded into them already.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from .aims import Aim
from .net import PictureTower
from .teacher import FILE


def layers(data: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """(weight, bias) of every layer in order, float32; weights (outer, high, wide, inner), depthwise (1, h, w, c)."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs((data / FILE).read_bytes(), 0))
    graph = model.subgraphs[0]

    def values(number: int, kind: type) -> np.ndarray:
        tensor = graph.tensors[number]
        code = np.asarray(model.buffers[tensor.buffer].data, np.uint8).view(kind).reshape(tensor.shape)
        scale, zero = tensor.quantization.scale[0], tensor.quantization.zeroPoint[0]
        return ((code.astype(np.float64) - zero) * scale).astype(np.float32)

    weighed = [op.inputs for op in graph.operators if len(op.inputs) == 3]
    return [(values(weight, np.uint8), values(bias, np.int32)) for _, weight, bias in weighed]


def begun(data: Path, aim: Aim) -> PictureTower:
    """The tower before any training: the teacher's network, and the aim's vector from its two outputs."""
    net = PictureTower(aim.axes.shape[1])
    *found, (weight, bias) = layers(data)
    state = {"logits.weight": weight[:, 0, 0], "logits.bias": bias}
    convolutions = {id(module): name for name, module in net.named_modules()}
    for conv, (weight, bias) in zip(net.convolutions(), found, strict=True):
        order = (3, 0, 1, 2) if conv.groups > 1 else (0, 3, 1, 2)
        state[f"{convolutions[id(conv)]}.weight"] = weight.transpose(order)
        state[f"{convolutions[id(conv)]}.bias"] = bias
    state |= {
        "named.weight": aim.classes.T,
        "told.weight": aim.weights.T,
        "told.bias": -(aim.mean @ aim.weights),
        "axes.weight": aim.axes.T,
        "offset": aim.offset,
    }
    net.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(v, np.float32)) for name, v in state.items()})
    return net
