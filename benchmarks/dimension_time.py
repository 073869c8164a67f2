"""How long the eight dimensions of a 12-megapixel JPEG take, from the file, with the encoder warm.

    python -m benchmarks.dimension_time [--rounds N]

"shrunk" reads the file as indexing does (`load_picture`, which lets the JPEG decoder shrink it); "full" decodes all of
it with `PIL.Image.open(path).convert("RGB")` and hands that to the same functions; the last column is how far apart the
two ways' scores are. The peer is scikit-image's `blur_effect`, one figure of sharpness alone, on the decoded picture.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.measure import blur_effect

from benchmarks.decode import photograph
from seemory.advisors.dimensions import measure
from seemory.advisors.prompts import PromptPairs
from seemory.media.image import load_picture
from seemory.models.loading import load_encoder


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dimension_time", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.jpg"
        photograph(4000, 3000).save(path, "JPEG", quality=90)
        encoder = load_encoder("seemory-mini", home=Path(folder), offline=True)
        pairs = PromptPairs(encoder)
        seconds: dict[tuple[str, str], list[float]] = {}
        scores = {}
        for _ in range(rounds + 1):  # the first is to warm up
            for way in ("shrunk", "full"):
                marks = [time.perf_counter()]
                if way == "shrunk":
                    image = load_picture(path, target=encoder.image_size).image
                else:
                    image = Image.open(path).convert("RGB")
                marks.append(time.perf_counter())
                said = pairs.evidence(encoder.embed_images([image])[0])
                marks.append(time.perf_counter())
                scores[way] = measure(np.asarray(image), said).scores()
                marks.append(time.perf_counter())
                for part, taken in zip(("read", "encoder", "dimensions"), np.diff(marks), strict=True):
                    seconds.setdefault((way, part), []).append(float(taken))
        started = time.perf_counter()
        blur_effect(np.asarray(Image.open(path).convert("L")))
        peer = time.perf_counter() - started
    apart = float(np.abs(scores["shrunk"] - scores["full"]).max())
    print(f"{'12 megapixels':14} {'read':>8} {'encoder':>8} {'dimensions':>11} {'together':>9}   largest difference")
    for way in ("shrunk", "full"):
        parts = [statistics.median(seconds[way, part][1:]) for part in ("read", "encoder", "dimensions")]
        cells = f"{parts[0]:8.3f} {parts[1]:8.3f} {parts[2]:11.3f} {sum(parts):9.3f} s"
        print(f"{way:14} {cells}" + (f" {apart:8.2f} of 10" if way == "full" else ""))
    print(f"blur_effect alone, on the decoded picture: {peer:.3f} s")


if __name__ == "__main__":
    main()
