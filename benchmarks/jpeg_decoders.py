"""What decoders of JPEG take for 12 megapixels, whole and shrunk: Pillow, and simplejpeg and OpenCV where installed.

    python benchmarks/jpeg_decoders.py [--rounds 5]

The photograph is scikit-image's astronaut, enlarged, with the noise of photons and of reading a sensor. Printed is
one thread's processor time in milliseconds, the least of the rounds, from the file's bytes in memory to RGB pixels. The
last column is all of `load_picture(target=224)`, with the file's facts and its small picture.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import skimage
from PIL import Image

from seemory.media.image import load_picture

WIDTH, HEIGHT = 4000, 3000
KINDS: dict[str, dict[str, object]] = {
    "4:2:0 q92": {"quality": 92, "subsampling": 2},
    "4:4:4 q92": {"quality": 92, "subsampling": 0},
    "progressive": {"quality": 92, "subsampling": 2, "progressive": True},
}
SHRINKING = (1, 2, 4, 8)


def photograph() -> Image.Image:
    with Image.open(Path(skimage.__file__).parent / "data" / "astronaut.png") as image:
        light = np.asarray(image.convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float32)
    light = light + np.random.default_rng(0).standard_normal(light.shape, np.float32) * np.sqrt(0.15 * light + 4)
    return Image.fromarray(np.clip(np.rint(light), 0, 255).astype(np.uint8))


def pillow(content: bytes, by: int) -> object:
    with Image.open(io.BytesIO(content)) as image:
        image.draft(None, (WIDTH // by, HEIGHT // by))
        image.load()
        return image.size


def simplejpeg(content: bytes, by: int) -> object:
    import simplejpeg as library

    return library.decode_jpeg(content, min_height=HEIGHT // by, min_width=WIDTH // by).shape


def opencv(content: bytes, by: int) -> object:
    import cv2

    cv2.setNumThreads(1)
    flag = cv2.IMREAD_COLOR if by == 1 else getattr(cv2, f"IMREAD_REDUCED_COLOR_{by}")
    return cv2.imdecode(np.frombuffer(content, np.uint8), flag).shape


def milliseconds(work: Callable[[], object], rounds: int) -> float:
    spent = []
    for _ in range(rounds):
        start = time.thread_time()
        work()
        spent.append(time.thread_time() - start)
    return min(spent) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    decoders: dict[str, Callable[[bytes, int], object]] = {"Pillow": pillow}
    decoders |= {"simplejpeg": simplejpeg} if find_spec("simplejpeg") else {}
    decoders |= {"OpenCV": opencv} if find_spec("cv2") else {}
    image = photograph()
    head = "".join(f"{'whole' if by == 1 else f'1/{by}':>9}" for by in SHRINKING)
    print(f"{'file':<13}{'MB':>6}  {'decoder':<12}{head}{'load_picture':>14}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.jpg"
        for kind, options in KINDS.items():
            image.save(path, "JPEG", **options)
            content = path.read_bytes()
            whole = milliseconds(lambda: load_picture(path, target=224), rounds)
            for name, decoder in decoders.items():
                row = "".join(f"{milliseconds(lambda: decoder(content, by), rounds):>9.1f}" for by in SHRINKING)  # noqa: B023
                ours = f"{whole:>14.1f}" if name == "Pillow" else ""
                print(f"{kind:<13}{len(content) / 1e6:>6.1f}  {name:<12}{row}{ours}", flush=True)


if __name__ == "__main__":
    main()
