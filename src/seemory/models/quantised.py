"""Copies of towers whose matrix products are taken in 8 bits: made once, kept in the data folder."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seemory.errors import ModelError
from seemory.models.fingerprint import INT8_RECIPE, Hashes, weights_of
from seemory.models.session import short

_LEFT_S = 6 * 3600
_NAME = "seemory_int8_"
_ONNX_RUNTIME = "com.microsoft"


Form = Literal["products", "weights"]
"""What is written of a product in 8 bits. `products`: the whole of it, for a runtime that does what the graph says.
`weights`: only the weight and its scales, for one that takes the product in 8 bits by itself where it sees such."""

_FORMS: dict[Form, str] = {"products": "p3", "weights": "w1"}
"""In the files' names: another number for another graph of the same numbers."""


class QuantisedTowers:
    """8-bit copies of ONNX towers, in a folder, by the checksum of what they were made of.

    Weights of matrix products become signed 8-bit numbers with a scale for each column; the rows of their other factor
    are scaled anew at each pass. All else stays as it was: embeddings, convolutions, products of two activations.
    """

    def __init__(self, folder: Path, hashes: Hashes, form: Form = "products") -> None:
        self._folder = folder
        self._hashes = hashes
        self._form = form

    def path(self, tower: Path) -> Path:
        """Where the tower's copy lies, made or not; another tower's, and another recipe's, lies elsewhere."""
        weights = hashlib.sha256(" ".join(weights_of(tower, self._hashes)).encode()).hexdigest()
        return self._folder / f"{INT8_RECIPE}-{_FORMS[self._form]}-{weights[:32]}.onnx"

    def made(self, tower: Path) -> Path:
        """The tower's 8-bit copy, made if it is not there yet (seconds); whole or not at all, also when two make it.

        A tower without matrix products that have weights of their own, a convolutional one, stays as it is.

        Raises:
            ModelError: the package `onnx` is missing, the tower is in 16 bits, or it cannot be rewritten.
        """
        path = self.path(tower)
        if path.is_file():
            return path
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
            handle, name = tempfile.mkstemp(dir=self._folder, prefix=".making-", suffix=".onnx")
        except OSError as error:
            raise ModelError(f"{self._folder}: no 8-bit copy of the model can be kept there ({error}).") from error
        os.close(handle)
        try:
            _quantise(tower, Path(name), _rewrite if self._form == "products" else _compress)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
        return path

    def _sweep(self) -> None:
        """Remove what a killed process left half made, hours ago."""
        for path in self._folder.glob(".making-*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _LEFT_S:
                    path.unlink()


def _quantise(tower: Path, out: Path, rewrite: Callable[[Any], None]) -> None:
    try:
        import onnx
    except ImportError as error:
        raise ModelError(
            f"an 8-bit copy is made with the package onnx, which is missing ({short(error)}): "
            "pip install 'seemory[int8]'"
        ) from error
    try:
        model = onnx.load(str(tower))
        rewrite(model)
        onnx.save(model, str(out))
    except ModelError as error:
        raise ModelError(f"{tower}: {error}") from error
    except Exception as error:
        raise ModelError(
            f"{tower}: no 8-bit copy can be made of it ({short(error)}). Use it as it is: @fp32."
        ) from error


def _rewrite(model: Any) -> None:
    """Take the graph's products with weights in 8 bits, with a scale a row on the left and one a column on the right.

    A scale for a whole input, as dynamic quantisation usually has, makes a picture's vector depend on what else is in
    its batch, and lets one position with large values coarsen all others.
    """
    from onnx import helper, numpy_helper

    graph = model.graph
    opset = _opset(model)
    weights = {weight.name: weight for weight in graph.initializer if len(weight.dims) == 2}
    one, most, least, zero, axis = (_NAME + name for name in ("one", "most", "least", "zero", "axis"))
    values = {one: np.float32(1), most: np.float32(127), least: np.float32(1e-12), zero: np.uint8(128)}
    added = [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]
    if opset >= 18:
        added.append(numpy_helper.from_array(np.array([-1]), axis))
    rows: dict[str, tuple[str, str]] = {}
    nodes: list[Any] = []

    def node(kind: str, given: Sequence[str], made: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, list(given), [made], **attributes))
        return made

    def in_bytes(given: str, name: str) -> tuple[str, str]:
        """The rows in steps of their own, from 1 to 255 around 128, and each row's step."""
        # QuantizeLinear with a scale a row gives the same and takes longer, with all the shapes that it wants.
        sizes = node("Abs", [given], name + "sizes")
        last = ([sizes, axis], {}) if opset >= 18 else ([sizes], {"axes": [-1]})
        highest = node("ReduceMax", last[0], name + "highest", keepdims=1, **last[1])
        steps = node("Div", [node("Max", [highest, least], name + "largest"), most], name + "steps")
        in_steps = node("Div", [given, steps], name + "in_steps")
        return node("QuantizeLinear", [in_steps, one, zero], name + "bytes"), steps

    for place, old in enumerate(graph.node):
        weight = _weight_of(old, weights)
        if weight is None:
            nodes.append(old)
            continue
        given, name = old.input[0], f"{_NAME}{place}_"
        right, columns = _columns(numpy_helper.to_array(weight))
        added.append(numpy_helper.from_array(right, name + "weight"))
        added.append(numpy_helper.from_array(columns, name + "columns"))
        if given not in rows:  # queries, keys and values share their input
            rows[given] = in_bytes(given, name)
        left, steps = rows[given]
        # ONNX Runtime's own: the sums are scaled as they leave the product, not in passes of their own.
        factors = [left, name + "weight", one, name + "columns", zero]
        sums = node("MatMulIntegerToFloat", factors, name + "sums", domain=_ONNX_RUNTIME)
        node("Mul", [sums, steps], old.output[0])
    if rows:
        _replace(graph, nodes, added, weights)
        if all(entry.domain != _ONNX_RUNTIME for entry in model.opset_import):
            model.opset_import.append(helper.make_opsetid(_ONNX_RUNTIME, 1))


def _compress(model: Any) -> None:
    """Write the weights of the graph's products in 8 bits, as rows of what was a column, and turned back where used."""
    from onnx import helper, numpy_helper

    graph = model.graph
    if _opset(model) < 13:
        raise ModelError("it is of an ONNX version before 13, which has no scales by column.")
    weights = {weight.name: weight for weight in graph.initializer if len(weight.dims) == 2}
    nodes: list[Any] = []
    added: list[Any] = []
    for place, node in enumerate(graph.node):
        weight = _weight_of(node, weights)
        if weight is None:
            nodes.append(node)
            continue
        name = f"{_NAME}{place}_"
        right, scales = _columns(numpy_helper.to_array(weight))
        added.append(numpy_helper.from_array(np.ascontiguousarray(right.T), name + "weight"))
        added.append(numpy_helper.from_array(scales, name + "columns"))
        nodes += [
            helper.make_node("DequantizeLinear", [name + "weight", name + "columns"], [name + "rows"], axis=0),
            helper.make_node("Transpose", [name + "rows"], [name + "right"], perm=[1, 0]),
            helper.make_node("MatMul", [node.input[0], name + "right"], list(node.output)),
        ]
    if added:
        _replace(graph, nodes, added, weights)


def _weight_of(node: Any, weights: Mapping[str, Any]) -> Any | None:
    """The weight that a node multiplies with, if it does."""
    from onnx import TensorProto

    weight = weights.get(node.input[1]) if node.op_type == "MatMul" else None
    if weight is not None and weight.data_type == TensorProto.FLOAT16:
        raise ModelError("its weights are 16 bits wide; int8 is made from an export in 32 bits only.")
    return weight if weight is not None and weight.data_type == TensorProto.FLOAT else None


def _replace(graph: Any, nodes: Sequence[Any], added: Sequence[Any], weights: Mapping[str, Any]) -> None:
    """Give the graph other nodes, and take away the weights that none of them needs."""
    needed = {name for node in nodes for name in node.input} | {output.name for output in graph.output}
    kept = [weight for weight in (*graph.initializer, *added) if weight.name in needed or weight.name not in weights]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)


def _opset(model: Any) -> int:
    return next(int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def _columns(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """The matrix in steps of -127 to 127, and each column's step."""
    scales = np.maximum(np.abs(weight).max(axis=0), 1e-12).astype(np.float32) / np.float32(127)
    return np.clip(np.rint(weight / scales), -127, 127).astype(np.int8), scales
