"""Folders of pictures whose captions or labels are known, and their vectors by an encoder."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seemory.errors import MediaError, UsageError
from seemory.lookahead import ahead, batches
from seemory.media.captioned import read_captions
from seemory.media.files import find_files
from seemory.media.image import load_picture, supported_suffixes
from seemory.models.encoder import Encoder
from seemory.models.session import available_cores
from seemory.reembedding.space_report import read_labels
from seemory.telemetry import Progress, ProgressListener, ignore
from seemory.types import Pixels, Vectors

_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Captioned:
    """Pictures and what is said of each."""

    folder: Path
    paths: tuple[Path, ...]
    captions: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Labelled:
    """Pictures and what each shows."""

    folder: Path
    paths: tuple[Path, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """Pictures' vectors."""

    vectors: Vectors
    """`(n, d)` float32, rows of norm 1."""
    kept: tuple[int, ...]
    """Which of the paths they are of."""
    failed: dict[str, str]
    """Pictures that could not be read, with the reason."""


def captioned_folder(folder: Path, captions: Path, *, every: int = 1) -> Captioned:
    """The folder's pictures that the file has captions of, in the order of names; of them each `every`-th.

    Raises:
        UsageError: the captions cannot be read, or none of their pictures is in the folder.
    """
    told = read_captions(captions)
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder: name the one that the captions' pictures are in")
    here = [one for one in told[::every] if (folder / one.name).is_file()]
    if not here:
        raise UsageError(f"none of the {len(told)} pictures that {captions} names is in {folder}")
    return Captioned(folder, tuple(folder / one.name for one in here), tuple(one.captions for one in here))


def labelled_folder(
    folder: Path, *, labels: Path | None = None, pattern: str | None = None, every: int = 1
) -> Labelled:
    """The folder's pictures with a label, in the order of names; of them each `every`-th.

    A label is what a file says (CSV: path or name, label), or the first group of a regular expression that the
    picture's name without its suffix begins with, or else the name of the folder it lies in. `_` is a space.

    Raises:
        UsageError: the labels cannot be read, the pattern is none or has no group, or there are not two labels.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder")
    known = read_labels(labels) if labels is not None else None
    try:
        expression = re.compile(pattern) if pattern is not None else None
    except re.error as error:
        raise UsageError(f"{pattern!r} is no regular expression: {error}") from error
    if expression is not None and not expression.groups:
        raise UsageError(f"{pattern!r} has no group: put the label's part into brackets, for example 'n[0-9]+_(.+)'")
    found: list[tuple[Path, str]] = []
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - as the walk names its files, links and all
    for file in find_files([folder], suffixes=frozenset(supported_suffixes())):
        path = file.path
        if known is not None:
            label = known.get(str(path)) or known.get(path.name) or known.get(path.relative_to(folder).as_posix())
        elif expression is not None:
            match = expression.match(path.stem)
            label = match[1] if match else None
        else:
            label = path.parent.name if path.parent != folder else None
        if label and label.strip():
            found.append((path, " ".join(label.replace("_", " ").split())))
    found = found[::every]
    if len({label for _, label in found}) < 2:
        raise UsageError(
            f"{folder}: pictures of two labels and more are needed, in folders of their names, by --labels FILE or by "
            f"--label-pattern"
        )
    return Labelled(folder, tuple(path for path, _ in found), tuple(label for _, label in found))


def seen(
    encoder: Encoder,
    paths: Sequence[Path],
    *,
    max_pixels: int,
    workers: int | None = None,
    listen: ProgressListener = ignore,
) -> Seen:
    """The pictures' vectors; what cannot be read is left out, and said.

    Raises:
        TowerMissing: the encoder takes no pictures.
        UsageError: none of them can be read.
    """
    kept: list[int] = []
    parts: list[Vectors] = []
    failed: dict[str, str] = {}
    size = encoder.image_size

    def square(place: int) -> Pixels | str:
        try:
            return encoder.preprocess(load_picture(paths[place], target=size, max_pixels=max_pixels).image)
        except MediaError as error:
            return str(error)

    done = 0
    with ThreadPoolExecutor(workers or min(4, available_cores()), "decode") as pool:
        squares = ahead(pool, lambda place: (place, square(place)), range(len(paths)), 2 * _AT_ONCE)
        for batch in batches(squares, _AT_ONCE):
            failed |= {paths[place].name: read for place, read in batch if isinstance(read, str)}
            good = [(place, read) for place, read in batch if not isinstance(read, str)]
            if good:
                parts.append(encoder.embed_pixels(np.stack([read for _, read in good])))
                kept += [place for place, _ in good]
            done += len(batch)
            listen(Progress("pictures", done, len(paths), "pictures", encoder.name))
    if not parts:
        raise UsageError(
            f"none of the {len(paths)} pictures can be read ({next(iter(failed.values()), 'there are none')})"
        )
    return Seen(np.concatenate(parts), tuple(kept), failed)
