"""Stage `export`: the two towers as ONNX files, norms folded in, weights in eight bits."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import torch
from onnx import TensorProto
from tokenizers import Tokenizer
from torch import nn

from . import words
from .aims import Aim
from .graph import Graph, rows_int8
from .net import MEAN, STD, Block, PictureTower, StepDown
from .texttower import HEADS, REACH, TextTower


def folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[np.ndarray, np.ndarray]:
    """The convolution's weight and bias with the norm's running statistics folded in."""
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    bias = norm.bias - norm.running_mean * scale
    if conv.bias is not None:
        bias = bias + conv.bias * scale
    return (conv.weight * scale[:, None, None, None]).detach().numpy(), bias.detach().numpy()


def strided(weight: np.ndarray) -> np.ndarray:
    """A stride-1 kernel over 2x2 places as channels, (o, 4c, k, k), as the equal stride-2 kernel (o, c, 2k, 2k)."""
    o, c, k, _ = weight.shape
    return weight.reshape(o, c // 4, 2, 2, k, k).transpose(0, 1, 4, 2, 5, 3).reshape(o, c // 4, 2 * k, 2 * k)


class PictureWriter:
    """Writes a trained picture tower as a graph."""

    def __init__(self, kind: str) -> None:
        self._graph = Graph("seemory-mini-visual")
        self._kind = kind

    def _conv(self, x: str, weight: np.ndarray, bias: np.ndarray, **attributes: object) -> str:
        kind = "float32" if weight.shape[1] == 1 else self._kind
        return self._graph.node("Conv", x, self._graph.weight(weight, kind), self._graph.constant(bias), **attributes)

    def _down(self, x: str, step: StepDown) -> str:
        weight, bias = folded(step.conv, step.norm)
        pad = 2 * step.conv.padding[0]
        kernel = strided(weight)
        x = self._conv(x, kernel, bias, strides=[2, 2], pads=[pad] * 4, kernel_shape=list(kernel.shape[2:]))
        return self._graph.node("Relu", x)

    def _block(self, x: str, block: Block) -> str:
        mix, widen = block.mix, block.widen
        y = self._conv(x, array(mix.weight), array(mix.bias), group=mix.groups, pads=[1] * 4, kernel_shape=[3, 3])
        y = self._graph.node("Relu", self._conv(y, array(widen.weight), array(widen.bias), kernel_shape=[1, 1]))
        y = self._conv(y, *folded(block.narrow, block.norm), kernel_shape=[1, 1])
        return self._graph.node("Add", x, y)

    def _linear(self, x: str, layer: nn.Linear) -> str:
        weight = self._graph.weight(array(layer.weight), self._kind)
        return self._graph.node("Gemm", x, weight, self._graph.constant(array(layer.bias)), transB=1)

    def write(self, net: PictureTower, side: int, path: Path) -> None:
        """Trace the tower's own order of layers into the file."""
        x = "image"
        for part in (net.stem, net.near, net.middle, net.upper, net.far):
            for layer in part:
                x = self._down(x, layer) if isinstance(layer, StepDown) else self._block(x, layer)
        x = self._graph.node("Relu", self._conv(x, *folded(net.gather[0], net.gather[1]), kernel_shape=[1, 1]))
        x = self._graph.node("ReduceMean", x, self._graph.constant(np.array([2, 3], np.int64)), keepdims=0)
        hidden = self._graph.node("Relu", self._linear(x, net.hidden))
        x = self._linear(self._graph.node("Concat", x, hidden, axis=1), net.out)
        source = ("image", TensorProto.FLOAT, ["batch", 3, side, side])
        self._graph.save(path, source, self._graph.unit(x), net.out.out_features)


def array(tensor: torch.Tensor) -> np.ndarray:
    """The parameter's values as float32."""
    return tensor.detach().float().numpy()


def write_text(net: TextTower, path: Path, kind: str) -> None:
    """The text tower; the table stays in eight bits in memory too, only the rows of the words at hand are widened."""
    g = Graph("seemory-mini-textual")
    dim = net.out.out_features

    def ints(*values: int) -> str:
        return g.constant(np.array(values, np.int64))

    def linear(x: str, layer: nn.Linear) -> str:
        return g.node(
            "Add",
            g.node("MatMul", x, g.node("Transpose", g.weight(array(layer.weight), kind))),
            g.constant(array(layer.bias)),
        )

    def scaled(x: str, norm: nn.RMSNorm) -> str:
        eps = g.constant(np.array(torch.finfo(torch.float32).eps, np.float32))
        mean = g.node("ReduceMean", g.node("Mul", x, x), ints(-1), keepdims=1)
        return g.node("Mul", g.node("Div", x, g.node("Sqrt", g.node("Add", mean, eps))), g.constant(array(norm.weight)))

    text = g.node("Pad", "text", ints(0, 0, 0, 1))  # never empty: an empty text is one place of padding
    real = g.node("Not", g.node("Equal", text, g.constant(np.array(0, np.int64))))
    mask = g.node("Unsqueeze", g.node("Cast", real, to=TensorProto.FLOAT), ints(-1))
    if kind == "int8":
        scale, code = rows_int8(array(net.table.weight))
        rows = g.node("Cast", g.node("Gather", g.constant(code), text), to=TensorProto.FLOAT)
        x = g.node("Mul", rows, g.node("Gather", g.constant(scale), text))
    else:
        x = g.node("Gather", g.constant(array(net.table.weight)), text)
    x = g.node("Mul", x, mask)
    near = g.node("Transpose", scaled(x, net.scale_near), perm=[0, 2, 1])
    near = g.node(
        "Conv", near, g.constant(array(net.near.weight)), g.constant(array(net.near.bias)),
        group=dim, pads=[REACH // 2] * 2, kernel_shape=[REACH],
    )  # fmt: skip
    near = g.node("Transpose", near, perm=[0, 2, 1])
    x = g.node("Mul", g.node("Add", x, linear(g.node("Relu", linear(near, net.widen)), net.narrow)), mask)

    each = dim // HEADS
    looked = g.node("Reshape", linear(scaled(x, net.scale_look), net.look), ints(0, 0, 3, HEADS, each))
    q, k, v = (g.node("Gather", looked, g.constant(np.array(part, np.int64)), axis=2) for part in range(3))
    q = g.node("Mul", g.node("Transpose", q, perm=[0, 2, 1, 3]), g.constant(np.array(each**-0.5, np.float32)))
    scores = g.node("MatMul", q, g.node("Transpose", k, perm=[0, 2, 3, 1]))
    away = g.node(
        "Mul", g.node("Sub", mask, g.constant(np.array(1, np.float32))), g.constant(np.array(1e4, np.float32))
    )
    away = g.node("Unsqueeze", g.node("Transpose", away, perm=[0, 2, 1]), ints(1))
    seen = g.node(
        "MatMul", g.node("Softmax", g.node("Add", scores, away), axis=-1), g.node("Transpose", v, perm=[0, 2, 1, 3])
    )
    seen = g.node("Reshape", g.node("Transpose", seen, perm=[0, 2, 1, 3]), ints(0, 0, dim))
    x = g.node("Add", x, linear(seen, net.told))

    weight = g.node("Add", g.node("Gather", g.constant(array(net.weight.weight)), text), linear(x, net.gate))
    bounds = [g.constant(np.array(bound, np.float32)) for bound in (-8, 8)]
    weight = g.node("Mul", g.node("Exp", g.node("Clip", weight, *bounds)), mask)
    total = g.node("ReduceSum", g.node("Mul", x, weight), ints(1), keepdims=0)
    count = g.node("Add", g.node("ReduceSum", weight, ints(1), keepdims=0), g.constant(np.array(1e-6, np.float32)))
    g.save(
        path,
        ("text", TensorProto.INT64, ["batch", "length"]),
        g.unit(linear(g.node("Div", total, count), net.out)),
        dim,
    )


def write_tokenizer(path: Path) -> None:
    """MiniLM's word pieces without start and end marks, padding or truncation."""
    tokenizer = json.loads((words.folder() / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer |= {"post_processor": None, "truncation": None, "padding": None}
    path.write_text(json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    Tokenizer.from_file(str(path))


def picture_tower(work: Path, dim: int) -> PictureTower:
    """The averaged weights of the last checkpoint."""
    net = PictureTower(dim)
    net.load_state_dict(torch.load(work / "picture.pt", weights_only=True)["average"])
    return net.eval()


def trained(work: Path) -> dict[str, float]:
    """How long the picture tower was trained, and on what: steps, minutes on the clock, counts of pictures."""
    saved = torch.load(work / "picture.pt", weights_only=True)
    return {
        "steps": saved["step"],
        "minutes": saved["elapsed"] / 60,
        "left_out": len(np.load(work / "banned.npy")),
        "fresh": int(np.load(work / "fresh" / "made.npy")[0]),
    }


def aim(work: Path) -> Aim:
    """The teachers' vectors as training used them."""
    with (work / "aim.pkl").open("rb") as file:
        found: Aim = pickle.load(file)
    return found


def text_tower(work: Path) -> TextTower:
    """The trained text tower."""
    state = torch.load(work / "text.pt", weights_only=True)
    net = TextTower(*state["table.weight"].shape)
    net.load_state_dict(state)
    return net.eval()


def run(work: Path, folder: Path, side: int, resize_mode: str, kind: str = "int8") -> None:
    """Write both towers, the tokenizer and the configuration into `folder`."""
    text = text_tower(work)
    dim = text.out.out_features
    PictureWriter(kind).write(picture_tower(work, dim), side, folder / "visual" / "model.onnx")
    write_text(text, folder / "textual" / "model.onnx", kind)
    write_tokenizer(folder / "textual" / "tokenizer.json")
    write_json(
        folder / "visual" / "preprocess_cfg.json",
        {
            "size": [side, side],
            "mode": "RGB",
            "mean": [MEAN] * 3,
            "std": [STD] * 3,
            "interpolation": "bicubic",
            "resize_mode": resize_mode,
            "fill_color": 0,
        },
    )
    write_json(
        folder / "config.json",
        {
            "name": "seemory-mini",
            "version": "1",
            "embed_dim": dim,
            "text_cfg": {"context_length": 512},
            "licence": "Apache-2.0",
            "distilled_from": ["MobileNetV2 1.0 224 (Apache-2.0)", "all-MiniLM-L6-v2 (Apache-2.0)"],
            "trained_on": [
                "Flickr8k (371 pictures, and captions of all but the reserved and dev pictures; research use)",
                "COCO val2017 (159 pictures, captions CC BY 4.0)",
                "ImageNet (one picture a class; non-commercial research)",
                "UC Merced captioned (700 pictures; research use)",
                "a pool of 9,352 unlabelled photographs from 33 public collections (mixed terms)",
            ],
        },
    )


def write_json(path: Path, value: object) -> None:
    """Indented, with a newline at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
