"""The pictures and captions seemory-mini is trained on, and the ones it must never see."""

from __future__ import annotations

import csv
import io
import json
import re
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

VIEWS = {"flickr8k": 24, "coco": 24, "captioned": 24, "imagenet": 12, "ucm": 4, "pool": 8}
"""Crops taken of each picture, by source: more where captions exist."""


@dataclass(frozen=True)
class Picture:
    """One picture, where its bytes are, and its captions (none for the unlabelled pool)."""

    source: str
    name: str
    path: Path
    captions: tuple[str, ...] = ()
    offset: int = 0
    size: int = -1

    def open(self) -> Image.Image:
        """The upright RGB picture."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            picture = Image.open(io.BytesIO(file.read(self.size)))
        return ImageOps.exif_transpose(picture).convert("RGB")


def normal(caption: str) -> str:
    """The caption's lower-case words joined by single spaces, for exact comparison."""
    return " ".join(re.findall(r"[a-z0-9]+", caption.lower()))


def read_captioned(folder: Path, source: str) -> list[Picture]:
    """Pictures of `folder` named in its captions.csv (columns image, caption), sorted by name."""
    captions: dict[str, list[str]] = defaultdict(list)
    with (folder / "captions.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            captions[row["image"]].append(row["caption"])
    images = folder / "images" if (folder / "images").is_dir() else folder
    return [Picture(source, name, images / name, tuple(captions[name])) for name in sorted(captions)]


def read_json(folder: Path, source: str) -> list[Picture]:
    """Pictures of `folder` named in its captions.json, a list of {image, captions}."""
    rows = json.loads((folder / "captions.json").read_text(encoding="utf-8"))
    return [Picture(source, row["image"], folder / "images" / row["image"], tuple(row["captions"])) for row in rows]


def class_names(data: Path) -> list[str]:
    """The 1000 ImageNet class names in the teacher's order."""
    return [path.stem.split("_", 1)[1].replace("_", " ") for path in sorted((data / "imagenet_1000").iterdir())]


def imagenet(data: Path) -> list[Picture]:
    """One photograph a class; the caption is made from the class name."""
    return [
        Picture("imagenet", path.name, path, (f"a photo of a {path.stem.split('_', 1)[1].replace('_', ' ')}",))
        for path in sorted((data / "imagenet_1000").iterdir())
    ]


def pool(data: Path) -> Iterator[Picture]:
    """The unlabelled pictures, read in place from their tar files."""
    for archive in sorted((data / "photo_pool").glob("*.tar")):
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.isfile() and member.name.lower().endswith((".jpg", ".jpeg", ".png")):
                    yield Picture("pool", member.name, archive, (), member.offset_data, member.size)


@dataclass(frozen=True)
class Split:
    """Pictures to train on, to choose by (dev), and reserved for the final measurement."""

    train: list[Picture]
    dev: list[Picture]
    reserved: list[Picture]

    def forbidden(self) -> set[str]:
        """Normalised captions no tower may be trained on."""
        return {normal(caption) for picture in self.dev + self.reserved for caption in picture.captions}


def split(data: Path, captioned: list[Path] | None = None) -> Split:
    """Every fourth Flickr8k picture by name is reserved, every eighth from the third is dev, the rest trains."""
    flickr = read_captioned(data / "flickr8k_600", "flickr8k")
    train = [picture for index, picture in enumerate(flickr) if index % 4 != 0 and index % 8 != 2]
    train += (
        read_json(data / "coco_mini", "coco") + imagenet(data) + read_json(data / "ucm_700", "ucm") + list(pool(data))
    )
    for folder in captioned or []:
        train += read_captioned(folder, "captioned")
    return Split(train, flickr[2::8], flickr[::4])


def captions(data: Path, parts: Split) -> list[str]:
    """Distinct training captions: all of Flickr8k's and the training pictures', less every dev and reserved one."""
    forbidden = parts.forbidden()
    hidden = {picture.name for picture in parts.dev + parts.reserved}
    found: dict[str, str] = {}
    for line in (data / "text" / "flickr8k_captions.txt").read_text(encoding="utf-8").splitlines():
        name, _, caption = line.partition("\t")
        if name.split("#")[0] not in hidden:
            found.setdefault(normal(caption), caption)
    for picture in parts.train:
        for caption in picture.captions:
            found.setdefault(normal(caption), caption)
    return [caption for key, caption in found.items() if key and key not in forbidden]
