"""Stage `evaluate`: every figure of the model card, from the exported files, into figures.json."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import abilities, export, words
from .abilities import captions_of, recall_of
from .sources import Picture, Split
from .towers import Towers

EXAMPLES = 6


def milliseconds(call: Callable[[], object], runs: int = 200) -> dict[str, float]:
    """Median and 5th percentile of `runs` calls, after ten to warm up."""
    for _ in range(10):
        call()
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - began))
    return {"median": float(np.median(taken)), "best_twentieth": float(np.percentile(taken, 5))}


def worst(towers: Towers, pictures: list[Picture]) -> list[dict[str, object]]:
    """The captions whose own picture comes latest, one a picture."""
    captions, owner = captions_of(pictures)
    cosine = towers.texts(captions) @ towers.pictures([picture.open() for picture in pictures]).T
    ahead = (cosine > cosine[np.arange(len(owner)), owner][:, None]).sum(1)
    found: dict[int, dict[str, object]] = {}
    for i in np.argsort(-ahead):
        found.setdefault(int(owner[i]), {"caption": captions[i].strip(" ."), "rank": int(ahead[i]) + 1})
    return list(found.values())[:EXAMPLES]


def run(data: Path, work: Path, parts: Split, folder: Path) -> None:
    """Measure the rest, and write it with what `compare` found to figures.json in the work folder."""
    towers = Towers(folder)
    with tempfile.TemporaryDirectory() as place:
        export.run(work, Path(place), towers.wanted["size"][0], towers.wanted["resize_mode"], "float32")
        whole = Towers(Path(place))
        export.run(work, Path(place), towers.wanted["size"][0], towers.wanted["resize_mode"], "float32", joined=False)
        apart = Towers(Path(place))
    pictures = [picture.open() for picture in parts.reserved]
    captions, _ = captions_of(parts.reserved)
    pixels = towers.pixels(pictures[0])[None]
    eight = np.repeat(pixels, 8, 0)
    ids = np.array([towers.tokenizer.encode(captions[0]).ids], np.int64)
    figures: dict[str, Any] = {
        "bytes": {
            str(path.relative_to(folder)): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()
        },
        "side": towers.wanted["size"][0],
        "dim": int(towers.texts([""]).shape[1]),
        "resize_mode": towers.wanted["resize_mode"],
        "milliseconds": {
            "picture": milliseconds(lambda: towers.visual.run(None, {"image": pixels})),
            "picture_of_8": milliseconds(lambda: towers.visual.run(None, {"image": eight}), 60),
            "query": milliseconds(lambda: towers.textual.run(None, {"text": ids})),
            "query_words": len(captions[0].split()),
        },
        "reserved": {
            "pictures": len(parts.reserved),
            "captions": len(captions),
            "float32": recall_of(whole, parts.reserved),
        },
        "dev": {
            "pictures": len(parts.dev),
            "apart": recall_of(apart, parts.dev),
            "worst": worst(towers, parts.dev),
        },
        "fidelity": {
            "picture": float((towers.pictures(pictures) * whole.pictures(pictures)).sum(1).mean()),
            "text": float((towers.texts(captions) * whole.texts(captions)).sum(1).mean()),
        },
        "sts_of_minilm": {},
        "columns": json.loads((work / "columns.json").read_text(encoding="utf-8")),
        "trained": export.trained(work),
    }
    figures["sts_of_minilm"] = abilities.similar(words.MiniLM(), data)
    (work / "figures.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))
