"""The towers as ONNX graphs with a free batch and a free text length.

Traced with torch's TorchScript exporter: it needs nothing beyond torch and works without a network, while the newer one
needs onnxscript. Tracing writes down one run, so everything that depends on a length is computed from the input here
and not left to transformers' mask helpers; `verify` then tries other lengths and batches.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from seemory.models.export.checkpoint import Checkpoint, Tensor

OPSET = 17
"""The first with LayerNormalization; runs in every ONNX Runtime since 1.12."""


def write_image_tower(source: Checkpoint, path: Path) -> None:
    """Write `image (batch, 3, s, s) float32 -> embedding (batch, d)`. Vectors are not yet of norm 1."""
    import torch

    def forward(parts: Any, pixels: Tensor) -> Tensor:
        pooled = parts.tower(pixel_values=pixels)[1]
        return parts.projection(pooled) if source.kind == "clip" else pooled

    model, side = source.model, model_side(source)
    parts = {"tower": model.vision_model}
    if source.kind == "clip":
        parts["projection"] = model.visual_projection
    example = torch.zeros(2, 3, side, side)
    _write(forward, parts, (example,), path, {"image": ["batch"]}, {"embedding": ["batch"]})


def write_text_tower(source: Checkpoint, path: Path) -> None:
    """Write the text tower.

    CLIP and SigLIP: `text (batch, length) int32 -> embedding (batch, d)`. Sentence encoders: `input_ids, attention_mask
    (batch, length) int64 -> last_hidden_state (batch, length, d)`, to be pooled over the mask.
    """
    import torch

    ids = torch.arange(2 * 7).reshape(2, 7) % source.vocab_size
    if source.kind == "sentence":

        def forward(parts: Any, ids: Tensor, mask: Tensor) -> Tensor:
            return parts.model(input_ids=ids, attention_mask=mask)[0]

        mask = torch.ones_like(ids)
        mask[1, 4:] = 0
        free = ["batch", "length"]
        inputs = {"input_ids": free, "attention_mask": free}
        _write(forward, {"model": source.model}, (ids, mask), path, inputs, {"last_hidden_state": free})
    else:
        tower = _clip_text(source) if source.kind == "clip" else _siglip_text()
        parts = {"tower": source.model.text_model}
        if source.kind == "clip":
            parts["projection"] = source.model.text_projection
        _write(tower, parts, (ids.int(),), path, {"text": ["batch", "length"]}, {"embedding": ["batch"]})


def model_side(source: Checkpoint) -> int:
    """The side of the square pictures, in pixels."""
    return int(source.model_cfg["vision_cfg"]["image_size"])


def _clip_text(source: Checkpoint) -> Callable[[Any, Tensor], Tensor]:
    import torch

    end = source.model.config.text_config.eos_token_id

    def forward(parts: Any, ids: Tensor) -> Tensor:
        length = ids.shape[1]
        x = _embedded(parts, ids)
        # Additive and finite: a row of nothing but -inf would give NaN. Its size follows the input.
        causal = torch.full((length, length), torch.finfo(torch.float32).min).triu(1)[None, None]  # (1, 1, t, t)
        x = parts.tower.encoder(inputs_embeds=x, attention_mask=causal)[0]
        x = parts.tower.final_layer_norm(x)
        # transformers' rule: an end id of 2 stands for configurations that meant "the highest id of the text".
        at = ids.argmax(-1) if end == 2 else (ids == end).int().argmax(-1)
        return parts.projection(x[torch.arange(ids.shape[0]), at])

    return forward


def _siglip_text() -> Callable[[Any, Tensor], Tensor]:
    def forward(parts: Any, ids: Tensor) -> Tensor:
        x = parts.tower.encoder(inputs_embeds=_embedded(parts, ids), attention_mask=None)[0]
        return parts.tower.head(parts.tower.final_layer_norm(x)[:, -1])

    return forward


def _embedded(parts: Any, ids: Tensor) -> Tensor:
    import torch

    positions = torch.arange(ids.shape[1])[None]
    return parts.tower.embeddings(input_ids=ids.long(), position_ids=positions)


def _write(
    forward: Callable[..., Tensor],
    parts: dict[str, Any],
    example: tuple[Tensor, ...],
    path: Path,
    inputs: dict[str, list[str]],
    outputs: dict[str, list[str]],
) -> None:
    import torch

    class Tower(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            for name, part in parts.items():
                self.add_module(name, part)

        def forward(self, *values: Tensor) -> Tensor:
            return forward(self, *values)

    path.parent.mkdir(parents=True, exist_ok=True)
    free = {name: dict(enumerate(axes)) for name, axes in (inputs | outputs).items()}
    # In evaluation mode from the outside in: after tracing, torch puts back the outermost module's mode on all of it.
    tower = Tower().eval()
    with _tracing(), torch.no_grad():
        torch.onnx.export(
            tower,
            example,
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=free,
        )


@contextlib.contextmanager
def _tracing() -> Iterator[None]:
    """Without the fused attention, which has no ONNX form, and without warnings about what the comparison checks."""
    import torch

    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
