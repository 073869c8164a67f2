"""A frozen tower's ONNX graph, cut where the features were read, and continued by a head."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from seemory.alignment.aligner import Aligner
from seemory.alignment.token_cut import TOKENS, Cut, load_tower, with_tokens
from seemory.errors import UsageError
from seemory.models.encoder import Encoder
from seemory.models.session import OnnxSession
from seemory.models.towers import choose_output, image_port

LEAST_OPSET, MOST_OPSET = 17, 20
"""What torch's exporter writes with a LayerNormalization of its own."""

_BASE, _HEAD, _EMBEDDING = "base_", "head_", "embedding"


class _PictureHead(nn.Module):  # type: ignore[misc]
    def __init__(self, head: nn.Module, pooled: bool) -> None:
        super().__init__()
        self.head, self.pooled = head, pooled

    def forward(self, features: Tensor) -> Tensor:
        """`(b, t, d)`, or, pooled, `(b, d)` of any norm, to `(b, out)`."""
        return self.head(F.normalize(features, dim=-1).unsqueeze(1) if self.pooled else features)


class _TextHead(nn.Module):  # type: ignore[misc]
    """States and their mask to vectors; pooled ones as the encoder pools them."""

    def __init__(self, head: nn.Module, pooled: bool, rule: str) -> None:
        super().__init__()
        self.head, self.pooled, self.rule = head, pooled, rule

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """`(b, t, d)` and `(b, t)` int64 to `(b, out)`."""
        if not self.pooled:
            return self.head(states, mask > 0)
        if self.rule == "cls":
            vectors = states[:, 0]
        else:
            weights = mask.unsqueeze(-1).to(states.dtype)
            vectors = (states * weights).sum(dim=1) / weights.sum(dim=1).clamp_min(1e-9)
        return self.head(F.normalize(vectors, dim=-1).unsqueeze(1))


def write_picture_tower(path: Path, aligner: Aligner, encoder: Encoder, cut: Cut | None) -> None:
    """Write `image -> embedding (batch, out)`, not of norm 1: the encoder's picture tower with the head.

    Raises:
        UsageError: the graphs cannot be joined.
    """
    assert encoder.folder.image_model is not None
    base = load_tower(encoder.folder.image_model)
    pooled = aligner.config.image.input == "pooled"
    session = OnnxSession(encoder.folder.image_model, 1)
    entry = image_port(session).name
    if pooled:
        source = _output(session, encoder, "image")
        example = torch.zeros(2, encoder.dim)
    else:
        assert cut is not None
        base, source = with_tokens(base, cut), TOKENS
        example = torch.zeros(2, cut.positions, cut.width)
    base = _raised(base)
    head = _exported(_PictureHead(aligner.pictures, pooled), (example,), ["features"], {0: "batch"}, _opset(base))
    _save(_joined(base, head, source, [entry]), path)


def write_text_tower(path: Path, aligner: Aligner, encoder: Encoder) -> None:
    """Write the encoder's inputs `-> embedding (batch, out)`, not of norm 1.

    Raises:
        UsageError: the tower pools in a way that has no graph here, or the graphs cannot be joined.
    """
    assert encoder.folder.text_model is not None
    session, _, output = encoder.text_tower()
    base = _raised(load_tower(encoder.folder.text_model))
    ports = [port.name for port in session.inputs]
    pooled = aligner.config.text.input == "pooled"
    shape = session.outputs[output].shape
    source = session.outputs[output].name
    if len(shape) != 3:
        example = torch.zeros(2, encoder.dim)
        head = _exported(_PictureHead(aligner.texts, True), (example,), ["features"], {0: "batch"}, _opset(base))
        _save(_joined(base, head, source, ports), path)
        return
    rule = encoder.spec.text.pooling if encoder.spec.text else "mean"
    masks = [port.name for port in session.inputs if "mask" in port.name]
    if (pooled and rule not in ("mean", "cls")) or len(masks) != 1:
        raise UsageError(
            f"{encoder.name} pools its texts by {rule}, without a mask: such a text tower cannot be joined"
        )
    width = shape[2] or encoder.dim
    states, mask = torch.randn(2, 5, width), torch.ones(2, 5, dtype=torch.long)
    mask[1, 3:] = 0
    free = {0: "batch", 1: "length"}
    module = _TextHead(aligner.texts, pooled, rule)
    head = _exported(module, (states, mask), ["features", "mask"], free, _opset(base))
    joined = _joined(base, head, source, ports, same={f"{_HEAD}mask": masks[0]})
    _save(joined, path)


def _output(session: OnnxSession, encoder: Encoder, side: str) -> str:
    place = choose_output(session, "image" if side == "image" else "text", encoder.dim, None)
    if len(session.outputs[place].shape) == 3:
        raise UsageError(f"{encoder.name} gives its {side} vectors by position: train on tokens, and export that")
    return session.outputs[place].name


def _exported(
    module: nn.Module, example: tuple[Tensor, ...], names: list[str], free: dict[int, str], opset: int
) -> Any:
    import onnx

    written = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of what tracing writes down as constants; the comparison would show it
        torch.onnx.export(
            module.eval(),
            example,
            written,
            dynamo=False,
            opset_version=min(max(opset, LEAST_OPSET), MOST_OPSET),
            input_names=names,
            output_names=[_EMBEDDING],
            dynamic_axes=dict.fromkeys(names, free) | {_EMBEDDING: {0: "batch"}},
        )
    return onnx.load_from_string(written.getvalue())


def _joined(base: Any, head: Any, source: str, entries: Sequence[str], same: dict[str, str] | None = None) -> Any:
    """The base's graph up to `source` and the head's behind it; `same` names head's inputs that are the base's too."""
    import onnx
    from onnx import compose, version_converter

    if _opset(head) != _opset(base):
        head = version_converter.convert_version(head, _opset(base))
    head.ir_version = base.ir_version = max(head.ir_version, base.ir_version)
    base = compose.add_prefix(base, _BASE, rename_inputs=False)
    head = compose.add_prefix(head, _HEAD, rename_outputs=False)
    try:
        model = compose.merge_models(base, head, io_map=[(f"{_BASE}{source}", f"{_HEAD}features")])
    except ValueError as error:
        raise UsageError(f"the tower's graph cannot be continued by a head ({error})") from error
    for own, theirs in (same or {}).items():
        for node in model.graph.node:
            for place, name in enumerate(node.input):
                if name == own:
                    node.input[place] = theirs
        for port in [port for port in model.graph.input if port.name == own]:
            model.graph.input.remove(port)
    present = {port.name for port in model.graph.input}
    # What led to the tower's own vectors only is left out.
    return onnx.utils.Extractor(model).extract_model([name for name in entries if name in present], [_EMBEDDING])


def _opset(model: Any) -> int:
    return max((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), default=LEAST_OPSET)


def _raised(model: Any) -> Any:
    """The graph in an opset that a head can be written in."""
    from onnx import version_converter

    return model if _opset(model) >= LEAST_OPSET else version_converter.convert_version(model, LEAST_OPSET)


def _save(model: Any, path: Path) -> None:
    import onnx

    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path), save_as_external_data=model.ByteSize() > 2**31 - 2**20)
