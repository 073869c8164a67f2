"""What the demo shows and asks: photographs that come with two packages, and the words that should find them."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Photograph:
    """A photograph that comes with a package the demo extra installs."""

    name: str
    package: str
    file: str
    shows: str
    """What a person sees, for those who cannot: the contact sheet's alternative text."""
    credit: str | None = None
    """Who made it, where that is known or has to be said; otherwise public domain or CC0."""

    def find(self) -> Path | None:
        """Where the photograph is on this machine, or None. The package is not imported."""
        spec = importlib.util.find_spec(self.package)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            if (path := Path(place) / self.file).is_file():
                return path
        return None


PHOTOGRAPHS: Final = (
    Photograph("pebbles", "skimage", "data/gravel.png", "Small pebbles, filling the picture"),
    Photograph("temple", "sklearn", "datasets/images/china.jpg", "A many-storeyed Chinese temple tower above a lake",
               "“china.jpg” by Daniel Büchele, CC BY 2.0"),
    Photograph("coins", "skimage", "data/coins.png", "Four rows of ancient coins on black", "Brooklyn Museum"),
    Photograph("astronaut", "skimage", "data/astronaut.png", "A smiling woman in an orange space suit", "NASA"),
    Photograph("galaxies", "skimage", "data/hubble_deep_field.jpg", "Hundreds of distant galaxies on black",
               "NASA and ESA"),
    Photograph("lawn", "skimage", "data/grass.png", "Mown grass from above, grey"),
    Photograph("coffee", "skimage", "data/coffee.png", "A cup of espresso on a red saucer", "Rachel Michetti, CC0"),
    Photograph("bricks", "skimage", "data/brick.png", "A wall of grey bricks"),
    Photograph("cameraman", "skimage", "data/camera.png", "A man in a dark coat behind a camera on a tripod",
               "Lav Varshney, CC0"),
    Photograph("moon", "skimage", "data/moon.png", "The surface of the Moon with craters", "NASA"),
    Photograph("flower", "sklearn", "datasets/images/flower.jpg", "An orange dahlia in bloom",
               "“flower.jpg” by vultilion, CC BY 2.0"),
    Photograph("cat", "skimage", "data/chelsea.png", "The face of a tabby cat", "Stefan van der Walt, CC0"),
    Photograph("rocket", "skimage", "data/rocket.jpg", "A rocket at its launch pad", "SpaceX"),
    Photograph("motorcycle", "skimage", "data/motorcycle_left.png", "A red motorcycle in a garage",
               "Middlebury stereo benchmark, 2014"),
)  # fmt: skip
"""Photographs only: no drawings, no scans, no medical pictures, no test patterns, and one of the stereo pair."""

QUERIES: Final = (
    ("a cat", "cat"),
    ("a cup of coffee", "coffee"),
    ("a rocket being launched", "rocket"),
    ("a motorcycle", "motorcycle"),
    ("stars and galaxies", "galaxies"),
    ("an old temple", "temple"),
    ("a flower", "flower"),
    ("an astronaut", "astronaut"),
    ("a man with a camera", "cameraman"),
    ("a brick wall", "bricks"),
)
"""Words, and the photograph they should find: written down before any encoder was asked, and not changed since."""

GENERAL_QUERIES: Final = (
    "people outdoors",
    "a portrait",
    "an animal",
    "food on a table",
    "a building",
    "water",
    "a street with cars",
    "trees and mountains",
    "flowers",
    "at night",
)
"""For photographs nobody has told us about: there is no right answer to count, only something to look at."""
