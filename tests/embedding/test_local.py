"""Decoding ahead of the model: the vectors are those of the slow way, and no more is held however much there is."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from seemory.embedding.local import LocalEmbedding, Pace
from seemory.embedding.pictures import Target, Targets, decode
from seemory.models.encoder import BUNDLED, Encoder
from seemory.models.loading import load_encoder
from seemory.types import Generation


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_encoder(BUNDLED, home=tmp_path_factory.mktemp("models"))


@dataclass(frozen=True)
class File:
    path: Path
    key: int


def from_camera(photograph: Path, width: int, height: int, **options: object) -> bytes:
    """The photograph enlarged, with the noise of photons and of reading a sensor, as JPEG."""
    with Image.open(photograph) as image:
        light = np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC), np.float32)
    light = light + np.random.default_rng(0).standard_normal(light.shape, np.float32) * np.sqrt(0.15 * light + 4)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(np.rint(light), 0, 255).astype(np.uint8)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "options",
    [
        {"quality": 90, "subsampling": 2},
        {"quality": 95, "subsampling": 0},
        {"quality": 92, "subsampling": 2, "progressive": True},
    ],
    ids=["4:2:0", "4:4:4", "progressive"],
)
def test_vectors_of_shrunk_photographs_are_those_of_the_full_decode(
    encoder: Encoder, package_photographs: dict[str, Path], tmp_path: Path, options: dict[str, object]
) -> None:
    """benchmarks/decode_fidelity.py says it of more pictures, sizes and formats."""
    cosines = []
    for name in ("cat", "rocket", "temple"):
        path = tmp_path / f"{name}.jpg"
        path.write_bytes(from_camera(package_photographs[name], 2000, 1500, **options))
        squares = decode(path, [encoder], max_pixels=200_000_000)
        assert squares.error is None
        [ours] = encoder.embed_pixels(squares.pixels[encoder.fingerprint][None])
        with Image.open(path) as file:
            [slow] = encoder.embed_images([ImageOps.exif_transpose(file).convert("RGB")])
        cosines.append(float(ours @ slow))
    assert min(cosines) >= 0.99, cosines


def test_small_photographs_give_the_very_vectors_of_the_full_decode(
    encoder: Encoder, package_photographs: dict[str, Path]
) -> None:
    for path in package_photographs.values():
        with Image.open(path) as file:
            if min(file.size) < 4 * encoder.image_size:  # from there on a PNG is shrunk
                whole = encoder.preprocess(file.convert("RGB"))
                squares = decode(path, [encoder], max_pixels=200_000_000)
                assert np.array_equal(squares.pixels[encoder.fingerprint], whole), path


def targets(encoder: Encoder) -> Targets:
    """Where the vectors would go; nothing is written here."""
    name, dim = encoder.name, encoder.dim
    generation = Generation(1, "c", "visual", "t", name, encoder.fingerprint, dim, "live")
    return Targets(Target(generation, encoder))


def test_no_more_files_are_under_way_than_the_window_and_a_batch(
    encoder: Encoder, package_photographs: dict[str, Path]
) -> None:
    taken = 0

    def source() -> Iterator[File]:
        nonlocal taken
        for number in range(60):
            taken += 1
            yield File(package_photographs["cat"], number)

    pace, done, most = Pace(workers=2, batch_size=4), 0, 0
    for batch in LocalEmbedding(pace).stream(source(), lambda: targets(encoder)):
        most = max(most, taken - done)
        done += len(batch.files)
    assert done == taken == 60
    assert pace.batch_size < most <= 2 * pace.batch_size + 2 * pace.workers


def test_what_is_held_does_not_grow_with_the_number_of_files(
    encoder: Encoder, package_photographs: dict[str, Path], tmp_path: Path
) -> None:
    """Squares, small pictures, vectors: all that Python and NumPy allocate."""
    path = tmp_path / "cat.jpg"
    with Image.open(package_photographs["cat"]) as image:
        image.convert("RGB").save(path, "JPEG")

    def peak(count: int) -> int:
        stream = LocalEmbedding(Pace(workers=2, batch_size=8)).stream(
            (File(path, number) for number in range(count)), lambda: targets(encoder)
        )
        tracemalloc.start()
        try:
            for batch in stream:
                assert all(made.error is None for made in batch.made)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(16)  # what is made once
    few, many = peak(24), peak(96)
    square = encoder.image_size**2 * 3
    assert few > 8 * square, "a batch and more is held"
    assert many - few < (96 - 24) * square / 4, "squares of files that are done with are let go"
