"""Whether an exported folder gives the checkpoint's vectors, also for batches and lengths it was not traced with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seemory.errors import ModelCorrupt
from seemory.models.export.checkpoint import Checkpoint
from seemory.models.export.graphs import model_side

LEAST_COSINE = 0.9999
_BATCHES = (1, 3, 8)


def verify(source: Checkpoint, folder: Path) -> tuple[float | None, float]:
    """The smallest cosine between ONNX Runtime's and torch's vectors: of pictures (None without a tower) and of texts.

    Random pictures and texts, in batches of 1, 3 and 8, of several lengths up to the longest. Raises `ModelCorrupt`
    when any cosine is under 0.9999, not a number, or when the graph does not take one of the shapes.
    """
    random = np.random.default_rng(20240521)
    image = None
    if source.image_reference is not None:
        image = _least(source, folder / "visual" / "model.onnx", _pictures(source, random))
    text = _least(source, folder / source.text_model, _texts(source, random))
    return image, text


def _pictures(source: Checkpoint, random: np.random.Generator) -> Iterator[dict[str, NDArray[Any]]]:
    side = model_side(source)
    for count in _BATCHES:
        yield {"image": random.normal(size=(count, 3, side, side)).astype(np.float32)}
    # Flat and smooth pictures sit elsewhere in the activations than noise does.
    ramp = np.linspace(-2, 2, side, dtype=np.float32)
    yield {"image": np.stack([np.broadcast_to(ramp, (3, side, side)), np.zeros((3, side, side), np.float32)])}


def _texts(source: Checkpoint, random: np.random.Generator) -> Iterator[dict[str, NDArray[Any]]]:
    lengths = sorted({2, 5, min(16, source.context_length), source.context_length})
    for count, length in [(1, lengths[0]), *((3, length) for length in lengths), (8, lengths[1])]:
        ids = random.integers(3, source.vocab_size - 1, size=(count, length))
        if source.kind == "clip":
            ids[ids == source.end_id] = 1
        real = random.integers(2, length + 1, size=count)
        real[0] = length  # one text without any padding
        mask = (np.arange(length) < real[:, None]).astype(np.int64)
        if source.kind == "clip":
            assert source.end_id is not None  # CLIP pools there
            ids[mask == 0] = 0
            ids[np.arange(count), real - 1] = source.end_id
        elif source.kind == "sentence":
            yield {"input_ids": ids * mask, "attention_mask": mask}
            continue
        yield {"text": ids.astype(np.int32)}


def _least(source: Checkpoint, path: Path, trials: Iterator[dict[str, NDArray[Any]]]) -> float:
    import onnxruntime
    import torch

    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common public base
        raise ModelCorrupt(f"{path.name} of {source.source} does not load in ONNX Runtime: {error}") from error
    least = 1.0
    for feeds in trials:
        shape = next(iter(feeds.values())).shape
        try:
            found = session.run(None, feeds)[0]
        except Exception as error:
            raise ModelCorrupt(f"the export of {source.source} does not take the shape {shape}: {error}") from error
        with torch.no_grad():
            expected = _reference(source, feeds).numpy()
        if "attention_mask" in feeds:
            kept = feeds["attention_mask"] == 1
            found, expected = found[kept], expected[kept]
        cosine = _cosines(found, expected).min() if found.shape == expected.shape else np.nan
        if not cosine >= LEAST_COSINE:  # also when it is not a number
            raise ModelCorrupt(
                f"the export of {source.source} is not faithful: cosine {cosine:.6f} to the checkpoint in "
                f"{path.parent.name}/{path.name} for input {shape}, {LEAST_COSINE} is needed. Nothing was written"
            )
        least = min(least, float(cosine))
    return least


def _reference(source: Checkpoint, feeds: dict[str, NDArray[Any]]) -> Any:
    import torch

    if "image" in feeds and source.image_reference is not None:
        return source.image_reference(torch.from_numpy(feeds["image"]))
    ids = torch.from_numpy(feeds.get("text", feeds.get("input_ids"))).long()
    mask = torch.from_numpy(feeds["attention_mask"]) if "attention_mask" in feeds else torch.ones_like(ids)
    return source.text_reference(ids, mask)


def _cosines(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    a, b = one.astype(np.float64), other.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines: NDArray[np.float64] = (a * b).sum(-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))
    # Rounding may carry a cosine of one a hair beyond it.
    return np.minimum(cosines, 1.0)
