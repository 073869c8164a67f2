"""Many vectors like CLIP's from few real ones: real ViT-B/32 vectors of photographs, blown up; the geometry stays.

    python -m benchmarks.clip_like [--rows 100000] [--data ../shared/data]

A new vector is a real one, drawn at random and moved by Gaussian noise of the real vectors' own covariance:

    x = m + sqrt(1 - h²) · (x_i - m) + h · z,   z ~ N(0, Σ)

which keeps mean and covariance whatever h is (the "smoothed bootstrap with variance correction": Silverman, Density
Estimation, 1986, 6.4). h is chosen so that among as many new vectors as there are real ones the median cosine to the
nearest neighbour is the real one. Queries are not blown up: they are real texts and pictures that were set aside.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SET_ASIDE = 100
"""Pictures that are queries and no one's parent."""
NAMES = 1203
"""The first so many text queries are names of things, the others captions."""


@dataclass(frozen=True)
class Real:
    """Real vectors of one space, rows of norm 1, float32."""

    images: Floats
    """`(n, 512)`: parents of the blown-up ones."""
    image_queries: Floats
    text_queries: Floats
    """`(m, 512)`: 1,203 names of things, 500 captions."""


def real(data: Path = DATA, seed: int = 0) -> Real:
    """The real vectors, each picture once, some of them set aside as queries."""
    folder = data / "clip_vit_b32_vectors"
    pictures = _unit(
        [folder / "flickr1000_images" / "clip_embeddings.npy", folder / "flickr100" / "image_embeddings.npy"]
    )
    cosines = np.triu(pictures @ pictures.T, k=1)
    pictures = pictures[~(cosines > 0.999).any(axis=0)]
    pictures = np.random.default_rng(seed).permutation(pictures)
    texts = _unit(
        [folder / "lvis_class_texts" / "lvis_v1_clip_a+cname.npy", folder / "flickr100" / "text_embeddings.npy"]
    )
    return Real(pictures[SET_ASIDE:], pictures[:SET_ASIDE], texts)


def _unit(files: list[Path]) -> Floats:
    rows = np.concatenate([np.load(file).astype(np.float32) for file in files])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def queries_of(found: Real, several: int) -> dict[str, Floats]:
    """So many queries of each kind, the texts' spread over all there are."""
    names, captions = found.text_queries[:NAMES], found.text_queries[NAMES:]
    return {
        "names": names[:: max(1, len(names) // several)][:several],
        "captions": captions[:: max(1, len(captions) // several)][:several],
        "pictures": found.image_queries[:several],
    }


def blow_up(parents: Floats, rows: int, seed: int = 1, h: float | None = None) -> Floats:
    """`(rows, d)` float32 of norm 1, distributed as the parents; `h` as above, chosen if it is not given."""
    h = h if h is not None else choose_h(parents)
    rng = np.random.default_rng(seed)
    mean = parents.mean(axis=0)
    _, values, axes = np.linalg.svd(parents - mean, full_matrices=False)
    root = (values[:, None] * axes / len(parents) ** 0.5).astype(np.float32)  # (r, d): root.T @ root is the covariance
    made = np.empty((rows, parents.shape[1]), np.float32)
    for start in range(0, rows, 10_000):
        block = made[start : start + 10_000]
        block[:] = (parents[rng.integers(len(parents), size=len(block))] - mean) * (1 - h * h) ** 0.5
        block += h * rng.standard_normal((len(block), len(root)), dtype=np.float32) @ root
        block += mean
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return made


def choose_h(parents: Floats) -> float:
    """The h at which nearest neighbours among new vectors are as near as among the parents (median cosine)."""
    wanted = float(np.median(nearest_cosines(parents)))
    low, high = 0.0, 1.0
    for _ in range(7):  # neighbours get farther as h grows
        h = (low + high) / 2
        near = float(np.median(nearest_cosines(blow_up(parents, len(parents), seed=2, h=h))))
        low, high = (h, high) if near > wanted else (low, h)
    return (low + high) / 2


def nearest_cosines(vectors: Floats) -> Floats:
    """`(n,)`: each one's cosine to its nearest neighbour."""
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1.0)
    return cosines.max(axis=1)


def geometry(images: Floats, texts: Floats, sample: int) -> dict[str, float]:
    """What makes a CLIP space what it is, of `sample` of the images and all texts."""
    rng = np.random.default_rng(3)
    some = images if len(images) <= sample else images[rng.choice(len(images), sample, replace=False)]
    centred = some - some.mean(axis=0)
    share = np.linalg.svd(centred, compute_uv=False) ** 2
    share = share[share > 0] / share.sum()
    pairs = (some @ some.T)[np.triu_indices(len(some), k=1)]
    near = nearest_cosines(some)
    across = texts @ some.T
    return {
        "effective rank": float(np.exp(-(share * np.log(share)).sum())),  # Roy & Vetterli 2007
        "cosine of pairs, mean": float(pairs.mean()),
        "cosine of pairs, std": float(pairs.std()),
        **{f"cosine to the nearest, p{p}": float(np.percentile(near, p)) for p in (5, 50, 95)},
        "modality gap": float(np.linalg.norm(some.mean(axis=0) - texts.mean(axis=0))),  # Liang et al. 2022
        "text to image, mean": float(across.mean()),
        "text to nearest image, mean": float(across.max(axis=1).mean()),
    }


def print_geometry(parents: Floats, made: Floats, texts: Floats) -> None:
    """Real and blown-up side by side, on samples of one size."""
    real_one, made_one = (geometry(vectors, texts, len(parents)) for vectors in (parents, made))
    print(f"{'':28} {'real':>8} {'blown up':>9}   ({len(parents):,} of each)")
    for name, value in real_one.items():
        print(f"{name:28} {value:8.3f} {made_one[name]:9.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args()
    found = real(arguments.data)
    h = choose_h(found.images)
    made = blow_up(found.images, arguments.rows, h=h)
    print(f"{len(found.images):,} real pictures, h = {h:.3f}, {arguments.rows:,} made of them")
    print_geometry(found.images, made, found.text_queries)


if __name__ == "__main__":
    main()
