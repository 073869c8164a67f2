"""Real encoders that differ from the bundled one, made from it in a second."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from seemory import models

BUNDLED = Path(models.__file__).parent / "bundled" / "seemory-mini"


def turned(folder: Path) -> Path:
    """The bundled encoder with its dimensions in reverse order, both towers.

    Equal width, and within its space every cosine is the bundled one's. Across the two spaces cosines are noise: one
    query that compares a vector of the one with a vector of the other shows at once.
    """
    shutil.copytree(BUNDLED, folder)
    for tower in ("visual", "textual"):
        _append(folder / tower / "model.onnx", lambda graph, name, out: _reversed(graph, name, out))
    return folder


def narrowed(folder: Path, dim: int = 96) -> Path:
    """The bundled encoder's first dimensions: another width."""
    shutil.copytree(BUNDLED, folder)
    for tower in ("visual", "textual"):
        _append(folder / tower / "model.onnx", lambda graph, name, out: _first(graph, name, out, dim))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"embed_dim": dim}))
    return folder


def _append(path: Path, make) -> None:
    model = onnx.load(str(path))
    graph = model.graph
    output = graph.output[0]
    inner = f"{output.name}_inner"
    for node in graph.node:
        for field in (node.input, node.output):
            for n, name in enumerate(field):
                if name == output.name:
                    field[n] = inner
    make(graph, inner, output)
    onnx.save(model, str(path))


def _width(output) -> int:
    return output.type.tensor_type.shape.dim[-1].dim_value or 256


def _reversed(graph, inner: str, output) -> None:
    order = numpy_helper.from_array(np.arange(_width(output))[::-1].copy(), "turned_order")
    graph.initializer.append(order)
    graph.node.append(helper.make_node("Gather", [inner, "turned_order"], [output.name], axis=-1))


def _first(graph, inner: str, output, dim: int) -> None:
    order = numpy_helper.from_array(np.arange(dim), "narrowed_order")
    graph.initializer.append(order)
    graph.node.append(helper.make_node("Gather", [inner, "narrowed_order"], [output.name], axis=-1))
    output.type.tensor_type.shape.dim[-1].dim_value = dim


def widened(folder: Path, dim: int) -> Path:
    """The bundled encoder's vectors turned into a wider space, both towers, by a random matrix that is always the same.

    Its rows are orthonormal, so within the space every cosine is the bundled one's.
    """
    shutil.copytree(BUNDLED, folder)
    made, _ = np.linalg.qr(np.random.default_rng(dim).standard_normal((dim, 256)))  # (dim, 256), orthonormal columns
    for tower in ("visual", "textual"):
        _append(folder / tower / "model.onnx", lambda graph, name, out: _through(graph, name, out, made.T))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"embed_dim": dim}))
    return folder


def _through(graph, inner: str, output, matrix: np.ndarray) -> None:
    graph.initializer.append(numpy_helper.from_array(matrix.astype(np.float32), "widening"))
    graph.node.append(helper.make_node("MatMul", [inner, "widening"], [output.name]))
    output.type.tensor_type.shape.dim[-1].dim_value = matrix.shape[1]


def hanging(folder: Path) -> Path:
    """The bundled encoder, whose picture tower counts to 2^62 before it answers for a picture that is all white.

    Of any other picture it gives the bundled encoder's vector.
    """
    shutil.copytree(BUNDLED, folder)
    _append(folder / "visual" / "model.onnx", _counting)
    return folder


def _counting(graph, inner: str, output) -> None:
    scalar = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["goes"]),
            helper.make_node("Add", ["sum", "count_step"], ["summed"]),
        ],
        "counting",
        [scalar("n", TensorProto.INT64, []), scalar("go", TensorProto.BOOL, []), scalar("sum", TensorProto.FLOAT, [])],
        [scalar("goes", TensorProto.BOOL, []), scalar("summed", TensorProto.FLOAT, [])],
    )
    given = {
        "count_step": np.float32(1),
        "count_white": np.float32(0.99),  # pixels are brought to -1..1
        "count_far": np.int64(2**62),
        "count_none": np.int64(0),
        "count_go": np.bool_(True),
        "count_zero": np.float32(0),
    }
    graph.initializer.extend(numpy_helper.from_array(np.array(value), name) for name, value in given.items())
    graph.node.extend(
        [
            helper.make_node("ReduceMin", [graph.input[0].name], ["count_darkest"], keepdims=0),
            helper.make_node("Greater", ["count_darkest", "count_white"], ["count_is_white"]),
            helper.make_node("Where", ["count_is_white", "count_far", "count_none"], ["count_to"]),
            helper.make_node("Loop", ["count_to", "count_go", "count_zero"], ["counted"], body=body),
            helper.make_node("Mul", ["counted", "count_zero"], ["count_nothing"]),
            helper.make_node("Add", [inner, "count_nothing"], [output.name]),
        ]
    )
