"""The image tower alone: pictures a second, share of the processor's ceiling, nearness to fp32, beside the peers.

    python -m benchmarks.towers [--photos DIR] [--pictures 64] [--rounds 1] [--json FILE]

ViT-B/32 at 224 pixels with random weights, one set for all (benchmarks/random_clip.py). Each contender is a process of
its own with all cores, measured in turns, and the fastest pass counts: what else runs on a machine only slows one down.

- seemory: `Encoder.embed_pixels`, bytes to unit vectors, in each precision and runtime there is here.
- fastembed: the session that its own `ImageEmbedding` makes of a model folder, fed with ready planes.
- sentence-transformers: the torch model in its `CLIPModel`, in fp32 and in bf16, fed with ready planes.

So Seemory's time has the normalising of pixels in it, and the peers' has not. The cosines are to transformers' fp32
vectors of the same squares of photographs. The ceiling is explained in benchmarks/ceiling.py.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import random_clip
from seemory.models.running import ways_here
from seemory.models.session import available_cores

BATCHES = (1, 8, 16, 32)
SIDE = 224
_ENOUGH_S = 0.8

Call = Callable[[np.ndarray], np.ndarray]
"""`(n, s, s, 3)` uint8 to n vectors; what is to be timed is made ready by `prepared`."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="photographs for the fidelity; by default scikit-image's")
    parser.add_argument("--pictures", type=int, default=64, help="how many of them")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for the random model, which is made once")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=3, metavar=("CONTENDER", "PLACE", "OUT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        measure_one(given.one[0], Path(given.one[1]), Path(given.one[2]))
        return
    with tempfile.TemporaryDirectory() as scratch:
        place = given.keep or Path(scratch) / "model"
        folders = random_clip.make(place, SIDE)
        np.save(place / "squares.npy", squares(folders, random_clip.photographs(given.photos)[: given.pictures]))
        figures, fidelity = compare(place, contenders(), given.rounds)
        highest = ceilings(place)
    show(figures, fidelity, highest)
    if given.json:
        document = {"pictures_per_s": figures, "fidelity": fidelity, "ceiling_pictures_per_s": highest}
        given.json.write_text(json.dumps(document, indent=1) + "\n")


def contenders() -> list[str]:
    ours = [f"seemory {way.precision} {way.runtime}" for way, missing in ways_here().items() if missing is None]
    return [*ours, "fastembed fp32", "sentence-transformers fp32", "sentence-transformers bf16"]


def compare(
    place: Path, names: Sequence[str], rounds: int
) -> tuple[dict[str, dict[int, float]], dict[str, tuple[float, float]]]:
    """Pictures a second at each batch, and (mean, 5th percentile) of the cosines to fp32 in torch."""
    rates: dict[str, dict[int, float]] = {}
    vectors: dict[str, np.ndarray] = {}
    for _ in range(rounds):
        for name in names:
            out = place / "out.npz"
            child("benchmarks.towers", "--one", name, place, out)
            with np.load(out) as found:
                vectors[name] = found["vectors"]
                now = dict(zip(BATCHES, found["rates"].tolist(), strict=True))
            rates[name] = {batch: max(rate, rates.get(name, {}).get(batch, 0)) for batch, rate in now.items()}
    truth = vectors["sentence-transformers fp32"]
    cosines = {name: (found * truth).sum(axis=1) for name, found in vectors.items()}
    return rates, {name: (float(c.mean()), float(np.quantile(c, 0.05))) for name, c in cosines.items()}


def ceilings(place: Path) -> dict[str, dict[int, float]]:
    """Pictures a second that the products alone would allow, by precision and batch; in a process of its own."""
    child("benchmarks.ceiling", "--json", place / "ceiling.json")
    found = json.loads((place / "ceiling.json").read_text())
    return {kind: {int(batch): rate for batch, rate in rates.items()} for kind, rates in found.items()}


def measure_one(name: str, place: Path, out: Path) -> None:
    pixels = np.load(place / "squares.npy")
    whole, timed = opened(name, place)
    vectors = np.concatenate([whole(pixels[start : start + 32]) for start in range(0, len(pixels), 32)])
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    rates = [batch / fastest(timed(np.resize(pixels, (batch, *pixels.shape[1:])))) for batch in BATCHES]
    np.savez(out, vectors=vectors.astype(np.float32), rates=np.asarray(rates))


def opened(name: str, place: Path) -> tuple[Call, Callable[[np.ndarray], Callable[[], object]]]:
    """What makes vectors of squares, and what makes the call to be timed of them."""
    folders = random_clip.make(place, SIDE)
    program, precision, *runtime = name.split()
    if program == "seemory":
        from seemory.models.folder import read_folder
        from seemory.models.loading import encoder_in
        from seemory.models.precision import Way

        way = Way(runtime[0], precision)  # type: ignore[arg-type]
        encoder = encoder_in(read_folder(folders.seemory), way, home=place / "home")
        return encoder.embed_pixels, lambda pixels: lambda: encoder.embed_pixels(pixels)
    if program == "fastembed":
        from fastembed import ImageEmbedding
        from PIL import Image

        model = ImageEmbedding("Qdrant/clip-ViT-B-32-vision", specific_model_path=str(folders.fastembed)).model

        def by_fastembed(pixels: np.ndarray) -> np.ndarray:
            return np.stack(list(model.embed([Image.fromarray(one) for one in pixels], batch_size=len(pixels))))

        def session_alone(pixels: np.ndarray) -> Callable[[], object]:
            feeds = {model.model.get_inputs()[0].name: planes(pixels)}
            return lambda: model.model.run(None, feeds)

        return by_fastembed, session_alone
    return by_torch(folders.checkpoint, precision)


def by_torch(checkpoint: Path, precision: str) -> tuple[Call, Callable[[np.ndarray], Callable[[], object]]]:
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import CLIPModel

    torch.set_num_threads(available_cores())
    number = torch.float32 if precision == "fp32" else torch.bfloat16
    model = SentenceTransformer(modules=[CLIPModel(str(checkpoint))], device="cpu")[0].model.to(number).eval()

    def call(given: Any) -> np.ndarray:
        with torch.inference_mode():
            found = model.get_image_features(pixel_values=given)
            return getattr(found, "pooler_output", found).float().numpy()

    def ready(pixels: np.ndarray) -> Any:
        return torch.from_numpy(planes(pixels)).to(number)

    def timed(pixels: np.ndarray) -> Callable[[], object]:
        given = ready(pixels)
        return lambda: call(given)

    return lambda pixels: call(ready(pixels)), timed


def planes(pixels: np.ndarray) -> np.ndarray:
    """The normalised planes that an image tower takes."""
    from seemory.models.preprocess import normalise
    from seemory.types import Preprocess

    return normalise(pixels, Preprocess(size=SIDE))


def squares(folders: random_clip.Folders, paths: Sequence[Path]) -> np.ndarray:
    """The photographs as the reference makes them."""
    from PIL import Image

    from seemory.models.encoder import Encoder
    from seemory.models.folder import read_folder

    encoder = Encoder(read_folder(folders.seemory))
    found = []
    for path in paths:
        with Image.open(path) as image:
            found.append(encoder.preprocess(image.convert("RGB")))
    return np.stack(found)


def fastest(call: Callable[[], object]) -> float:
    """Seconds of the fastest call within a good second."""
    call()
    least, until = float("inf"), time.perf_counter() + _ENOUGH_S
    while time.perf_counter() < until:
        started = time.perf_counter()
        call()
        least = min(least, time.perf_counter() - started)
    return least


def show(
    figures: dict[str, dict[int, float]],
    fidelity: dict[str, tuple[float, float]],
    highest: dict[str, dict[int, float]],
) -> None:
    peer = max(
        (name for name in figures if not name.startswith("seemory")), key=lambda name: max(figures[name].values())
    )
    print(f"ViT-B/32, {SIDE} pixels, random weights, {available_cores()} cores; pictures a second, the fastest pass")
    columns = f"{'batch 1':>9}{'8':>8}{'16':>8}{'32':>8}{'of ceiling':>13}{'of best peer':>14}"
    print(f"{'':32}{columns}{'cosine mean':>13}{'5th':>9}")
    for name, rates in figures.items():
        kind = name.split()[1]
        share = " ".join(f"{rates[n] / highest[kind][n]:.0%}" for n in (16, 32)) if kind in highest else ""
        ratio = max(rates.values()) / max(figures[peer].values())
        mean, p5 = fidelity[name]
        print(
            f"{name:32}{rates[1]:9.1f}{rates[8]:8.1f}{rates[16]:8.1f}{rates[32]:8.1f}"
            f"{share:>13}{ratio:13.2f}x{mean:13.5f}{p5:9.5f}"
        )
    for kind, rates in highest.items():
        print(
            f"{'ceiling ' + kind:32}{'':9}{'':8}{rates[16]:8.1f}{rates[32]:8.1f}   products alone, fastest library each"
        )
    print(f"of ceiling: at batches of 16 and 32, of the same precision. Best peer: {peer}.")


def child(module: str, *arguments: object) -> None:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    subprocess.run(command, check=True, env=environment(), stdout=subprocess.DEVNULL)


def environment() -> dict[str, str]:
    """The places this process imports from, for a child."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "HF_HUB_OFFLINE": "1"}


if __name__ == "__main__":
    main()
