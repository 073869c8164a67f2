"""Stage `unpack`: the towers read back out of exported files, for training them further where the checkpoints are gone.

What eight bits took away stays away: weights are those that the exported files compute with.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from .net import PictureTower
from .texttower import TextTower

FIRST = {"steps": 710, "minutes": 11.0, "left_out": 22, "fresh": 51_030}
"""How the first version was trained, whose files do not say it."""


class Stored:
    """The constants of an exported graph, widened to float32 where they are kept in eight bits."""

    def __init__(self, path: Path) -> None:
        graph = onnx.load(path).graph
        self.nodes = list(graph.node)
        self._made = {node.output[0]: node for node in self.nodes}
        self._kept = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}

    def value(self, name: str) -> np.ndarray:
        """A weight by its name in the graph: kept, or code times scale, perhaps turned."""
        if name in self._kept:
            return self._kept[name]
        node = self._made[name]
        inputs = [self.value(given) for given in node.input]
        if node.op_type == "Cast":
            return inputs[0].astype(np.float32)
        if node.op_type == "Mul":
            return inputs[0] * inputs[1]
        if node.op_type == "Transpose":
            return inputs[0].T
        raise ValueError(f"{name} is no stored weight but a {node.op_type}")

    def stands(self, name: str) -> bool:
        """Whether the name is a weight, and not something computed from the input."""
        node = self._made.get(name)
        return name in self._kept or (
            node is not None
            and node.op_type in ("Cast", "Mul", "Transpose")
            and all(self.stands(given) for given in node.input)
        )

    def of(self, kind: str) -> list[onnx.NodeProto]:
        """The operations of one kind, in order."""
        return [node for node in self.nodes if node.op_type == kind]


def picture_tower(path: Path) -> PictureTower:
    """The picture tower of an exported file."""
    stored = Stored(path)
    told, logits, named, *axes = stored.of("Gemm")
    dim, inner = len(stored.value(stored.of("Sub")[-1].input[1])), stored.value(told.input[1]).shape[0]
    net = PictureTower(dim, inner)
    [heat] = [node for node in stored.of("Div") if stored.stands(node.input[1])]
    net.temperature = float(stored.value(heat.input[1]))
    for layer, node in zip(net.convolutions(), stored.of("Conv"), strict=True):
        fill(layer.weight, stored.value(node.input[1]))
        fill(layer.bias, stored.value(node.input[2]))
    for layer, node in (
        (net.logits, logits),
        (net.told, told),
        (net.named, named),
        *((net.axes, node) for node in axes),
    ):
        fill(layer.weight, stored.value(node.input[1]))
        if layer.bias is not None:
            fill(layer.bias, stored.value(node.input[2]))
    fill(net.offset, stored.value(stored.of("Sub")[-1].input[1]))
    return net.eval()


def text_tower(path: Path) -> TextTower:
    """The text tower of an exported file."""
    stored = Stored(path)
    rows = stored.of("Gather")
    table, scale, weight = (stored.value(rows[number].input[0]) for number in (0, 1, 5))
    net = TextTower(*table.shape)
    conv = stored.of("Conv")[0]
    fill(net.table.weight, table.astype(np.float32) * scale)
    fill(net.weight.weight, weight)
    fill(net.near.weight, stored.value(conv.input[1]))
    fill(net.near.bias, stored.value(conv.input[2]))
    turned = [node for node in stored.of("MatMul") if stored.stands(node.input[1])]
    added = [node for node in stored.of("Add") if stored.stands(node.input[1])]
    layers = (net.widen, net.narrow, net.look, net.told, net.gate, net.out)
    biases = [node for node in added if node.input[0] in {node.output[0] for node in turned}]
    for layer, product, bias in zip(layers, turned, biases, strict=True):
        fill(layer.weight, stored.value(product.input[1]).T)
        fill(layer.bias, stored.value(bias.input[1]))
    scales = [node for node in stored.of("Mul") if stored.stands(node.input[1]) and node.input[0].startswith("div_")]
    for norm, node in zip((net.scale_near, net.scale_look), scales, strict=True):
        fill(norm.weight, stored.value(node.input[1]))
    return net.eval()


def fill(parameter: torch.Tensor, value: np.ndarray) -> None:
    """Put the values in place; a wrong shape is an error."""
    if tuple(parameter.shape) != value.shape:
        raise ValueError(f"{value.shape} where {tuple(parameter.shape)} belongs")
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.array(value, np.float32)))


def run(folder: Path, work: Path) -> None:
    """Write picture.pt and text.pt, where there are none, from the exported folder."""
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "picture.pt").exists():
        net = picture_tower(folder / "visual" / "model.onnx")
        told = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("trained", FIRST)
        torch.save({"average": net.state_dict(), "trained": told | {"unpacked": True}}, work / "picture.pt")
    if not (work / "text.pt").exists():
        torch.save(text_tower(folder / "textual" / "model.onnx").state_dict(), work / "text.pt")
