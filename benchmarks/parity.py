"""Prints how near Seemory's vectors are to transformers', family by family: `python benchmarks/parity.py [OUT.json]`.

The towers are small and of random weights (MiniLM's are the real ones); the code around them, which is what parity is
about, is the real one: tokenizers, preprocessing, activations, pooling, ONNX Runtime.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "models"))

from references import BUILDERS, TEXTS
from test_parity import write_pictures

from seemory.models.encoder import Encoder
from seemory.models.folder import read_folder


def main(out: Path | None = None) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "pictures"
        folder.mkdir()
        pictures = [upright for _, upright in write_pictures(folder).values()]
        for name, build in BUILDERS.items():
            reference = build(Path(scratch) / name)
            encoder = Encoder(read_folder(reference.folder))
            row = {"family": reference.family, "reference": reference.what}
            if reference.texts:
                row |= {"texts": len(TEXTS), "worst_text": worst(encoder.embed_texts(TEXTS), reference.texts(TEXTS))}
            if reference.images:
                found = worst(encoder.embed_images(pictures), reference.images(pictures))
                row |= {"pictures": len(pictures), "worst_picture": found}
            rows.append(row)
    print(f"{'family':22} {'worst cosine, words':>20} {'worst cosine, pictures':>23}  reference")
    for row in rows:
        words, seen = (f"{row[key]:.7f}" if key in row else "-" for key in ("worst_text", "worst_picture"))
        print(f"{row['family']:22} {words:>20} {seen:>23}  {row['reference']}")
    if out is not None:
        out.write_text(json.dumps(rows, indent=1) + "\n")


def worst(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float((ours * theirs).sum(axis=1).min())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
