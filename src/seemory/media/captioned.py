"""Which pictures have which captions: the layouts that captioned photographs are published in."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seemory.errors import UsageError

_NEEDS = (
    "COCO's captions_*.json, a JSON list of {image, captions}, a CSV with image and caption, or Flickr's token file"
)


@dataclass(frozen=True, slots=True)
class Captioned:
    """A picture's name below its folder, and what is said of it, in the file's order."""

    name: str
    captions: tuple[str, ...]


def read_captions(path: Path) -> list[Captioned]:
    """Every picture with its captions, sorted by name; empty captions are left out, and so are pictures without any.

    Four layouts, told by their content: COCO (`images` and `annotations`), a JSON list of `{image, captions}`, a CSV
    file with the columns `image` and `caption`, and Flickr's `name#number<tab>caption`.

    Raises:
        UsageError: the file cannot be read, has none of these layouts, or has no caption in it.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as captions: {error}") from error
    if text.lstrip()[:1] in ("{", "["):
        pairs = _json(path, text)
    elif "\t" in text.partition("\n")[0] and "#" in text.partition("\t")[0]:
        pairs = _flickr(path, text)
    else:
        pairs = _csv(path, text)
    gathered: dict[str, list[str]] = {}
    for name, caption in pairs:
        said = " ".join(caption.split())
        if said:
            gathered.setdefault(_inside(path, name), []).append(said)
    if not gathered:
        raise UsageError(f"{path} has no captions in it; it needs {_NEEDS}")
    return [Captioned(name, tuple(gathered[name])) for name in sorted(gathered)]


def _inside(path: Path, name: str) -> str:
    """The name, which may lead into folders, and not out of them."""
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts or "\0" in name:
        raise UsageError(f"{path}: {name!r} is no name of a picture below the folder of pictures")
    return name


def _json(path: Path, text: str) -> Iterable[tuple[str, str]]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not readable JSON: {error}") from error
    try:
        return list(_coco(document) if isinstance(document, dict) else _listed(document))
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} has another form ({type(error).__name__}: {error}); it needs {_NEEDS}") from error


def _coco(document: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    names = {image["id"]: str(image["file_name"]) for image in document["images"]}
    for annotation in document["annotations"]:
        yield names[annotation["image_id"]], str(annotation["caption"])


def _listed(document: Sequence[Mapping[str, Any]]) -> Iterable[tuple[str, str]]:
    for entry in document:
        captions = entry["captions"]
        for caption in [captions] if isinstance(captions, str) else captions:
            yield str(entry["image"]), str(caption)


def _flickr(path: Path, text: str) -> Iterable[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        name, tab, caption = line.partition("\t")
        if not tab:
            raise UsageError(f"{path}, line {number}: a name, a tab and a caption are needed")
        yield name.rpartition("#")[0] or name, caption


def _csv(path: Path, text: str) -> Iterable[tuple[str, str]]:
    try:
        rows = csv.DictReader(text.splitlines(keepends=True), skipinitialspace=True)
        if not {"image", "caption"} <= set(rows.fieldnames or ()):
            shown = [name[:40] for name in (rows.fieldnames or [])[:5]]
            raise UsageError(f"{path}: needs the columns image and caption, has {shown}; or {_NEEDS}")
        return [(row["image"], row["caption"] or "") for row in rows if row["image"]]
    except csv.Error as error:
        raise UsageError(f"{path} cannot be read as CSV: {error}") from error
