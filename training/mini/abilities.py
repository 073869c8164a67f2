"""What a pair of towers can do, measured the same way for the teachers, an earlier version and this one."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from . import gallery, measure, sources
from .gallery import Gallery
from .sources import Picture, Split

SHOWN = 3


class Seer(Protocol):
    """Both towers: pictures and texts to vectors of norm 1 in one space."""

    def pictures(self, pictures: list[Image.Image]) -> np.ndarray:
        """(n, dim)."""
        ...

    def texts(self, texts: list[str]) -> np.ndarray:
        """(n, dim)."""
        ...


def blurred(picture: Image.Image) -> Image.Image:
    """Out of focus by a hundredth of the short side."""
    return picture.filter(ImageFilter.GaussianBlur(min(picture.size) / 100))


def cropped(picture: Image.Image) -> Image.Image:
    """The lower right, seven tenths of each side."""
    return picture.crop((round(0.3 * picture.width), round(0.3 * picture.height), picture.width, picture.height))


def grey(picture: Image.Image) -> Image.Image:
    """Without its colours."""
    return ImageOps.grayscale(picture).convert("RGB")


def squeezed(picture: Image.Image) -> Image.Image:
    """Through JPEG of quality 10."""
    into = io.BytesIO()
    picture.save(into, "JPEG", quality=10)
    return Image.open(into).convert("RGB")


HARMS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "blur": blurred, "crop": cropped, "greyscale": grey, "JPEG, quality 10": squeezed,
}  # fmt: skip


def captions_of(pictures: list[Picture]) -> tuple[list[str], np.ndarray]:
    """All captions in order, and the number of the picture each belongs to."""
    owner = [i for i, picture in enumerate(pictures) for _ in picture.captions]
    return [caption for picture in pictures for caption in picture.captions], np.array(owner)


def harmed(seer: Seer, pictures: list[Picture], clean: np.ndarray) -> dict[str, dict[str, float]]:
    """For each harm: R@10 from text to the harmed pictures, and the mean cosine to the unharmed ones' vectors."""
    captions, owner = captions_of(pictures)
    sentences = seer.texts(captions)
    found = {}
    for name, harm in HARMS.items():
        vectors = seer.pictures([harm(picture.open()) for picture in pictures])
        recall = measure.recall(vectors, sentences, owner)["text_to_image"]["R@10"]
        found[name] = {"R@10": recall, "cosine": float((vectors * clean).sum(1).mean())}
    return found


def asked(seer: Seer, pictures: Gallery, vectors: np.ndarray, queries: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Each query with the first three names, and the rank of the first right one."""
    cosine = seer.texts(list(queries)) @ vectors.T
    found = []
    for row, (query, right) in zip(cosine, queries.items(), strict=True):
        order = [pictures.names[i] for i in np.argsort(-row, kind="stable")]
        rank = 1 + min(order.index(name) for name in right)
        found.append({"query": query, "right": right, "first": order[:SHOWN], "rank": rank, "of": len(order)})
    return found


def named(seer: Seer, pictures: Gallery, vectors: np.ndarray, right: dict[str, list[int]], names: list[str]) -> Any:
    """Top-1 and top-5 in percent of these pictures among the 1000 class names."""
    own = vectors[pictures.rows(list(right))]
    words = seer.texts([f"a photo of a {name}" for name in names])
    order = np.argsort(-(own @ words.T), axis=1, kind="stable")[:, :5]
    good = np.array([[number in wanted for number in row] for row, wanted in zip(order, right.values(), strict=True)])
    return {
        "pictures": len(right), "top-1": 100 * float(good[:, 0].mean()), "top-5": 100 * float(good.any(1).mean())
    }  # fmt: skip


def similar(texts: Callable[[list[str]], np.ndarray], data: Path) -> dict[str, float]:
    """Spearman's correlation on both parts of STS-B, of what turns texts into vectors of norm 1."""
    found = {}
    for part in ("dev", "test"):
        first, second, gold = measure.sts(data / "sts" / f"sts-{part}.csv")
        found[part] = measure.agreement(texts(first), texts(second), gold)
    return found


def recall_of(seer: Seer, pictures: list[Picture]) -> dict[str, dict[str, float]]:
    """Recall both ways."""
    captions, owner = captions_of(pictures)
    return measure.recall(seer.pictures([picture.open() for picture in pictures]), seer.texts(captions), owner)


def all_of(seer: Seer, data: Path, parts: Split) -> dict[str, Any]:
    """Everything a table's column holds."""
    shown = gallery.whole(data, parts)
    vectors = seer.pictures(shown.pictures)
    few, ten = gallery.ten()
    things, dogs = gallery.classes(data)
    names = sources.class_names(data)
    captions, owner = captions_of(parts.reserved)
    clean = vectors[: len(parts.reserved)]
    return {
        "reserved": measure.recall(clean, seer.texts(captions), owner),
        "dev": recall_of(seer, parts.dev),
        "classes": {
            "one thing": named(seer, shown, vectors, things, names),
            "dogs, any breed": named(seer, shown, vectors, dogs, names),
        },
        "sts": similar(seer.texts, data),
        "ten": asked(seer, few, seer.pictures(few.pictures), ten),
        "forty": asked(seer, shown, vectors, gallery.forty()),
        "harmed": harmed(seer, parts.reserved, clean),
    }


def lines(columns: dict[str, dict[str, Any]]) -> list[tuple[str, ...]]:
    """The table's rows, a column for each pair of towers: what was measured, and the figures."""

    def row(name: str, figure: Callable[[dict[str, Any]], str]) -> tuple[str, ...]:
        return name, *(figure(column) for column in columns.values())

    def three(part: str, way: str) -> Callable[[dict[str, Any]], str]:
        return lambda column: " / ".join(f"{value:.1f}" for value in column[part][way].values())

    def firsts(part: str) -> Callable[[dict[str, Any]], str]:
        return lambda column: f"{sum(found['rank'] == 1 for found in column[part])} of {len(column[part])}"

    def top(part: str) -> Callable[[dict[str, Any]], str]:
        return lambda column: "{top-1:.0f} / {top-5:.0f}".format(**column["classes"][part])

    def harm(name: str) -> Callable[[dict[str, Any]], str]:
        return lambda column: "{R@10:.1f} ({cosine:.2f})".format(**column["harmed"][name])

    some = next(iter(columns.values()))["classes"]
    return [
        row("text to image R@1 / 5 / 10", three("reserved", "text_to_image")),
        row("image to text R@1 / 5 / 10", three("reserved", "image_to_text")),
        *(row(f"class names, {kind} ({some[kind]['pictures']}), top-1 / 5", top(kind)) for kind in some),
        row("STS-B dev", lambda column: f"{column['sts']['dev']:.3f}"),
        row("STS-B test", lambda column: f"{column['sts']['test']:.3f}"),
        row("ten demo queries, right one first", firsts("ten")),
        row("forty queries, right one first", firsts("forty")),
        *(row(f"R@10 (cosine) after {name}", harm(name)) for name in HARMS),
    ]
