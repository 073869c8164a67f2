"""How each of the eight dimensions answers a controlled change, how steady it is, and how it uses its scale.

    python -m benchmarks.dimensions [--photos DIR ...] [--pictures N] [--plot FILE] [--json FILE]

Every picture goes through every change of `dimension_changes` at six strengths. Of the change's own dimension: the
rank correlation (Spearman's) of score against strength (the median over pictures, and the share of pictures with 0.9
and more) and the movement, which is the median over pictures of the score's difference between the strongest change and
none. Of the others: the largest median movement, in either direction, among those that the change is not related to.
"Steady": the difference after JPEG at quality 75, and after halving the size, in pictures of at least 480 pixels.
"Scale": the quantiles of the scores of all pictures.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import spearmanr

from benchmarks.dimension_changes import CHANGES, STRENGTHS, Change, Photograph
from seemory.advisors.canvas import Canvas
from seemory.advisors.dimensions import measure
from seemory.advisors.figures import figures, look
from seemory.advisors.profile import DIMENSIONS
from seemory.advisors.prompts import PromptPairs
from seemory.demo_photographs import PHOTOGRAPHS
from seemory.media.opening import PICTURE_SUFFIXES
from seemory.models.loading import load_encoder

SHORT = ("comp", "light", "focus", "colour", "isol", "depth", "balance", "emotion")


class Eye:
    """Scores pictures with the bundled encoder's prompt pairs, one picture after another in one process."""

    def __init__(self) -> None:
        cv2.setNumThreads(1)
        self._encoder = load_encoder("seemory-mini", home=Path(tempfile.gettempdir()), offline=True, threads=1)
        self._pairs = PromptPairs(self._encoder)

    def scores(self, photograph: Photograph) -> NDArray[np.float64]:
        vector = self._encoder.embed_images([Image.fromarray(photograph)])[0]
        return measure(photograph, self._pairs.evidence(vector)).scores()


_eye: Eye | None = None


def eye() -> Eye:
    global _eye
    _eye = _eye or Eye()
    return _eye


def read(path: Path) -> Photograph:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def responses(path: Path) -> NDArray[np.float64]:
    """`(changes, strengths, 8)` scores of one picture."""
    photograph = read(path)
    return np.array([[eye().scores(change.apply(photograph, s)) for s in STRENGTHS] for change in CHANGES])


def steadiness(path: Path) -> NDArray[np.float64]:
    """`(3, 8)` scores of one picture: as it is, as JPEG, at half its size."""
    photograph = read(path)
    buffer = io.BytesIO()
    Image.fromarray(photograph).save(buffer, "JPEG", quality=75)
    small = Image.fromarray(photograph).resize(
        (photograph.shape[1] // 2, photograph.shape[0] // 2), Image.Resampling.LANCZOS
    )
    return np.array([eye().scores(one) for one in (photograph, read_bytes(buffer), np.asarray(small))])


def read_bytes(buffer: io.BytesIO) -> Photograph:
    return np.asarray(Image.open(buffer))


def plain_scores(path: Path) -> NDArray[np.float64]:
    return eye().scores(read(path))


def answer_to(change: Change, scores: NDArray[np.float64]) -> dict[str, Any]:
    """The figures of one change from the `(pictures, strengths, 8)` scores under it."""
    own = DIMENSIONS.index(change.dimension)
    sign = 1 if change.rises else -1
    ranks = [sign * spearmanr(STRENGTHS, one[:, own]).statistic if np.ptp(one[:, own]) else 0.0 for one in scores]
    moved = scores[:, -1] - scores[:, 0]
    free = [d for d in range(8) if d != own and DIMENSIONS[d] not in change.related]
    aside = np.median(np.abs(moved), axis=0)
    worst = max(free, key=lambda d: aside[d])
    return {
        "change": change.name,
        "dimension": change.dimension,
        "pictures": len(scores),
        "spearman": float(np.median(ranks)),
        "share": float(np.mean(np.array(ranks) >= 0.9)),
        "movement": float(np.median(sign * moved[:, own])),
        "others": {DIMENSIONS[d]: float(aside[d]) for d in range(8) if d != own},
        "unrelated": DIMENSIONS[worst],
        "unrelated_movement": float(aside[worst]),
        "curve": np.median(scores[:, :, own], axis=0).tolist(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dimensions", description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=Path, action="append", default=[], help="a folder of photographs; repeatable")
    parser.add_argument("--pictures", type=int, default=40, help="how many pictures go through the changes")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    own = [path for photograph in PHOTOGRAPHS if (path := photograph.find())]
    found = [
        p for folder in arguments.photos for p in sorted(folder.rglob("*")) if p.suffix.lower() in PICTURE_SUFFIXES
    ]
    large = own + [path for path in found if large_enough(path)]
    chosen = large if len(large) <= arguments.pictures else [
        large[round(i)] for i in np.linspace(0, len(large) - 1, arguments.pictures)
    ]  # fmt: skip
    with ProcessPoolExecutor() as pool:
        answered = np.array(list(pool.map(responses, chosen)))
        steady = np.array(list(pool.map(steadiness, chosen)))
        known = list(pool.map(own_figures, chosen))
        all_scores = np.array(list(pool.map(plain_scores, found or own, chunksize=8)))
    report: dict[str, Any] = {"pictures": len(chosen), "answers": [], "steady": {}, "scale": {}}
    print(f"{len(chosen)} photographs, {len(STRENGTHS)} strengths\n")
    print(f"{'change':18} {'own dimension':18} Spearman  share  moves  largest unrelated ({' '.join(SHORT)})")
    for i, change in enumerate(CHANGES):
        fit = np.array([change.only(one) for one in known])
        answer = answer_to(change, answered[fit, i])
        report["answers"].append(answer)
        others = " ".join(f"{answer['others'].get(d, float('nan')):.1f}" for d in DIMENSIONS)
        print(
            f"{change.name:18} {change.dimension:18} {answer['spearman']:8.2f} {answer['share']:6.0%} "
            f"{answer['movement']:6.2f}  {answer['unrelated_movement']:.2f} {answer['unrelated']:18} {others}"
        )
    print(f"\n{'steady':18} {'JPEG 75: median, 9 of 10':28} half size: median, 9 of 10")
    for d, name in enumerate(DIMENSIONS):
        apart = np.abs(steady[:, 1:, d] - steady[:, :1, d])
        middle, most = np.median(apart, axis=0), np.quantile(apart, 0.9, axis=0)
        report["steady"][name] = {"jpeg": [middle[0], most[0]], "half": [middle[1], most[1]]}
        print(f"{name:18} {middle[0]:8.2f} {most[0]:8.2f}            {middle[1]:8.2f} {most[1]:8.2f}")
    print(f"\nscale, {len(all_scores)} photographs: 5 %, 25 %, 50 %, 75 %, 95 %")
    for d, name in enumerate(DIMENSIONS):
        quantiles = np.quantile(all_scores[:, d], (0.05, 0.25, 0.5, 0.75, 0.95))
        report["scale"][name] = quantiles.tolist()
        print(f"{name:18} " + " ".join(f"{x:6.1f}" for x in quantiles))
    correlations = np.corrcoef(all_scores.T)
    print("\ncorrelation between dimensions\n" + "\n".join(
        f"{name:18} " + " ".join(f"{x:5.2f}" for x in row) for name, row in zip(DIMENSIONS, correlations, strict=True)
    ))  # fmt: skip
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1))
    if arguments.plot:
        draw(report, arguments.plot)


def large_enough(path: Path) -> bool:
    with Image.open(path) as image:
        return max(image.size) >= 480


def own_figures(path: Path) -> dict[str, float]:
    return figures(look(Canvas(read(path))), None)


def draw(report: dict[str, Any], path: Path) -> None:
    """The median score of each change's own dimension over its strength."""
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["svg.fonttype"] = "none"
    figure = Figure(figsize=(12, 5.4), layout="constrained")
    for axes, answer in zip(figure.subplots(2, 5, sharex=True, sharey=True).flat, report["answers"], strict=True):
        axes.plot(STRENGTHS, answer["curve"], marker="o", color="#1f5a96")
        axes.set_title(f"{answer['change']}\n{answer['dimension']}", fontsize=9)
        axes.set_ylim(0, 10)
        axes.grid(alpha=0.3)
        axes.text(0.04, 0.06, f"ρ {answer['spearman']:.2f}", transform=axes.transAxes, fontsize=9)
    figure.supxlabel("strength of the change")
    figure.supylabel(f"score, median of {report['pictures']} photographs")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
