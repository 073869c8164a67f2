"""Measures an encoder in every precision that runs here, on real pictures and captions, and keeps what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from seemory.demo_photographs import PHOTOGRAPHS
from seemory.errors import MediaError, UsageError
from seemory.media.captioned import read_captions
from seemory.media.files import find_files
from seemory.media.image import load_picture
from seemory.models.choosing import Report, save_report
from seemory.models.encoder import Encoder
from seemory.models.fidelity import QUERIES, Material, measure
from seemory.models.folder import ModelFolder
from seemory.models.loading import encoder_in
from seemory.models.precision import REFERENCE, Way
from seemory.models.running import prepare, towers_bytes, ways_here
from seemory.telemetry import ProgressListener, ignore

MOST_PICTURES = 300
FEWEST_PICTURES = 10


def measure_ways(
    folder: ModelFolder,
    *,
    home: Path,
    pictures: Path | None = None,
    captions: Path | None = None,
    threads: int | None = None,
    listen: ProgressListener = ignore,
) -> Report:
    """The figures of that encoder in every way there is, on this machine; kept in the data folder, where `auto` looks.

    Args:
        folder: the encoder's files.
        home: the data folder.
        pictures: a folder of real pictures, of which up to 300 are taken; by default the demo's photographs.
        captions: a file that `read_captions` takes; only pictures with captions are taken then.
        threads: of one pass; by default all cores.
        listen: called with the progress.

    Raises:
        UsageError: there are too few pictures, or the captions cannot be read or are of none of them.
        ModelError: the encoder cannot be loaded in fp32, or the figures cannot be kept.
    """
    reference = encoder_in(folder, REFERENCE, home=home, threads=threads)
    material, source = _material(reference, pictures, captions)

    def make(way: Way) -> Encoder:
        prepare(folder, way, home=home)
        return encoder_in(folder, way, home=home, threads=threads)

    found = measure(make, ways_here(), material, listen)
    sized = [one if one.missing else replace(one, bytes=towers_bytes(folder, one.way, home=home)) for one in found]
    report = Report(folder.spec.name, reference.fingerprint, tuple(sized), source)
    save_report(report, home)
    return report


def _material(encoder: Encoder, pictures: Path | None, captions: Path | None) -> tuple[Material, str]:
    """What to measure with, and what that is, in words."""
    said: list[tuple[str, str]] | None = None
    if captions is not None:
        said = [(Path(one.name).name, caption) for one in read_captions(captions) for caption in one.captions]
    if not encoder.has_images:
        texts = QUERIES if said is None else tuple(dict.fromkeys(caption for _, caption in said))
        return Material(None, texts), f"{len(texts)} texts"
    if pictures is None:
        if said is not None:
            raise UsageError("--captions needs the pictures they are of: give their folder with --pictures")
        paths = [path for photograph in PHOTOGRAPHS if (path := photograph.find())]
        if not paths:
            raise UsageError(
                "precisions are measured with real pictures: give a folder of yours with --pictures, "
                "or pip install 'seemory[demo]' for some photographs"
            )
    else:
        if not pictures.is_dir():
            raise UsageError(f"{pictures} is not a folder; --pictures takes one with real pictures")
        paths = [file.path for file in find_files([pictures])]
    if said is not None:
        captioned = {name for name, _ in said}
        paths = [path for path in paths if path.name in captioned]
        if not paths:
            raise UsageError(f"{captions}: none of its pictures is in {pictures}")
    names, squares = _squares(encoder, paths)
    if len(squares) < FEWEST_PICTURES:
        raise UsageError(f"{len(squares)} readable pictures are too few for a 5th percentile; give {FEWEST_PICTURES}")
    what = f"{len(squares)} photographs of {'the demo' if pictures is None else pictures}"
    if said is None:
        return Material(np.stack(squares), QUERIES), f"{what}, {len(QUERIES)} texts"
    places = {name: index for index, name in enumerate(names)}
    pairs = [(caption, places[name]) for name, caption in said if name in places]
    belongs = tuple(index for _, index in pairs)
    return Material(np.stack(squares), tuple(text for text, _ in pairs), belongs), f"{what}, {len(pairs)} captions"


def _squares(encoder: Encoder, paths: Sequence[Path]) -> tuple[list[str], list[np.ndarray]]:
    """Names and squares of up to 300 of the pictures, evenly out of all; what cannot be read is left out."""
    names: list[str] = []
    squares: list[np.ndarray] = []
    for index in np.unique(np.linspace(0, len(paths) - 1, min(len(paths), MOST_PICTURES)).astype(int)):
        try:
            picture = load_picture(paths[index], target=encoder.image_size)
        except MediaError:
            continue
        names.append(paths[index].name)
        squares.append(encoder.preprocess(picture.image))
    return names, squares
