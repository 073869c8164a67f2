"""What a file's vector loses by decoding fast, and what that saves: from file to vector, against the slow way.

    python -m benchmarks.decode_fidelity [PICTURES...] [--model NAME ...] [--small N] [--large 40] [--json FILE]

The slow way is the reference's: Pillow decodes the whole file, turns it as its EXIF says, and transformers'
`CLIPImageProcessor` (its Pillow version) scales the shortest side bicubically with antialiasing, crops and normalises.
The fast way is what indexing does (`seemory.embedding.pictures.decode`): shrunk while or after decoding, with the facts
of the file and its small picture beside. Both go through the same tower, in fp32 by ONNX Runtime. The table has mean,
5th percentile and minimum of the cosine of the two vectors, and beside them milliseconds of one thread's processor time
a picture, the median, taken by turns; so a busy machine moves both alike.

Each folder is measured as it is, then as a camera of 12 megapixels might have written it: enlarged bicubically to
4000 x 3000, with photon and read noise (variance 0.15 of the value plus 4, of 255, in every pixel), and saved in each
format. `--bounds` does the first of these again with other bounds than "no shorter than twice the encoder's side".
"""

from __future__ import annotations

import argparse
import io
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from seemory.embedding.pictures import decode
from seemory.media.files import find_files
from seemory.media.image import load_picture
from seemory.models.encoder import Encoder
from seemory.models.loading import load_encoder
from seemory.models.session import OnnxSession
from seemory.models.towers import choose_output, image_port
from seemory.types import Pixels

Floats = NDArray[np.float32]

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FOLDERS = ("flickr8k_600", "coco_mini", "imagenet_1000", "ansel_adams")
LIMIT = 0.99
_SHOT, _READ = 0.15, 4.0


@dataclass(frozen=True)
class Kind:
    """A way to write a picture, and every how many-th picture is written so: some take seconds."""

    name: str
    format: str
    options: dict[str, Any]
    every: int = 1


KINDS = (
    Kind("JPEG 4:2:0 q90", "JPEG", {"quality": 90, "subsampling": 2}),
    Kind("JPEG 4:4:4 q95", "JPEG", {"quality": 95, "subsampling": 0}),
    Kind("progressive JPEG q92", "JPEG", {"quality": 92, "subsampling": 2, "progressive": True}),
    Kind("PNG", "PNG", {"compress_level": 1}, 5),
    Kind("WebP q90", "WEBP", {"quality": 90, "method": 0}, 5),
    Kind("HEIC q80", "HEIC", {"quality": 80}, 5),
)


@dataclass
class Row:
    """What was measured of one folder in one format with one encoder."""

    cosines: list[float] = field(default_factory=list)
    ours_ms: list[float] = field(default_factory=list)
    reference_ms: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        ours, theirs = statistics.median(self.ours_ms), statistics.median(self.reference_ms)
        return {
            "pictures": len(self.cosines),
            "mean": float(np.mean(self.cosines)),
            "p5": float(np.percentile(self.cosines, 5)),
            "min": min(self.cosines),
            "ours_ms": ours,
            "reference_ms": theirs,
            "times": theirs / ours,
        }


class Both:
    """One encoder behind both ways to read a file."""

    def __init__(self, encoder: Encoder) -> None:
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

        rule, tower = encoder.spec.preprocess, encoder.folder.image_model
        assert rule is not None
        assert tower is not None
        if rule.resize_mode != "shortest" or rule.interpolation != "bicubic":
            raise SystemExit(
                f"{encoder.name}: the reference here is CLIP's, which scales the shortest side bicubically"
            )
        self.encoder = encoder
        self._session = OnnxSession(tower)
        self._port = image_port(self._session)
        self._output = choose_output(self._session, "image", encoder.dim, None)
        planes = self._port.dtype is not np.uint8
        self._processor = CLIPImageProcessorPil(
            size={"shortest_edge": rule.size},
            crop_size={"height": rule.size, "width": rule.size},
            image_mean=list(rule.mean),
            image_std=list(rule.std),
            do_rescale=planes,
            do_normalize=planes,
        )
        last = len(self._port.shape) == 4 and self._port.shape[3] == 3
        self._axes = (0, 2, 3, 1) if last else (0, 1, 2, 3)

    def ours(self, path: Path, bound: float | None = None) -> tuple[Floats, float]:
        """The vector, and the milliseconds from the file to the tower's square; `bound` is another than indexing's."""
        square, spent = clocked(lambda: self._fast_square(path) if bound is None else self._shrunk(path, bound))
        return self.encoder.embed_pixels(square[None])[0], spent

    def _fast_square(self, path: Path) -> Pixels:
        squares = decode(path, [self.encoder], max_pixels=200_000_000)
        assert squares.error is None, f"{path}: {squares.error}"
        return squares.pixels[self.encoder.fingerprint]

    def _shrunk(self, path: Path, bound: float) -> Pixels:
        target = round(self.encoder.image_size * bound / 2)  # of which loading keeps twice as much
        return self.encoder.preprocess(load_picture(path, target=target).image)

    def reference(self, path: Path) -> tuple[Floats, float]:
        """The same by Pillow and transformers."""
        pixels, spent = clocked(lambda: self._square(path))
        planes = np.ascontiguousarray(pixels.transpose(self._axes), dtype=self._port.dtype)
        found = self._session.run({self._port.name: planes})[self._output][0]
        return found / np.linalg.norm(found), spent

    def _square(self, path: Path) -> NDArray[Any]:
        with Image.open(path) as file:
            whole = ImageOps.exif_transpose(file).convert("RGB")
        return np.asarray(self._processor(images=whole, return_tensors="np")["pixel_values"])


def clocked(work: Callable[[], Any]) -> tuple[Any, float]:
    """What the work gave, and the milliseconds of processor time that this thread spent on it."""
    start = time.thread_time()
    made = work()
    return made, (time.thread_time() - start) * 1000


def compare(pairs: Iterable[tuple[Both, Row]], path: Path, bound: float | None = None) -> None:
    """One file more in each encoder's row."""
    for both, row in pairs:
        ours, ours_ms = both.ours(path, bound)
        theirs, reference_ms = both.reference(path)
        row.cosines.append(float(ours @ theirs))
        row.ours_ms.append(ours_ms)
        row.reference_ms.append(reference_ms)


def large(path: Path, dice: np.random.Generator, noise: Floats) -> Image.Image:
    """The picture as 12 noisy megapixels; `noise` is `(3000, 4000, 3)` of variance 1, taken from a random place."""
    with Image.open(path) as file:
        image = ImageOps.exif_transpose(file).convert("RGB")
    wide = image.width >= image.height
    light = np.asarray(image.resize((4000, 3000) if wide else (3000, 4000), Image.Resampling.BICUBIC), np.float32)
    grain = np.roll(noise if wide else noise.transpose(1, 0, 2), dice.integers(0, 3000, 2), (0, 1))
    light = light + grain * np.sqrt(_SHOT * light + _READ)
    return Image.fromarray(np.clip(np.rint(light), 0, 255).astype(np.uint8))


def write(image: Image.Image, kind: Kind, path: Path) -> None:
    if kind.format == "HEIC":
        import pillow_heif

        pillow_heif.from_pillow(image).save(path, **kind.options)
        return
    buffer = io.BytesIO()
    image.save(buffer, kind.format, **kind.options)
    path.write_bytes(buffer.getvalue())


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    encoders: list[Both]
    small: int | None
    """Pictures of each folder that are read as they are; None: all."""
    large: int
    """Pictures of each folder that are enlarged."""
    bounds: tuple[float, ...]
    """Other bounds for JPEGs, in sides of the encoder's square."""


def measure(folder: Path, plan: Plan) -> Iterator[dict[str, Any]]:
    """One folder's rows, as soon as each is measured."""
    files = [file.path for file in find_files([folder])]
    rows = [Row() for _ in plan.encoders]
    for path in sample(files, plan.small or len(files)):
        compare(zip(plan.encoders, rows, strict=True), path)
    yield from named(folder, "as they are", plan, rows)
    if plan.large:
        yield from enlarged(folder, sample(files, plan.large), plan)


def sample(files: list[Path], count: int) -> list[Path]:
    return sorted(random.Random(0).sample(files, min(count, len(files))))


def enlarged(folder: Path, files: list[Path], plan: Plan) -> Iterator[dict[str, Any]]:
    """The same pictures with twelve megapixels."""
    dice = np.random.default_rng(0)
    noise = dice.standard_normal((3000, 4000, 3), dtype=np.float32)
    rows = {kind.name: [Row() for _ in plan.encoders] for kind in KINDS}
    others = {bound: [Row() for _ in plan.encoders] for bound in plan.bounds}
    with tempfile.TemporaryDirectory() as place:
        for number, path in enumerate(files):
            image = large(path, dice, noise)
            for kind in KINDS:
                if number % kind.every == 0:
                    file = Path(place) / f"large.{kind.format.lower()}"
                    write(image, kind, file)
                    compare(zip(plan.encoders, rows[kind.name], strict=True), file)
                    if kind is KINDS[0]:
                        for bound in plan.bounds:
                            compare(zip(plan.encoders, others[bound], strict=True), file, bound)
    for kind in KINDS:
        yield from named(folder, f"12 MP {kind.name}", plan, rows[kind.name])
    for bound in plan.bounds:
        yield from named(folder, f"  bound {bound:g} in place of 2", plan, others[bound])


def named(folder: Path, what: str, plan: Plan, rows: list[Row]) -> Iterator[dict[str, Any]]:
    for both, row in zip(plan.encoders, rows, strict=True):
        if row.cosines:
            yield {"model": both.encoder.name, "pictures of": folder.name, "as": what} | row.figures()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, nargs="*", help="folders; by default those beside the project")
    parser.add_argument("--model", action="append", help="a name or a folder, more than once; by default seemory-mini")
    parser.add_argument("--small", type=int, help="how many pictures of a folder are read as they are; by default all")
    parser.add_argument("--large", type=int, default=40, help="how many pictures of a folder are enlarged")
    parser.add_argument("--bounds", type=float, nargs="*", default=[], help="other bounds, such as 1 1.5 3")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    import pi_heif

    pi_heif.register_heif_opener()
    with tempfile.TemporaryDirectory() as home:
        encoders = [Both(load_encoder(name, home=Path(home))) for name in options.model or ["seemory-mini"]]
        plan = Plan(encoders, options.small, options.large, tuple(options.bounds))
        columns = f"{'mean':>9}{'p5':>9}{'min':>9}{'ours ms':>9}{'ref. ms':>9}{'times':>7}"
        print(f"{'encoder':<16}{'pictures of':<16}{'as':<28}{'n':>5}{columns}")
        found = []
        for folder in options.pictures or [DATA / name for name in FOLDERS]:
            for row in measure(folder, plan):
                found.append(row)
                print(
                    f"{row['model'][:15]:<16}{row['pictures of'][:15]:<16}{row['as']:<28}{row['pictures']:>5}"
                    f"{row['mean']:>9.4f}{row['p5']:>9.4f}{row['min']:>9.4f}"
                    f"{row['ours_ms']:>9.1f}{row['reference_ms']:>9.1f}{row['times']:>7.1f}",
                    flush=True,
                )
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    low = [row for row in found if row["p5"] < LIMIT and not row["as"].startswith("  ")]
    print(f"5th percentile under {LIMIT}: {len(low)} of {len(found)} rows")
    sys.exit(1 if low else 0)


if __name__ == "__main__":
    main()
