"""Photographs that come with scikit-image and scikit-learn, and queries for them: looked at, never trained on."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from PIL import Image

QUERIES = {
    "a cat": "chelsea.png",
    "a cup of coffee": "coffee.png",
    "a rocket being launched": "rocket.jpg",
    "a motorcycle": "motorcycle_left.png",
    "stars and galaxies": "hubble_deep_field.jpg",
    "an old temple": "china.jpg",
    "a flower": "flower.jpg",
    "an astronaut": "astronaut.png",
    "a brick wall": "brick.png",
    "a man with a camera": "camera.png",
}
OTHERS = ("coins.png", "moon.png", "grass.png", "gravel.png", "page.png", "clock_motion.png", "retina.jpg")


def photographs() -> list[tuple[str, Image.Image]]:
    """(file name, RGB picture) of every demo photograph found in the two packages."""
    folders = []
    for package, folder in (("skimage", "data"), ("sklearn", "datasets/images")):
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            folders.append(Path(spec.origin).parent / folder)
    paths = [path for folder in folders for path in sorted(folder.iterdir())]
    wanted = {*QUERIES.values(), *OTHERS}
    return [(path.name, Image.open(path).convert("RGB")) for path in paths if path.name in wanted]
