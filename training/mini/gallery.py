"""Pictures that nothing was trained on, by short names, and what is known of them: queries and classes."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from . import demo, sources
from .sources import Split

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Gallery:
    """Names and RGB pictures, in the same order; `names` are the numbers of Flickr8k's pictures or whole file names."""

    names: list[str]
    pictures: list[Image.Image]

    def rows(self, names: list[str]) -> np.ndarray:
        """Where these are; an unknown name is a KeyError."""
        place = {name: row for row, name in enumerate(self.names)}
        return np.array([place[name] for name in names])


def table(name: str) -> dict[str, dict[str, list[str]]]:
    """One of the TOML files beside this one."""
    return tomllib.loads((HERE / name).read_text(encoding="utf-8"))


def packaged(names: set[str]) -> list[tuple[str, Image.Image]]:
    """Those of scikit-image's and scikit-learn's own pictures that are named."""
    found = []
    for package, folder in (("skimage", "data"), ("sklearn", "datasets/images")):
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            paths = sorted((Path(spec.origin).parent / folder).iterdir())
            found += [(path.name, Image.open(path).convert("RGB")) for path in paths if path.name in names]
    return found


def whole(data: Path, parts: Split) -> Gallery:
    """The gallery of the forty queries: reserved pictures, the packages' and Ansel Adams's."""
    reserved = [(picture.name.split("_")[0], picture.open()) for picture in parts.reserved]
    packages = packaged(set(table("queries.toml")["gallery"]["packages"]))
    adams = [(path.name, Image.open(path).convert("RGB")) for path in sorted((data / "ansel_adams").glob("*.jpg"))]
    names, pictures = zip(*reserved, *packages, *adams, strict=True)
    return Gallery(list(names), list(pictures))


def forty() -> dict[str, list[str]]:
    """Each query with the names of the pictures that are right for it."""
    return table("queries.toml")["right"]


def ten() -> tuple[Gallery, dict[str, list[str]]]:
    """The demo's photographs and the ten queries for them."""
    names, pictures = zip(*demo.photographs(), strict=True)
    return Gallery(list(names), list(pictures)), {query: [wanted] for query, wanted in demo.QUERIES.items()}


def classes(data: Path) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """(one thing, dogs): picture names with the class numbers, 0 to 999, of which any is right for it."""
    known = table("classes.toml")
    number = {name: row for row, name in reversed(list(enumerate(sources.class_names(data))))}
    files = [path.name.split("_")[0] for path in sorted((data / "imagenet_1000").iterdir())]
    first, last = (files.index(breed) for breed in known["dogs"]["breeds"])
    named = {picture: [number[name] for name in names] for picture, names in known["named"].items()}
    return named, {picture: list(range(first, last + 1)) for picture in known["dogs"]["pictures"]}
