"""What this processor can do: the matrix products of an image tower, alone, through the best library at hand.

    python -m benchmarks.ceiling [--json FILE]

A tower over `n` pictures of side `s`, with patches of `p` and width `w`, takes with t = (s/p)^2 + 1 rows a picture: per
layer four products (n·t, w)·(w, w) into and out of the attention, (n·t, w)·(w, 4w) and back, and per picture and head
(t, 64)·(64, t)·(t, 64); once (n·(s/p)^2, 3p^2)·(3p^2, w) for the patches. Each shape is timed alone, in each precision,
with weights that stay where they are, in every library here; the fastest counts, whichever it is. Products of two
activations are taken in 8 bits by nobody here, so int8's ceiling has them in bf16 where the processor has that, else in
fp32. Nothing but products is in it: a tower also has norms, softmax, activations and a residual stream to move, so it
cannot reach all of it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seemory.models.session import available_cores

BATCHES = (16, 32)
SIDE = 224
_ENOUGH_S = 0.12


@dataclass(frozen=True)
class Product:
    """`times` products of (batch, m, k) with (batch, k, n); with a batch of 1 the right factor is a weight."""

    name: str
    times: int
    m: int
    k: int
    n: int
    batch: int = 1

    @property
    def operations(self) -> int:
        """Multiplications and additions, of all of them."""
        return 2 * self.times * self.batch * self.m * self.k * self.n


def products(pictures: int, side: int, patch: int = 32, width: int = 768, layers: int = 12) -> list[Product]:
    """All of a tower's products for so many pictures a pass."""
    patches = (side // patch) ** 2
    rows, tokens, heads = pictures * (patches + 1), patches + 1, width // 64
    return [
        Product("patches", 1, pictures * patches, 3 * patch * patch, width),
        Product("attention in and out", 4 * layers, rows, width, width),
        Product("wider", layers, rows, width, 4 * width),
        Product("narrower", layers, rows, 4 * width, width),
        Product("attention, scores", layers, tokens, 64, tokens, batch=pictures * heads),
        Product("attention, values", layers, tokens, tokens, 64, batch=pictures * heads),
    ]


@dataclass(frozen=True)
class Ceiling:
    """The least time that the products of one pass took, and where."""

    seconds: float
    operations: int
    by: Mapping[str, tuple[str, float]]
    """Each shape's fastest library, and operations a second in it."""


def ceilings(pictures: int, side: int, threads: int) -> dict[str, Ceiling]:
    """By precision; without bf16 where the processor has none."""
    import torch

    from seemory.models.openvino_session import has_bf16

    torch.set_num_threads(threads)
    kinds = ["fp32", *(["bf16"] if has_bf16() else []), "int8"]
    found = {}
    for kind in kinds:
        seconds, operations, by = 0.0, 0, {}
        for product in products(pictures, side):
            inner = kind if product.batch == 1 or kind != "int8" else kinds[-2]
            each = {name: fastest(call) for name, call in _ways(product, inner, threads)}
            best = min(each, key=each.__getitem__)
            seconds += product.times * each[best]
            operations += product.operations
            by[product.name] = best, product.operations / product.times / each[best]
        found[kind] = Ceiling(seconds, operations, by)
    return found


def fastest(call: Callable[[], object]) -> float:
    """Seconds of the fastest of several calls: what else runs on the machine only ever slows one down."""
    call()
    least, until = float("inf"), time.perf_counter() + _ENOUGH_S
    for turn in range(10_000):
        started = time.perf_counter()
        call()
        least = min(least, time.perf_counter() - started)
        if turn > 2 and time.perf_counter() > until:
            break
    return least


def _ways(product: Product, kind: str, threads: int) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "torch", _torch(product, kind)
    if kind != "bf16":  # it has no such kernels for processors
        yield "ONNX Runtime", _onnxruntime(product, kind, threads)
    yield "OpenVINO", _openvino(product, kind, threads)


def _factors(product: Product) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Small whole numbers, which every precision holds exactly."""
    random = np.random.default_rng(0)
    batch = (product.batch,) if product.batch > 1 else ()
    left = random.integers(-8, 9, (*batch, product.m, product.k)).astype(np.float32)
    return left, random.integers(-8, 9, (*batch, product.k, product.n)).astype(np.float32)


def _torch(product: Product, kind: str) -> Callable[[], object]:
    import torch

    left, right = (torch.from_numpy(factor) for factor in _factors(product))
    if kind == "int8":
        a, b = left.to(torch.int8), right.to(torch.int8)
        return lambda: torch._int_mm(a, b)
    if kind == "bf16":
        left, right = left.bfloat16(), right.bfloat16()

    def call() -> object:
        with torch.inference_mode():
            return left @ right

    return call


def _onnxruntime(product: Product, kind: str, threads: int) -> Callable[[], object]:
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    left, right = _factors(product)
    number, result = TensorProto.FLOAT, TensorProto.FLOAT
    if kind == "int8":
        left, right = (left + 128).astype(np.uint8), right.astype(np.int8)
        number, result = TensorProto.UINT8, TensorProto.INT32
    weight = product.batch == 1
    inputs = [helper.make_tensor_value_info("a", number, left.shape)]
    if not weight:
        inputs.append(helper.make_tensor_value_info("b", number, right.shape))
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger" if kind == "int8" else "MatMul", ["a", "b"], ["y"])],
        "product",
        inputs,
        [helper.make_tensor_value_info("y", result, None)],
        [numpy_helper.from_array(right, "b")] if weight else [],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {"a": left} if weight else {"a": left, "b": right}
    return lambda: session.run(None, feeds)


def _openvino(product: Product, kind: str, threads: int) -> Callable[[], object]:
    from seemory.models.openvino_session import import_openvino

    openvino = import_openvino()
    from openvino import opset13 as ops

    left, right = _factors(product)
    number = {"fp32": openvino.Type.f32, "bf16": openvino.Type.bf16, "int8": openvino.Type.f32}[kind]
    a = ops.parameter(left.shape, number)
    parameters, x = [a], a
    if product.batch == 1:
        y = ops.constant(right.T.copy(), number)
        if kind == "int8":  # a factor in steps of 1/8 from -16 on, a weight in whole numbers: exact, and seen as 8 bits
            lowest, highest = np.float32(-16), np.float32(127 / 8)
            x = ops.fake_quantize(a, lowest, highest, lowest, highest, 256)
            whole = np.float32(-127), np.float32(127)
            y = ops.fake_quantize(y, *whole, *whole, 255)
        found = ops.matmul(x, y, False, True)
    else:
        b = ops.parameter(right.shape, number)
        parameters.append(b)
        found = ops.matmul(a, b, False, False)
    options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    options["INFERENCE_PRECISION_HINT"] = "bf16" if kind == "bf16" else "f32"
    model = openvino.Core().compile_model(openvino.Model([found], parameters), "CPU", options)
    request = model.create_infer_request()
    for parameter, factor in zip(range(len(parameters)), (left, right), strict=False):
        tensor = request.get_input_tensor(parameter)
        if kind == "bf16":
            bits = (factor.view(np.uint32) >> 16).astype(np.uint16)
            np.copyto(tensor.data.view(np.uint16), bits)
        else:
            np.copyto(tensor.data, factor)
    return request.infer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="pictures a second by precision and batch, for another program")
    given = parser.parse_args()
    rates: dict[str, dict[int, float]] = {}
    for pictures in BATCHES:
        for kind, found in ceilings(pictures, SIDE, available_cores()).items():
            rates.setdefault(kind, {})[pictures] = pictures / found.seconds
            speed = found.operations / found.seconds / 1e9
            print(f"{kind}, {pictures} pictures a pass: {pictures / found.seconds:.1f} pictures/s, {speed:.0f} G/s")
            for name, (library, one) in found.by.items():
                print(f"    {name:20} {one / 1e9:7.0f} G/s  {library}")
    if given.json:
        given.json.write_text(json.dumps(rates) + "\n")


if __name__ == "__main__":
    main()
