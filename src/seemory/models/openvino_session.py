"""A tower in OpenVINO, which has kernels of its own: 8-bit ones, and bfloat16 where the processor has it."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from seemory.errors import ModelCorrupt, ModelError
from seemory.models.precision import Precision
from seemory.models.session import Array, Port, available_cores, short

# In int8 all but the products with weights is in fp32.
_HINTS: dict[Precision, str] = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
_TELEMETRY = "openvino_telemetry"


class OpenVinoSession:
    """A tower in OpenVINO on the CPU, calculating in the precision that is named and in no other.

    For int8 the file has its weights in 8 bits (`QuantisedTowers` in the form `weights`).
    Raises ModelError without the package, ModelCorrupt when the file is no model OpenVINO can load.
    """

    def __init__(self, path: Path, threads: int | None = None, *, precision: Precision = "fp32") -> None:
        openvino = import_openvino()
        options = {
            # Left alone, OpenVINO takes bfloat16 wherever the processor has it, also for a tower that is to be fp32.
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads or available_cores(),
        }
        try:
            core = openvino.Core()
            model = core.read_model(str(path))
            if precision == "int8":
                # How many of a row's numbers share a scale. More than a row has, and nothing is taken in 8 bits.
                options["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = _common_width(model)
            self._model = core.compile_model(model, "CPU", options)
        except Exception as error:
            raise ModelCorrupt(
                f"{path}: OpenVINO cannot load it ({short(error)}). Let ONNX Runtime run it "
                "(SEEMORY_MODELS__RUNTIME=onnxruntime), or fetch or export the model again."
            ) from error
        self._path = path
        self._inputs = tuple(_port(item) for item in self._model.inputs)
        self._outputs = tuple(_port(item) for item in self._model.outputs)
        # A request serves one call at a time and keeps its buffers; threads take one from here and put it back.
        self._idle: list[Any] = []

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The declared inputs."""
        return self._inputs

    @property
    def outputs(self) -> tuple[Port, ...]:
        """The declared outputs."""
        return self._outputs

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        """All outputs. Raises ModelError when the tower refuses its inputs."""
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._model.create_infer_request()
        try:
            request.infer(dict(feeds), share_inputs=True)
            found = [np.array(request.get_output_tensor(index).data) for index in range(len(self._outputs))]
        except Exception as error:
            raise ModelError(f"{self._path}: the model refused its input ({short(error)}).") from error
        self._idle.append(request)
        return found


def import_openvino() -> ModuleType:
    """The package, without its telemetry. Raises ModelError, which names the extra, where it is not installed.

    `import openvino` reports itself to Google Analytics and leaves a client id in the user's home folder. Its own way
    out is used: where the module that sends is not there, it takes a stub. A program that has loaded it is let be.
    """
    hidden = _TELEMETRY not in sys.modules
    if hidden:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        import openvino
    except ImportError as error:
        raise ModelError(
            f"this needs OpenVINO, which cannot be loaded here ({short(error)}): pip install 'seemory[openvino]'"
        ) from error
    finally:
        if hidden:
            sys.modules.pop(_TELEMETRY, None)
    return openvino  # type: ignore[no-any-return]


def has_bf16() -> bool:
    """Whether this processor calculates in bfloat16, as OpenVINO sees it. Raises ModelError without the package."""
    return "BF16" in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _common_width(model: Any) -> int:
    """The widest group that divides every row of 8-bit weights: the row itself, but of one that is several times as
    wide as the others. 0, which means not to, where there are no such weights."""
    widths = [int(node.shape[1]) for node in model.get_ordered_ops() if _is_weight(node)]
    return math.gcd(*widths)


def _is_weight(node: Any) -> bool:
    return node.get_type_name() == "Constant" and len(node.shape) == 2 and node.get_element_type().type_name == "i8"


def _port(item: Any) -> Port:
    shape = tuple(None if size.is_dynamic else int(size.get_length()) for size in item.partial_shape)
    return Port(item.any_name, np.dtype(item.get_element_type().to_dtype()).type, shape)
