"""Copies of towers whose matrix products are taken in 8 bits: made once, kept in the data folder."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from seemory.errors import ModelError
from seemory.models.fingerprint import INT8_RECIPE, Hashes, weights_of
from seemory.models.session import short

_LEFT_S = 6 * 3600
_HALF = 10  # onnx's FLOAT16


class QuantisedTowers:
    """8-bit copies of ONNX towers, in a folder, by the checksum of what they were made of.

    Weights of matrix products become signed 8-bit numbers with a scale for each column; their other factor is scaled
    anew at each pass. All else stays as it was: embeddings, convolutions, products of two activations.
    """

    def __init__(self, folder: Path, hashes: Hashes) -> None:
        self._folder = folder
        self._hashes = hashes

    def path(self, tower: Path) -> Path:
        """Where the tower's copy lies, made or not; another tower's, and another recipe's, lies elsewhere."""
        weights = hashlib.sha256(" ".join(weights_of(tower, self._hashes)).encode()).hexdigest()
        return self._folder / f"{INT8_RECIPE}-{weights[:32]}.onnx"

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
            _quantise(tower, Path(name))
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


def _quantise(tower: Path, out: Path) -> None:
    try:
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic
        from onnxruntime.quantization.quant_utils import add_pre_process_metadata
    except ImportError as error:
        raise ModelError(
            f"an 8-bit copy is made with the package onnx, which is missing ({short(error)}): "
            "pip install 'seemory[int8]'"
        ) from error
    try:
        # As a value, not by its path: of a path, a copy is written beside the model.
        model = onnx.load(str(tower))
        if _half(model):
            raise ModelError(f"{tower}: its weights are 16 bits wide; int8 is made from an export in 32 bits only.")
        add_pre_process_metadata(model)  # the graph is taken as exported; unmarked, a warning goes to the root logger
        quantize_dynamic(model, out, op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QInt8)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"{tower}: no 8-bit copy can be made of it ({short(error)}). Use it as it is: @fp32."
        ) from error


def _half(model: Any) -> bool:
    return any(weight.data_type == _HALF and weight.dims for weight in model.graph.initializer)
