"""A checkpoint in the one form that the exporter understands."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from seemory.errors import ModelCorrupt

Tensor = Any
"""torch's; torch is imported inside functions only."""

CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model in torch, with everything an exported folder must say about it."""

    kind: Literal["clip", "siglip", "sentence"]
    source: str
    folder: Path
    """Where the tokenizer's files lie."""
    model: Any
    """transformers' CLIPModel, SiglipModel or sentence encoder: float32, evaluation mode, plain attention."""
    dim: int
    context_length: int
    vocab_size: int
    model_cfg: Mapping[str, Any]
    """In open_clip's form; of a sentence encoder, transformers' own configuration."""
    text_reference: Callable[[Tensor, Tensor], Tensor]
    """`(n, t)` ids and mask to `(n, d)`, or `(n, t, d)` of a sentence encoder, as the checkpoint itself computes it."""
    image_reference: Callable[[Tensor], Tensor] | None = None
    """`(n, 3, s, s)` to `(n, d)`, as the checkpoint itself computes it."""
    preprocess: Mapping[str, Any] | None = None
    """In open_clip's form."""
    end_id: int | None = None
    """The token CLIP pools at."""
    lower_case_only: bool = False
    """SigLIP 2 lower-cases and keeps punctuation; the first SigLIP strips it."""

    @property
    def text_model(self) -> str:
        """Where the layout keeps the text tower."""
        return "onnx/model.onnx" if self.kind == "sentence" else "textual/model.onnx"


def document(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty when there is no such file. Raises `ModelCorrupt` when it is not JSON."""
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ModelCorrupt(f"{path} is not JSON: {error}") from error
    return found if isinstance(found, dict) else {}
