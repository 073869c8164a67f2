"""A picture network in a TensorFlow Lite file, with the map before its pooling read out as positions."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from seemory.alignment.nets import Shown
from seemory.errors import ModelCorrupt, UsageError
from seemory.models.preprocess import apply
from seemory.types import Pixels, Preprocess, Vectors

_POOLS = ("AVERAGE_POOL_2D", "MEAN")


class TfliteNet:
    """A network of one picture input, `(1, s, s, 3)` uint8; its positions are what its last pooling takes.

    That map is declared as an output in the file's own form, so that the fast kernels still compute it.
    """

    def __init__(self, path: Path, *, tokens: bool = True, threads: int = 1) -> None:
        """Loaded and ready; `tokens` says whether `show` gives them.

        Raises:
            UsageError: the file cannot be read, or the runtime is not installed.
            ModelCorrupt: it is no such network.
        """
        try:
            import flatbuffers
            from ai_edge_litert import schema_py_generated as schema
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise UsageError(
                f"a .tflite network needs ai-edge-litert ({error}): pip install 'seemory[align]'"
            ) from error
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error}") from error
        try:
            model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
            graph = model.subgraphs[0]
            logits, before = int(graph.outputs[0]), _pooled_from(model, schema)
            self._layer = graph.tensors[before].name.decode()
            graph.outputs = [logits, before]
            builder = flatbuffers.Builder(len(content))
            builder.Finish(model.Pack(builder), b"TFL3")
            self._net = Interpreter(model_content=bytes(builder.Output()), num_threads=threads)
            self._net.allocate_tensors()
            given = self._net.get_input_details()[0]
            first, second = self._net.get_output_details()
        except ModelCorrupt:
            raise
        except Exception as error:  # the schema's reader raises whatever a cut file makes of its offsets
            raise ModelCorrupt(f"{path} is no network that can be used ({type(error).__name__}: {error}).") from error
        shape = tuple(int(side) for side in given["shape"])
        if len(shape) != 4 or shape[0] != 1 or shape[1] != shape[2] or shape[3] != 3 or given["dtype"] is not np.uint8:
            raise ModelCorrupt(f"{path} takes {shape}, and one (1, s, s, 3) uint8 picture is needed.")
        self._tokens = tokens
        self.name = str(path.absolute())
        self.fingerprint = hashlib.sha256(content + (self._layer if tokens else "pooled").encode()).hexdigest()
        self._given, self._logits, self._map = given["index"], _Output(first), _Output(second)
        # As the network's own published evaluation squares pictures: the middle, and no more than that.
        self._rule = Preprocess(size=shape[1])

    @property
    def layer(self) -> str | None:
        """The name of the map's tensor."""
        return self._layer if self._tokens else None

    @property
    def side(self) -> int:
        """Of its squares, in pixels."""
        return self._rule.size

    def square(self, image: Image.Image) -> Pixels:
        """Shortest side to its size, and the middle."""
        return apply(self._rule, image)

    def logits_and_map(self, square: Pixels) -> tuple[Vectors, Vectors]:
        """`(classes,)` and `(h, w, d)` float32 of one `(s, s, 3)` uint8 square."""
        self._net.set_tensor(self._given, square[None])
        self._net.invoke()
        return self._logits.read(self._net), self._map.read(self._net)

    def show(self, squares: Pixels) -> Shown:
        """`tokens (n, h * w, d)`, not negative; `pooled` their mean, brought to norm 1 after its root is taken.

        The root evens out features after a ReLU, of which a few are large (Arandjelović and Zisserman 2012, RootSIFT).
        """
        maps = np.stack([self.logits_and_map(square)[1] for square in squares])
        tokens = maps.reshape(len(maps), -1, maps.shape[-1])
        root = np.sqrt(np.maximum(tokens.mean(axis=1), 0))
        pooled = root / np.maximum(np.linalg.norm(root, axis=1, keepdims=True), 1e-9)
        return Shown(pooled, tokens if self._tokens else None)


class _Output:
    """Where an output lies, and what its steps mean."""

    def __init__(self, detail: Any) -> None:
        self._index = detail["index"]
        scale, zero = detail["quantization"]
        self._scale: float = scale or 1.0
        self._zero: int = zero

    def read(self, net: Any) -> Vectors:
        found: Vectors = (net.get_tensor(self._index)[0].astype(np.float32) - self._zero) * self._scale
        return found


def _pooled_from(model: Any, schema: Any) -> int:
    """The number of the tensor that the last pooling over a map takes."""
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    graph = model.subgraphs[0]
    for operator in reversed(graph.operators):
        code = model.operatorCodes[operator.opcodeIndex]
        if names.get(max(code.builtinCode, code.deprecatedBuiltinCode)) in _POOLS:
            shape = list(graph.tensors[operator.inputs[0]].shape)
            if len(shape) == 4 and shape[1] > 1:
                return int(operator.inputs[0])
    raise ModelCorrupt("the network pools no map: it has no features for positions")
