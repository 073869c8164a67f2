"""Measures where photographs' figures and sums lie, and prints seemory/advisors/scales.py from it.

    python -m benchmarks.dimension_scales DIR [DIR ...] > src/seemory/advisors/scales.py

Only pictures whose longer side has 384 pixels at least are taken, since smaller ones are soft at the size that is
measured at; and only those of the half that `dimension_split` sets aside for it: the proof is measured on the other.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.dimension_split import photographs
from seemory.advisors import dimensions, scales
from seemory.advisors.canvas import LONGER_SIDE, Canvas
from seemory.advisors.figures import figures, look
from seemory.advisors.prompts import PromptPairs
from seemory.models.loading import load_encoder


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dimension_scales", description=__doc__.split("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+")
    folders = parser.parse_args().folders
    paths = list(photographs(folders, "fit", longer_side=LONGER_SIDE))
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(figures_of, paths, chunksize=8))
    shares = prompt_shares(paths)
    for one, share in zip(found, shares, strict=True):
        one["prompts"] = share
    names = sorted({term.figure for terms in dimensions.TERMS.values() for term in terms})
    tenths = {
        name: tuple(float(f"{x:.4g}") for x in np.quantile([one[name] for one in found], (0.1, 0.5, 0.9)))
        for name in names
    }
    scales.TENTHS = dimensions.TENTHS = tenths  # type: ignore[assignment]
    sums = {
        name: tuple(
            round(float(x), 3)
            for x in np.quantile([dimensions.sum_of(name, one) for one in found], (0.05, 0.25, 0.5, 0.75, 0.95))
        )
        for name in dimensions.TERMS
    }
    print(
        f'"""Where the figures and the sums of {len(found)} photographs lie. Written by benchmarks/dimension_scales.py.'
    )
    print(
        "\nThe photographs are those of COCO val2017, Flickr8k and ImageNet that have 384 pixels on their longer side"
        "\nand whose SHA-256 begins with a bit of 0; those that begin with 1 are for the proof."
    )
    print('"""\n\nfrom typing import Final\n\n# fmt: off')
    print("TENTHS: Final[dict[str, tuple[float, float, float]]] = {")
    print(*(f'    "{name}": {values},' for name, values in tenths.items()), sep="\n")
    print('}\n"""Of each figure: the lower tenth, the median and the upper tenth."""\n')
    print("SUMS: Final[dict[str, tuple[float, float, float, float, float]]] = {")
    print(*(f'    "{name}": {values},' for name, values in sums.items()), sep="\n")
    print('}\n"""Of each dimension: the sums of the 5th, 25th, 50th, 75th and 95th of a hundred photographs."""')


def figures_of(path: Path) -> dict[str, float]:
    """The figures of one picture, without those of an encoder."""
    with Image.open(path) as image:
        return figures(look(Canvas(np.asarray(image.convert("RGB")))), None)


def prompt_shares(paths: list[Path]) -> list[float]:
    """What the bundled encoder's prompt pairs say of each picture, on average over the pairs."""
    shares = []
    with tempfile.TemporaryDirectory() as home:
        encoder = load_encoder("seemory-mini", home=Path(home), offline=True)
        pairs = PromptPairs(encoder)
        for path in paths:
            with Image.open(path) as image:
                said = pairs.evidence(encoder.embed_images([image.convert("RGB")])[0])
            shares.append(float(np.mean(list(said.shares.values()))))
    print(f"{len(shares)} pictures", file=sys.stderr)
    return shares


if __name__ == "__main__":
    main()
