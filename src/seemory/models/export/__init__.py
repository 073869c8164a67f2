"""A checkpoint becomes an ONNX folder that Seemory loads: traced, then compared with the checkpoint before it counts.

`seemory models export CHECKPOINT OUT`. CLIP and SigLIP become Immich's layout, BERT-like sentence encoders that of
sentence-transformers. Batch and text length stay free. Torch and transformers are needed here and nowhere else.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from seemory.errors import UsageError
from seemory.models.export import files, graphs, verify
from seemory.models.export import source as sources
from seemory.telemetry import Progress, ProgressListener, ignore

_NEEDED = ("torch", "transformers", "safetensors", "onnx")
_STEPS = 4


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written, and how close it is to the checkpoint."""

    folder: Path
    kind: str
    """clip, siglip or sentence."""
    source: str
    dim: int
    image_cosine: float | None
    """The smallest cosine between a picture's vector in ONNX Runtime and in torch; None without an image tower."""
    text_cosine: float | None
    """The same for texts of several lengths; of sentence encoders, over every token's vector."""
    opset: int
    bytes: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """The report as the document that `--json` prints."""
        return asdict(self) | {"folder": str(self.folder)}


def export(
    checkpoint: str | Path, out: Path, *, name: str | None = None, listen: ProgressListener = ignore
) -> ExportReport:
    """Write the checkpoint as an ONNX folder at `out` and return how faithful it is (smallest cosines, width, size).

    `checkpoint` is a folder of transformers (CLIP, SigLIP, BERT-like) or OpenCLIP (ViT), a weights file of OpenAI's
    form, or a hub id such as `openai/clip-vit-base-patch32`. `name` is noted in the folder's config.json (default: the
    folder's own name). `out` appears only after every vector agreed to a cosine of 0.9999.

    Raises `UsageError` (extra not installed, `out` exists, a form that is not supported), `ModelNotFound` and
    `ModelUnavailable` (no such folder or hub id), `ModelCorrupt` (damaged weights, or an export that is not faithful).
    """
    if missing := [package for package in _NEEDED if find_spec(package) is None]:
        raise UsageError(f"exporting needs {', '.join(missing)}: pip install 'seemory[export]'")
    if out.exists():
        raise UsageError(f"{out} exists already: remove it or name another folder")
    begin = time.monotonic()
    listen(Progress("read checkpoint", 0, _STEPS, "steps"))
    source = sources.read(checkpoint)
    with _staging(out) as folder:
        files.write(source, folder, name or out.name)
        listen(Progress("write image tower", 1, _STEPS, "steps"))
        if source.preprocess is not None:
            graphs.write_image_tower(source, folder / "visual" / "model.onnx")
        listen(Progress("write text tower", 2, _STEPS, "steps"))
        graphs.write_text_tower(source, folder / source.text_model)
        listen(Progress("compare with the checkpoint", 3, _STEPS, "steps"))
        image_cosine, text_cosine = verify.verify(source, folder)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        folder.replace(out)
    listen(Progress("done", _STEPS, _STEPS, "steps"))
    return ExportReport(
        folder=out,
        kind=source.kind,
        source=str(checkpoint),
        dim=source.dim,
        image_cosine=image_cosine,
        text_cosine=text_cosine,
        opset=graphs.OPSET,
        bytes=size,
        seconds=round(time.monotonic() - begin, 3),
    )


@contextmanager
def _staging(out: Path) -> Iterator[Path]:
    """A folder beside `out`, on the same disk, that is gone afterwards unless it was moved to its place."""
    folder = out.with_name(f".{out.name}.{os.getpid()}.partial")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
