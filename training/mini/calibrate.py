"""Stage `calibrate`: what the raw cosines mean, measured on pictures that were kept from neither tower's training side.

The pictures for choosing (dev) give the pairs: they were not trained on, so their cosines are those of new pictures.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from . import export, measure
from .sources import Split
from .targets import views
from .towers import Towers


def off_diagonal(cosine: np.ndarray, owner: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Cosines of the pairs that do not belong together."""
    return cosine[owner[:, None] != other[None, :]]


def run(parts: Split, folder: Path) -> None:
    """Write calibration.json."""
    towers = Towers(folder)
    pictures = towers.pictures([picture.open() for picture in parts.dev])
    again = towers.pictures([views(picture, 3, [2, i])[2][0] for i, picture in enumerate(parts.dev)])
    captions = [caption for picture in parts.dev for caption in picture.captions]
    owner = np.concatenate([[i] * len(picture.captions) for i, picture in enumerate(parts.dev)])
    sentences = towers.texts(captions)
    each = np.arange(len(pictures))
    across = sentences @ pictures.T
    among = sentences @ sentences.T
    same = (owner[:, None] == owner[None, :]) & ~np.eye(len(owner), dtype=bool)
    found = {
        "text_to_image": measure.spread(off_diagonal(across, owner, each), across[np.arange(len(owner)), owner]),
        "image_to_image": measure.spread(off_diagonal(pictures @ pictures.T, each, each), (pictures * again).sum(1)),
        "text_to_text": measure.spread(off_diagonal(among, owner, owner), among[same]),
    }
    export.write_json(folder / "calibration.json", found)
