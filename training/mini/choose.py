"""Stage `choose`: the exported side and way of resizing, by recall on the dev pictures and by time.

A net sees things larger in its training crops than in whole pictures, so a side somewhat above the one it was trained
at does better (Touvron et al. 2019, "Fixing the train-test resolution discrepancy"). Only multiples of 32: an odd map
loses its border on the way down, and did worse than the smaller side.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from . import evaluate, export
from .sources import Split
from .towers import Towers

SIDES = (128, 160)


def run(work: Path, parts: Split) -> None:
    """Print one line for each side and way of resizing."""
    for side in SIDES:
        for mode in ("shortest", "squash"):
            with tempfile.TemporaryDirectory() as place:
                export.run(work, Path(place), side, mode)
                towers = Towers(Path(place))
            found = evaluate.recall_of(towers, parts.dev)
            pixels = towers.pixels(parts.dev[0].open())[None]
            taken = evaluate.milliseconds(lambda t=towers, p=pixels: t.visual.run(None, {"image": p}), 60)
            rounded = [[round(value, 1) for value in found[way].values()] for way in ("text_to_image", "image_to_text")]
            print(side, mode, *rounded, f"{taken['best_twentieth']:.1f} ms", flush=True)
