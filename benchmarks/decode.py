"""How long a photograph takes to load, against the plain full decode, and what shrinking does to its pixels.

    python benchmarks/decode.py [--json FILE] [--rounds N]

The photograph is scikit-image's astronaut, enlarged to each size, with grain added, and saved in each format. "full" is
`PIL.Image.open(path).convert("RGB")` (for HEIC with the plug-in registered); "ours" is `load_picture(target=224)` and
includes facts and thumbnail. Both are the median of N rounds in one process, alternating. "moved" is the mean absolute
difference, of 255, of the two pictures after the same bicubic resize to 224 pixels.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import skimage
from PIL import Image

from seemory.media.image import load_picture

CASES = (
    ("JPEG", 4000, 3000),
    ("JPEG", 6000, 4000),
    ("JPEG", 1600, 1200),
    ("JPEG", 640, 480),
    ("PNG", 1600, 1200),
    ("WEBP", 4000, 3000),
    ("HEIC", 4000, 3000),
    ("AVIF", 4000, 3000),
)


def photograph(width: int, height: int) -> Image.Image:
    with Image.open(Path(skimage.__file__).parent / "data" / "astronaut.png") as image:
        large = np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
    large += np.random.default_rng(0).normal(0, 5, large.shape).astype(np.int16)
    return Image.fromarray(np.clip(large, 0, 255).astype(np.uint8))


def save(image: Image.Image, kind: str, path: Path) -> None:
    if kind == "HEIC":
        import pillow_heif

        pillow_heif.from_pillow(image).save(path, quality=80)
    else:
        image.save(path, kind, quality=85)


def full_decode(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def measure(kind: str, width: int, height: int, rounds: int, folder: Path) -> dict[str, Any]:
    path = folder / f"{width}.{kind.lower()}"
    save(photograph(width, height), kind, path)
    ours, full = load_picture(path, target=224).image, full_decode(path)
    size = (224 * width // height, 224)
    small = [np.asarray(p.resize(size, Image.Resampling.BICUBIC)).astype(float) for p in (ours, full)]
    pairs = [
        (milliseconds(lambda: load_picture(path, target=224)), milliseconds(lambda: full_decode(path)))
        for _ in range(rounds)
    ]
    our_ms, full_ms = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {
        "format": kind,
        "width": width,
        "height": height,
        "left": list(ours.size),
        "ours_ms": round(our_ms, 1),
        "full_ms": round(full_ms, 1),
        "ratio": round(full_ms / our_ms, 2),
        "moved": round(float(np.abs(small[0] - small[1]).mean()), 3),
    }


def thumbnails(rounds: int) -> list[dict[str, Any]]:
    """What a 256-pixel thumbnail costs as JPEG and as WebP, from the picture a 12-megapixel file leaves us with."""
    image = photograph(1000, 750).resize((256, 192), reducing_gap=1.25)
    rows = []
    for kind, options in (("JPEG", {"quality": 80}), ("WEBP", {"quality": 80}), ("WEBP", {"quality": 80, "method": 0})):
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)

        def once(kind: str = kind, options: dict[str, Any] = options) -> None:
            image.save(io.BytesIO(), kind, **options)

        cost = statistics.median(milliseconds(once) for _ in range(rounds))
        rows.append({"as": kind, **options, "ms": round(cost, 2), "bytes": buffer.tell()})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    import pi_heif

    pi_heif.register_heif_opener()
    print(f"{'file':<18}{'leaves':>12}{'ours ms':>10}{'full ms':>10}{'ratio':>8}{'moved/255':>11}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, width, height in CASES:
            row = measure(kind, width, height, options.rounds, Path(folder))
            rows.append(row)
            left = f"{row['left'][0]}x{row['left'][1]}"
            name = f"{kind} {width}x{height}"
            print(
                f"{name:<18}{left:>12}{row['ours_ms']:>10}{row['full_ms']:>10}{row['ratio']:>8}{row['moved']:>11}",
                flush=True,
            )
    small = thumbnails(options.rounds * 5)
    print("\nthumbnail, 256 pixels")
    for row in small:
        print("  " + ", ".join(f"{name} {value}" for name, value in row.items()))
    if options.json:
        where = {"cpus": os.cpu_count(), "machine": platform.machine(), "pillow": PIL.__version__}
        options.json.write_text(json.dumps({"where": where, "decode": rows, "thumbnail": small}, indent=1) + "\n")


if __name__ == "__main__":
    main()
