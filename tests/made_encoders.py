"""Real encoders that differ from the bundled one, made from it in a second."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

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
