"""From picture files to an index that can be searched: Seemory beside rclip and fastembed, with the same weights.

    python -m benchmarks.indexing_peers [--photos DIR] [--large 24] [--small 240] [--json FILE]

All three run ViT-B/32 at 256 pixels, which is the one model that rclip has, with the same random weights from the same
ONNX file (benchmarks/random_clip.py). Two folders: 12-megapixel JPEGs (photographs enlarged to 4000 x 3000, with noise
as a sensor makes it, quality 90), and small pictures (the photographs at most 500 pixels long, as JPEG).

- seemory: `Memory.index`, in each precision there is here: hashes, facts, thumbnails, vectors in Postgres.
- rclip: its own `init_rclip`, unmodified: hashes, vectors in SQLite. Its data folder has the tower under the name of
  the model that it would fetch; of the text tower and the vocabulary, which indexing never opens, only the names.
- fastembed: its own `ImageEmbedding.embed` on paths, alone and with `parallel=0` (a process a core); vectors in NumPy.

Each is a process of its own that indexes eight other pictures first, so that no start of a server and no loading of a
model is counted, except that of the worker processes, which fastembed starts at each call. The cosines are to
transformers' own way from file to vector: the full decode, its processor, its model in fp32.

Below each table is what Seemory's two great parts take alone, in the precision that was fastest: reading (from file to
the tower's squares, a thread a core), the tower (batches of 16, squares ready), and what a second of all cores leaves
if there were nothing else: no hashes, no thumbnails written, no Postgres.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from benchmarks import random_clip
from seemory.models.precision import Way
from seemory.models.running import ways_here
from seemory.models.session import available_cores

SIDE = 256
SMALL = 500
WARM_UP = 8
BATCH = 16
_PEERS = ("rclip", "fastembed", "fastembed parallel")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="photographs to make the files of; by default scikit-image's")
    parser.add_argument("--large", type=int, default=24, help="how many files of 12 megapixels")
    parser.add_argument("--small", type=int, default=240, help="how many small ones")
    parser.add_argument("--keep", type=Path, help="a folder for the random model and the files, which are made once")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=4, metavar=("CONTENDER", "PLACE", "FOLDER", "OUT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        name, place, folder, out = given.one
        measure = measure_apart if name.endswith("apart") else measure_one
        measure(name, Path(place), Path(folder), Path(out))
        return
    with tempfile.TemporaryDirectory() as scratch:
        place = given.keep or Path(scratch)
        random_clip.make(place / "model", SIDE)
        photographs = random_clip.photographs(given.photos)
        make_files(photographs[-WARM_UP:], place / "warm", WARM_UP, mirrored=True)
        document = {}
        for title, count, large in (("12 megapixels", given.large, True), ("small pictures", given.small, False)):
            folder = place / title.replace(" ", "-")
            make_files(photographs, folder, count, large=large)
            document[title] = compare(place, folder)
            show(title, folder, document[title])
            show_apart(place, folder, document[title])
    if given.json:
        given.json.write_text(json.dumps(document, indent=1) + "\n")


def make_files(
    photographs: Sequence[Path], folder: Path, count: int, *, large: bool = False, mirrored: bool = False
) -> None:
    """So many files, all different; those of an earlier run are taken as they are."""
    if folder.is_dir():
        return
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(count):
        source = photographs[number % len(photographs)]
        with Image.open(source) as opened:
            if (
                not large
                and not mirrored
                and number < len(photographs)
                and opened.format == "JPEG"
                and max(opened.size) <= SMALL
            ):
                shutil.copyfile(source, folder / f"{number:05}.jpg")  # small already: as it is
                continue
            picture = opened.convert("RGB")
        if large:
            whole = np.asarray(picture.resize((4000, 3000), Image.Resampling.BICUBIC)).astype(np.float32)
            # A sensor counts photons: its noise grows with the root of the light, and some is there in the dark.
            noise = random.standard_normal(whole.shape, dtype=np.float32) * np.sqrt(4 + whole * 0.15)
            picture = Image.fromarray(np.clip(whole + noise, 0, 255).astype(np.uint8))
        else:
            picture.thumbnail((SMALL, SMALL), Image.Resampling.BICUBIC)
            if mirrored:
                picture = ImageOps.mirror(picture)
            if cut := number // len(photographs):  # the same photograph again: another crop of it
                picture = picture.crop((cut, cut // 2, picture.width, picture.height - cut // 3))
        picture.save(folder / f"{number:05}.jpg", quality=90)


def compare(place: Path, folder: Path) -> dict[str, dict[str, float]]:
    """For each contender pictures a second, and how near its vectors are to the reference."""
    here = [way for way, missing in ways_here().items() if missing is None and way != Way("openvino", "fp32")]
    ours = [f"seemory {way.precision} {way.runtime}" for way in here]
    found, vectors = {}, {}
    for name in ("reference", *ours, *_PEERS):
        with np.load(by_itself(name, place, folder)) as made:
            vectors[name] = dict(zip(made["names"].tolist(), made["vectors"], strict=True))
            seconds = float(made["seconds"])
        if name == "reference":
            continue
        truth = vectors["reference"]
        missing = truth.keys() - vectors[name].keys()
        if missing:
            raise SystemExit(f"{name} left out {len(missing)} files, {min(missing)} for one")
        cosines = np.array([truth[file] @ vectors[name][file] for file in truth])
        found[name] = {
            "pictures_per_s": len(vectors[name]) / seconds,
            "cosine_mean": float(cosines.mean()),
            "cosine_p5": float(np.quantile(cosines, 0.05)),
        }
    return found


def by_itself(name: str, place: Path, folder: Path) -> Path:
    """What a process of its own has written."""
    out = place / "out.npz"
    command = [sys.executable, "-m", "benchmarks.indexing_peers", "--one", name, place, folder, out]
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "HF_HUB_OFFLINE": "1"}
    subprocess.run(list(map(str, command)), check=True, env=os.environ | paths, stdout=subprocess.DEVNULL)
    return out


def show(title: str, folder: Path, found: dict[str, dict[str, float]]) -> None:
    best = max(_PEERS, key=lambda name: found[name]["pictures_per_s"])
    files = [path.stat().st_size for path in folder.iterdir()]
    print(f"{title}: {len(files)} JPEGs of {sum(files) / len(files) / 1e3:,.0f} kB on average")
    print(f"{'':30}{'pictures/s':>12}{'of ' + best:>22}{'cosine mean':>14}{'5th':>10}")
    for name, row in found.items():
        ratio = row["pictures_per_s"] / found[best]["pictures_per_s"]
        cosines = f"{row['cosine_mean']:14.5f}{row['cosine_p5']:10.5f}"
        print(f"{name:30}{row['pictures_per_s']:12.1f}{ratio:21.2f}x{cosines}")
    print()


def show_apart(place: Path, folder: Path, found: dict[str, dict[str, float]]) -> None:
    """What the parts of the fastest of ours take alone, and how near the whole comes to both of them."""
    rates = {name: row["pictures_per_s"] for name, row in found.items()}
    fastest = max((name for name in rates if name.startswith("seemory")), key=rates.__getitem__)
    with np.load(by_itself(f"{fastest} apart", place, folder)) as made:
        read, tower = float(made["read"]), float(made["tower"])
    both, best = 1 / (1 / read + 1 / tower), max(rates[name] for name in _PEERS)
    found[f"{fastest} apart"] = {"read": read, "tower": tower, "both": both}
    print(
        f"{fastest}: reading alone {read:.1f} a second, the tower alone {tower:.1f}, both and nothing else {both:.1f}:"
    )
    print(f"{both / best:.2f}x the best peer; of that {rates[fastest] / both:.0%} was reached", end="\n\n", flush=True)


def measure_one(name: str, place: Path, folder: Path, out: Path) -> None:
    folders = random_clip.make(place / "model", SIDE)
    program, *rest = name.split()
    if program == "reference":
        found, seconds = reference(folders, folder), 0.0
    elif program == "seemory":
        found, seconds = seemory(folders, folder, place, *rest)
    elif program == "rclip":
        found, seconds = rclip(folders, folder, place)
    else:
        found, seconds = fastembed(folders, folder, place, parallel="parallel" in rest)
    matrix = np.stack(list(found.values())).astype(np.float32)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    np.savez(out, names=np.array(list(found)), vectors=matrix, seconds=seconds)


def measure_apart(name: str, place: Path, folder: Path, out: Path) -> None:
    """Two rates: files to squares, and squares to vectors."""
    from seemory.embedding.pictures import decode
    from seemory.models.folder import read_folder
    from seemory.models.loading import encoder_in

    _, precision, runtime, _ = name.split()
    way = Way(runtime, precision)  # type: ignore[arg-type]
    encoder = encoder_in(read_folder(random_clip.make(place / "model", SIDE).seemory), way, home=place / "home")
    paths = sorted(folder.iterdir())

    def squares(path: Path) -> np.ndarray:
        return decode(path, [encoder], max_pixels=200_000_000).pixels[encoder.fingerprint]

    with ThreadPoolExecutor(available_cores()) as pool:
        encoder.embed_pixels(np.stack(list(pool.map(squares, sorted((place / "warm").iterdir())))))
        pixels = np.stack(list(pool.map(squares, paths)))
        read = len(paths) / shortest(lambda: list(pool.map(squares, paths)))

    def embed() -> None:
        for first in range(0, len(paths), BATCH):
            encoder.embed_pixels(pixels[first : first + BATCH])

    tower = len(paths) / shortest(embed)
    np.savez(out, read=read, tower=tower)


def shortest(work: Callable[[], object]) -> float:
    """The shortest of five times, in seconds: the parts are to be a ceiling."""
    taken = []
    for _ in range(5):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)


Found = dict[str, np.ndarray]
"""Vectors by file name."""


def seemory(
    folders: random_clip.Folders, folder: Path, place: Path, precision: str, runtime: str
) -> tuple[Found, float]:
    import pyarrow.parquet

    from seemory.memory import Memory
    from seemory.settings import read_settings
    from seemory.store.connect import stop_embedded

    with tempfile.TemporaryDirectory() as home:
        settings = read_settings(home=home, model=f"{folders.seemory}@{precision}", models={"runtime": runtime})
        try:
            with Memory(settings) as memory:
                memory.index(place / "warm")
                started = time.perf_counter()
                report = memory.index(folder)
                seconds = time.perf_counter() - started
                if report.failed:
                    raise SystemExit(f"{report.failed} files failed: {memory.errors(limit=3)}")
                memory.export_vectors(Path(home) / "all.parquet")
            table = pyarrow.parquet.read_table(Path(home) / "all.parquet").to_pydict()
        finally:
            stop_embedded(Path(home))
    pairs = zip(table["uri"], table["vector"], strict=True)
    return {Path(uri).name: np.asarray(one) for uri, one in pairs if Path(uri).parent == folder}, seconds


def rclip(folders: random_clip.Folders, folder: Path, place: Path) -> tuple[Found, float]:
    import sqlite3

    from rclip.main import init_rclip
    from rclip.utils.helpers import init_arg_parser

    with tempfile.TemporaryDirectory() as data:
        for entry in folders.rclip.iterdir():
            (Path(data) / entry.name).symlink_to(entry)
        os.environ["RCLIP_DATADIR"] = data
        batch = init_arg_parser().get_default("indexing_batch_size")
        program, _, database = init_rclip(str(place / "warm"), batch)
        started = time.perf_counter()
        program.ensure_index(str(folder))
        seconds = time.perf_counter() - started
        program.close()
        database.close()
        with sqlite3.connect(Path(data) / "db.sqlite3") as connection:
            rows = connection.execute("SELECT filepath, vector FROM images").fetchall()
    return {Path(path).name: np.frombuffer(v, np.float32) for path, v in rows if Path(path).parent == folder}, seconds


def fastembed(folders: random_clip.Folders, folder: Path, place: Path, *, parallel: bool) -> tuple[Found, float]:
    from fastembed import ImageEmbedding

    model = ImageEmbedding("Qdrant/clip-ViT-B-32-vision", specific_model_path=str(folders.fastembed))
    list(model.embed([str(path) for path in (place / "warm").iterdir()]))
    paths = sorted(folder.iterdir())
    started = time.perf_counter()
    vectors = list(model.embed([str(path) for path in paths], parallel=0 if parallel else None))
    seconds = time.perf_counter() - started
    return {path.name: vector for path, vector in zip(paths, vectors, strict=True)}, seconds


def reference(folders: random_clip.Folders, folder: Path) -> Found:
    import torch
    from transformers import CLIPModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    model = CLIPModel.from_pretrained(folders.checkpoint).eval()
    processor = CLIPImageProcessorPil.from_pretrained(folders.checkpoint)
    found: Found = {}
    for path in sorted(folder.iterdir()):
        with Image.open(path) as image, torch.inference_mode():
            given = processor(images=image.convert("RGB"), return_tensors="pt")
            vector = model.get_image_features(**given)
        found[path.name] = getattr(vector, "pooler_output", vector)[0].numpy()
    return found


if __name__ == "__main__":
    main()
