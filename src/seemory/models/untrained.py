"""The same network before any training: a copy of a tower whose weights are drawn anew.

What such an encoder's space looks like is what the architecture alone gives; all the rest is the training's doing.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from seemory.errors import ModelError
from seemory.models.folder import ModelFolder
from seemory.models.session import short

_SPREAD = 0.02  # of BERT's matrices and embeddings (Devlin et al. 2019), and of CLIP's


def untrained_texts(folder: ModelFolder, out: Path, *, seed: int = 0) -> ModelFolder:
    """The encoder with its text tower as it would be before training, written below `out`; its pictures are left out.

    Matrices are drawn from a normal distribution (std 0.02; kernels of convolutions: He et al. 2015), biases are 0, and
    what scales a normalised layer is 1. Tokenizer, pooling and shape stay.

    Raises:
        ModelError: the package `onnx` is missing, there is no text tower, or it has no weights that could be drawn.
    """
    if folder.text_model is None:
        raise ModelError(f"{folder.spec.name} has no text tower that could be untrained")
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise ModelError("drawing weights anew needs the package onnx: pip install 'seemory[int8]'") from error
    out.mkdir(parents=True, exist_ok=True)
    try:
        model = onnx.load(str(folder.text_model))
        drawn = _draw(model.graph, numpy_helper, np.random.default_rng(seed))
        if not drawn:
            raise ModelError(f"{folder.text_model} has no weights of float numbers that could be drawn anew")
        tower = out / "model.onnx"
        onnx.save(model, str(tower), save_as_external_data=model.ByteSize() > 1_500_000_000)
        del model
    except ModelError:
        raise
    except Exception as error:  # onnx and protobuf have no error of their own in common
        raise ModelError(f"{folder.text_model} cannot be rewritten ({short(error)})") from error
    if folder.tokenizer is not None:
        shutil.copy(folder.tokenizer, out / "tokenizer.json")
    spec = replace(folder.spec, name=f"{folder.spec.name} untrained", preprocess=None, towers=("text",))
    return ModelFolder(path=out, spec=spec, text_model=tower, tokenizer=folder.tokenizer)


def _draw(graph: Any, numpy_helper: Any, random: np.random.Generator) -> int:
    """How many arrays of weights were drawn."""
    scales = {node.input[1] for node in graph.node if node.op_type == "LayerNormalization" and len(node.input) > 1}
    drawn = 0
    for weight in graph.initializer:
        array = numpy_helper.to_array(weight)
        if array.dtype.kind != "f" or array.size < 2:
            continue  # whole numbers are shapes and places, single ones belong to the formulas
        if array.ndim == 1:
            fresh = np.full(array.shape, 1.0 if _scales(weight.name, scales) else 0.0)
        else:
            spread = _SPREAD if array.ndim == 2 else math.sqrt(2.0 / max(1, array[0].size))
            fresh = random.normal(0.0, spread, array.shape)
            drawn += 1
        weight.CopyFrom(numpy_helper.from_array(fresh.astype(array.dtype), weight.name))
    return drawn


def _scales(name: str, scales: set[str]) -> bool:
    return name in scales or ("norm" in name.lower() and name.lower().endswith("weight"))
