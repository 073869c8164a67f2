"""Running an exported tower: a seam of one method, and ONNX Runtime behind it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from seemory.errors import ModelCorrupt, ModelError

Array = NDArray[Any]

_DTYPES: dict[str, type[np.generic]] = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(bool)": np.bool_,
    "tensor(uint8)": np.uint8,
}


CUDA = "CUDAExecutionProvider"
_NO_CUDA = (
    "ONNX Runtime can use no CUDA device here: it needs one, its driver, and onnxruntime-gpu in the place of "
    "onnxruntime (pip uninstall onnxruntime; pip install 'onnxruntime-gpu[cuda,cudnn]')."
)


_SPINS_FOR_A_TIME = (1, 26)
"""The release of ONNX Runtime that can be told how long idle threads spin."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output as the export declares it; a free dimension is None."""

    name: str
    dtype: type[np.generic]
    shape: tuple[int | None, ...]


class Session(Protocol):
    """A loaded tower. Another accelerator is another class with this shape."""

    @property
    def inputs(self) -> tuple[Port, ...]:
        """What it wants."""

    @property
    def outputs(self) -> tuple[Port, ...]:
        """What it gives."""

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        """All outputs, in the order of `outputs`. May be called from several threads at once."""


class OnnxSession:
    """A tower in ONNX Runtime on the CPU, or on a CUDA device, in the precision of its weights.

    Raises ModelCorrupt when the file is no model ONNX Runtime can load, ModelError when there is no CUDA device to use.
    """

    def __init__(
        self,
        path: Path,
        threads: int | None = None,
        *,
        cuda: bool = False,
        exact_products: bool = False,
        optimised: bool = False,
        save: Path | None = None,
    ) -> None:
        """Loaded and ready.

        Args:
            path: the ONNX file.
            threads: of one pass; by default all cores.
            cuda: on the CUDA device.
            exact_products: take the slower 8-bit kernels, which cannot saturate.
            optimised: the file is what `save` wrote, here and by this release.
            save: write what is loaded there too, once it is optimised, with the weights in a file beside it.
        """
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or available_cores()
        options.inter_op_num_threads = 1
        for key, value in _spinning(ort.__version__).items():
            options.add_session_config_entry(f"session.intra_op.{key}", value)
        # Texts come in all lengths; a memory plan for each would only grow.
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        if exact_products:
            options.add_session_config_entry("session.x64quantprecision", "1")
        if optimised:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        if save is not None:
            options.optimized_model_filepath = str(save)
            weights = "session.optimized_model_external_initializers"
            options.add_session_config_entry(f"{weights}_file_name", f"{save.stem}.bin")
            options.add_session_config_entry(f"{weights}_min_size_in_bytes", "1024")
        providers: list[object] = ["CPUExecutionProvider"]
        if cuda:
            if CUDA not in ort.get_available_providers():
                raise ModelError(_NO_CUDA)
            # TF32 keeps 10 bits of a product's factors: its vectors would not be fp32's.
            providers.insert(0, (CUDA, {"use_tf32": "0"}))
        try:
            self._session = ort.InferenceSession(str(path), options, providers=providers)
        except Exception as error:
            raise ModelCorrupt(
                f"{path}: ONNX Runtime cannot load it ({short(error)}). Fetch the model again (`seemory models pull`) "
                "or export it again."
            ) from error
        if cuda and CUDA not in self._session.get_providers():  # it falls back by itself, and only logs it
            raise ModelError(_NO_CUDA)
        self._path = path
        self._inputs = tuple(_port(item, path) for item in self._session.get_inputs())
        self._outputs = tuple(_port(item, path) for item in self._session.get_outputs())

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
            return list(self._session.run(None, dict(feeds)))
        except Exception as error:
            raise ModelError(f"{self._path}: the model refused its input ({short(error)}).") from error


def _spinning(version: str) -> dict[str, str]:
    """How idle threads of that release of ONNX Runtime wait for work.

    Waking a sleeping thread costs a short text's every product some 20 µs, a quarter of the pass; a thread that stays
    awake for as long as that saves it, and processor time too. Spinning for milliseconds, as the release's own way is,
    cost 40 % more processor time a picture beside decode workers, and made no pass shorter: rather none at all.
    """
    major, minor, *_ = (int(part) for part in version.split(".")[:2])
    if (major, minor) < _SPINS_FOR_A_TIME:
        return {"allow_spinning": "0"}
    return {"allow_spinning": "1", "spin_duration_us": "20"}


def available_cores() -> int:
    """The cores this process may use: at most what `taskset` or a container's share of the processor leaves it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, quota(Path("/sys/fs/cgroup")) or cores))


def quota(cgroup: Path) -> int | None:
    """The cores that a Linux control group allows, rounded up (`docker run --cpus 1.5` is 2); None: no limit is told.

    Its folder is read in either version: `cpu.max`, or `cpu/cpu.cfs_quota_us` and `cpu/cpu.cfs_period_us`.
    """
    try:
        allowed, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            allowed = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text()
        except OSError:
            return None
    try:
        return math.ceil(int(allowed) / int(period)) if int(allowed) > 0 else None
    except (ValueError, ZeroDivisionError):  # "max"
        return None


def _port(item: Any, path: Path) -> Port:
    if item.type not in _DTYPES:
        raise ModelCorrupt(f"{path}: {item.name} is of type {item.type}, which no known tower has.")
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in (item.shape or ()))
    return Port(item.name, _DTYPES[item.type], shape)


def short(error: Exception) -> str:
    """A library's message on one line, cut to 300 characters."""
    return " ".join(str(error).split())[:300]
