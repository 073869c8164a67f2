"""Stage `export`: the two towers as ONNX files, weights in eight bits."""

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
from .net import CLASSES, LEAST, MEAN, NAMED, STD, Block, Conv, PictureTower
from .texttower import HEADS, REACH, TextTower


class PictureWriter:
    """Writes a trained picture tower as a graph."""

    def __init__(self, kind: str) -> None:
        self._graph = Graph("seemory-mini-visual")
        self._kind = kind

    def _conv(self, x: str, conv: Conv, ends: bool = True) -> str:
        """The convolution, and its ReLU6 if it `ends` in one; depthwise weights are few, and kept whole."""
        weight = self._graph.weight(array(conv.weight), "float32" if conv.groups > 1 else self._kind)
        stride, side = conv.stride[0], conv.kernel_size[0]
        pads = [conv.padding[0]] * 4 if stride == 1 else [0, 0, 1, 1]
        bias = self._graph.constant(array(conv.bias))
        x = self._graph.node(
            "Conv", x, weight, bias, group=conv.groups, strides=[stride] * 2, pads=pads, kernel_shape=[side] * 2
        )
        return self._graph.node("Clip", x, self._number(0), self._number(6)) if ends else x

    def _number(self, value: float) -> str:
        return self._graph.constant(np.array(value, np.float32))

    def _linear(self, x: str, layer: nn.Linear) -> str:
        weight = self._graph.weight(array(layer.weight), self._kind)
        bias = () if layer.bias is None else (self._graph.constant(array(layer.bias)),)
        return self._graph.node("Gemm", x, weight, *bias, transB=1)

    def _block(self, x: str, block: Block) -> str:
        y = x if block.widen is None else self._conv(x, block.widen)
        y = self._conv(self._conv(y, block.mix), block.narrow, ends=False)
        return self._graph.node("Add", x, y) if block.adds else y

    def write(self, net: PictureTower, side: int, path: Path) -> None:
        """Trace the tower's own order of layers into the file."""
        g = self._graph
        x = self._conv("image", net.first)
        for block in net.blocks:
            x = self._block(x, block)
        x = self._conv(x, net.last)
        pooled = g.node("ReduceMean", x, g.constant(np.array([2, 3], np.int64)), keepdims=0)
        root = g.node("Sqrt", g.node("Add", pooled, self._number(LEAST)))
        told, joined = self._linear(g.unit(root), net.told), isinstance(net.axes, nn.Identity)
        told = told if joined else g.unit(told)
        bounds = [g.constant(np.array([i], np.int64)) for i in (1, 1 + CLASSES, 1)]  # from, to, axis
        logits = g.node("Slice", self._linear(pooled, net.logits), *bounds)
        beliefs = g.node("Softmax", g.node("Div", logits, self._number(net.temperature)), axis=1)
        named = g.node("Mul", g.unit(self._linear(beliefs, net.named)), self._number(NAMED))
        x = g.node("Add", told, named)
        x = g.unit(x if joined else self._linear(x, net.axes))
        x = g.node("Sub", x, g.constant(array(net.offset)))
        g.save(path, ("image", TensorProto.FLOAT, ["batch", 3, side, side]), g.unit(x), len(net.offset))


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


def towers(work: Path, joined: bool = True) -> tuple[PictureTower, TextTower]:
    """Both towers as they are exported: joined where stage `join` has been run, else as each was trained."""
    if joined and (work / "joined.pt").exists():
        saved = torch.load(work / "joined.pt", weights_only=True)
        dim = len(saved["picture"]["offset"])
        picture, text = PictureTower(dim, dim), TextTower(*saved["text"]["table.weight"].shape)
        picture.temperature = saved["temperature"]
        picture.load_state_dict(saved["picture"])
        text.load_state_dict(saved["text"])
        return picture.eval(), text.eval()
    text = text_tower(work)
    return picture_tower(work, text.out.out_features), text


def picture_tower(work: Path, dim: int) -> PictureTower:
    """The averaged weights of the last checkpoint."""
    state = torch.load(work / "picture.pt", weights_only=True)["average"]
    net = PictureTower(dim, len(state["told.weight"]))
    net.load_state_dict(state)
    return net.eval()


def trained(work: Path) -> dict[str, float]:
    """How long the picture tower was trained, and on what: steps, minutes on the clock, counts of pictures."""
    saved = torch.load(work / "picture.pt", weights_only=True)
    if "trained" in saved:  # unpacked
        return dict(saved["trained"])
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


def run(work: Path, folder: Path, side: int, resize_mode: str, kind: str = "int8", joined: bool = True) -> None:
    """Write both towers, the tokenizer and the configuration into `folder`."""
    picture, text = towers(work, joined)
    dim = text.out.out_features
    PictureWriter(kind).write(picture, side, folder / "visual" / "model.onnx")
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
            "version": "2",
            "embed_dim": dim,
            "text_cfg": {"context_length": 512},
            "licence": "Apache-2.0",
            "started_from": [
                "MobileNetV2 1.0 224 (Google, Apache-2.0), ImageNet weights: the image tower, all layers fine-tuned",
                "all-MiniLM-L6-v2 (Apache-2.0), vectors of single word pieces: the text tower",
            ],
            "distilled_from": ["MobileNetV2 1.0 224 (Apache-2.0)", "all-MiniLM-L6-v2 (Apache-2.0)"],
            "trained": trained(work),
            "trained_on": [
                "Flickr8k (371 pictures, and captions of all but the reserved and dev pictures; research use)",
                "COCO val2017 (159 pictures, captions CC BY 4.0)",
                "ImageNet (one picture a class; non-commercial research)",
                "UC Merced captioned (700 pictures; research use)",
                "a pool of 9,352 unlabelled photographs from 33 public collections (mixed terms)",
                "CLIP ViT-B/32 vectors of 894 Flickr8k pictures, with their captions (the text tower's last layer)",
            ],
        },
    )


def write_json(path: Path, value: object) -> None:
    """Indented, with a newline at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
