"""The least that ViT-B/32's text tower can take in 8 bits: its products with weights, all 72 in a row and nothing else.

A query of n words has n + 2 rows. Per layer four products (rows, 512)·(512, 512), one (rows, 512)·(512, 2048) and one
(rows, 2048)·(2048, 512): 38 million weights that are read once a pass, so none is in the nearest caches when its turn
comes. Quantising, scales, norms, attention and activations come on top.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.ceiling import fastest

_WIDTH, _LAYERS = 512, 12
_SHAPES = 4 * [(_WIDTH, _WIDTH)] + [(_WIDTH, 4 * _WIDTH), (4 * _WIDTH, _WIDTH)]


def least_ms(rows: int, threads: int) -> dict[str, float]:
    """Milliseconds of the fastest pass, by library."""
    ways = {"ONNX Runtime": _onnxruntime(rows, threads), "torch": _torch(rows, threads)}
    return {name: fastest(call) * 1000 for name, call in ways.items()}


def _onnxruntime(rows: int, threads: int) -> Callable[[], object]:
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    weights, nodes = [], []
    for n, (deep, wide) in enumerate(_LAYERS * _SHAPES):
        weights.append(numpy_helper.from_array(random.integers(-127, 128, (deep, wide), np.int8), f"w{n}"))
        nodes.append(helper.make_node("MatMulInteger", [f"a{deep}", f"w{n}"], [f"y{n}"]))
    given = {
        f"a{deep}": random.integers(0, 256, (rows, deep), np.uint8) for deep in sorted({deep for deep, _ in _SHAPES})
    }
    graph = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info(name, TensorProto.UINT8, one.shape) for name, one in given.items()],
        [helper.make_tensor_value_info(node.output[0], TensorProto.INT32, None) for node in nodes],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, given)


def _torch(rows: int, threads: int) -> Callable[[], object]:
    import torch

    torch.set_num_threads(threads)
    enough = max(rows, 17)  # its kernel takes no fewer
    factors = [
        (torch.randint(-127, 128, (enough, deep), dtype=torch.int8), torch.randint(-127, 128, shape, dtype=torch.int8))
        for shape in _LAYERS * _SHAPES
        for deep in shape[:1]
    ]

    def call() -> object:
        with torch.inference_mode():
            return [torch._int_mm(left, right) for left, right in factors]

    return call
