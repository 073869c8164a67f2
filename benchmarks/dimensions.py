"""How each of the eight dimensions answers a controlled change, how steady it is, and how it uses its scale.

    python -m benchmarks.dimensions [--photos DIR ...] [--pictures N] [--plot FILE] [--json FILE]

Photographs are those of `dimension_split`'s proof half, 480 pixels or more, and the demo's: none that the constants
were fitted on. Each change of `dimension_changes`, at six strengths, takes those that suit it, N at most.

Of the change's own dimension: Spearman's rank correlation of score against strength, in the wanted direction, of the
mean score and of each picture's (the median, and the share with 0.9 and more); and by how much the mean score differs
between the strongest change and none. Of the dimensions that the change is not related to: which one's mean score moves
most, and how far; and, which is stricter, which one's score moves most in a typical picture (the median distance; its
directions would cancel out in a mean). "Steady": the difference after JPEG at quality 75, and after halving the
size. "Nothing": the scores of frames that show nothing. "Scale": the quantiles of the scores.
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
from benchmarks.dimension_split import demo_photographs, photographs
from benchmarks.dimension_subjects import one_thing, subject
from seemory.advisors.canvas import Canvas
from seemory.advisors.dimensions import measure
from seemory.advisors.figures import figures, look
from seemory.advisors.profile import DIMENSIONS
from seemory.advisors.prompts import PromptPairs
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


def responses(path: Path, change: int) -> NDArray[np.float64]:
    """`(strengths, 8)` scores of one picture under one of `CHANGES`."""
    photograph = read(path)
    return np.array([eye().scores(CHANGES[change].apply(photograph, s)) for s in STRENGTHS])


def evenly(paths: list[Path], count: int) -> list[Path]:
    """At most that many of them, spread over the list."""
    if len(paths) <= count:
        return paths
    return [paths[round(i)] for i in np.linspace(0, len(paths) - 1, count)]


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


def scores_of(photograph: Photograph) -> NDArray[np.float64]:
    return eye().scores(photograph)


def answer_to(change: Change, scores: NDArray[np.float64]) -> dict[str, Any]:
    """The figures of one change from the `(pictures, strengths, 8)` scores under it."""
    own = DIMENSIONS.index(change.dimension)
    sign = 1 if change.rises else -1
    ranks = [sign * rank(one[:, own]) for one in scores]
    moved = scores[:, -1] - scores[:, 0]
    free = [d for d in range(8) if d != own and DIMENSIONS[d] not in change.related]
    mean, typical = np.abs(moved.mean(axis=0)), np.median(np.abs(moved), axis=0)
    most, most_typical = max(free, key=lambda d: mean[d]), max(free, key=lambda d: typical[d])
    return {
        "change": change.name,
        "dimension": change.dimension,
        "related": dict(change.related),
        "pictures": len(scores),
        "spearman of the mean": sign * rank(scores[:, :, own].mean(axis=0)),
        "spearman": float(np.median(ranks)),
        "share": float(np.mean(np.array(ranks) >= 0.9)),
        "movement": float(sign * moved[:, own].mean()),
        "means": {DIMENSIONS[d]: float(moved[:, d].mean()) for d in range(8)},
        "typical": {DIMENSIONS[d]: float(typical[d]) for d in range(8)},
        "unrelated": DIMENSIONS[most],
        "unrelated movement": float(mean[most]),
        "unrelated, typical": DIMENSIONS[most_typical],
        "unrelated movement, typical": float(typical[most_typical]),
        "curve": scores[:, :, own].mean(axis=0).tolist(),
        "quarters": np.quantile(scores[:, :, own], (0.25, 0.75), axis=0).tolist(),
    }


def rank(scores: NDArray[np.float64]) -> float:
    """Spearman's correlation with the strengths; 0 where nothing moves."""
    return float(spearmanr(STRENGTHS, scores).statistic) if np.ptp(scores) else 0.0


def nothings() -> dict[str, Photograph]:
    """Frames that show nothing."""
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    return {"black": np.zeros_like(noise), "white": np.full_like(noise, 255), "noise": noise,
            "grey noise": noise[:, :, :1].repeat(3, axis=2), "black with grain": noise // 50}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dimensions", description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=Path, action="append", default=[], help="a folder of photographs; repeatable")
    parser.add_argument("--pictures", type=int, default=40, help="at most so many go through each change")
    parser.add_argument("--half", choices=("proof", "fit"), default="proof", help="fit: to look at while tuning")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    large = list(photographs(arguments.photos, arguments.half, longer_side=480))
    if arguments.half == "proof":
        large = demo_photographs() + large
    large = [path for path in large if max(read(path).shape) >= 480]
    chosen = evenly(large, arguments.pictures)
    with ProcessPoolExecutor() as pool:
        known = dict(zip(large, pool.map(own_figures, large, chunksize=8), strict=True))
        fit = [evenly([path for path in large if change.only(known[path])], arguments.pictures) for change in CHANGES]
        asked = [(path, n) for n, paths in enumerate(fit) for path in paths]
        found = iter(list(pool.map(responses, *zip(*asked, strict=True), chunksize=4)))
        answered = [np.array([next(found) for _ in paths]) for paths in fit]
        steady = np.array(list(pool.map(steadiness, chosen)))
        all_scores = np.array(list(pool.map(plain_scores, large, chunksize=8)))
        empty = dict(zip(nothings(), pool.map(scores_of, nothings().values()), strict=True))
    report: dict[str, Any] = {"pictures": len(chosen), "answers": [], "steady": {}, "scale": {}, "nothing": {}}
    print(f"{len(large)} photographs of the {arguments.half} half, {len(STRENGTHS)} strengths\n")
    print(f"{'':35}Spearman of                    largest unrelated movement")
    print(f"{'change':17}{'own dimension':18}mean  each  >= 0.9  moves  {'of the mean':26}of a typical picture")
    for change, scores in zip(CHANGES, answered, strict=True):
        if not len(scores):
            raise SystemExit(f"{change.name}: no photograph suits it; name folders of photographs with --photos")
        answer = answer_to(change, scores)
        report["answers"].append(answer)
        third = answer["movement"] / 3
        aside = "  ".join(
            f"{answer[key]:4.2f}{' ' if answer[key] < third else '*'} {answer[name]:19}"
            for name, key in (
                ("unrelated", "unrelated movement"),
                ("unrelated, typical", "unrelated movement, typical"),
            )
        )
        print(
            f"{change.name:17}{change.dimension:18}{answer['spearman of the mean']:4.2f}  {answer['spearman']:4.2f} "
            f"{answer['share']:7.0%} {answer['movement']:6.2f}  {aside} n={answer['pictures']}"
        )
    print(f"(* a third of its own or more)\n\n{'mean score at strength':35}" + "".join(f"{s:7}" for s in STRENGTHS))
    for answer in report["answers"]:
        print(f"{answer['change']:17}{answer['dimension']:18}" + "".join(f"{x:7.2f}" for x in answer["curve"]))
    print(f"\n{'moves':17}" + "".join(f"{short:>9}" for short in SHORT) + "    (o own, r related)")
    for change, answer in zip(CHANGES, report["answers"], strict=True):
        marks = ["o" if d == change.dimension else "r" if d in change.related else " " for d in DIMENSIONS]
        cells = (f"{answer['means'][d]:+8.2f}{mark}" for d, mark in zip(DIMENSIONS, marks, strict=True))
        print(f"{change.name:17}" + "".join(cells))
    print(f"\n{'steady':18} {'JPEG 75: median, 9 of 10, most':32} half size: median, 9 of 10, most")
    apart = np.abs(steady[:, 1:] - steady[:, :1])  # (pictures, ways, 8)
    for d, name in enumerate(DIMENSIONS):
        ways = [[float(np.quantile(apart[:, way, d], q)) for q in (0.5, 0.9, 1.0)] for way in (0, 1)]
        report["steady"][name] = dict(zip(("jpeg", "half"), ways, strict=True))
        print(f"{name:18} " + "          ".join(" ".join(f"{x:7.2f}" for x in way) for way in ways))
    within = [float((apart[:, way].max(axis=1) <= 0.3).mean()) for way in (0, 1)]
    report["steady"]["within 0.3 in all"] = within
    print(f"pictures within 0.3 in all eight: {within[0]:.0%} as JPEG, {within[1]:.0%} at half size")
    print("\nnothing")
    for name, scores in empty.items():
        report["nothing"][name] = scores.tolist()
        print(f"{name:18} highest score {scores.max():.2f}")
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


def own_figures(path: Path) -> dict[str, float]:
    photograph = read(path)
    return figures(look(Canvas(photograph)), None) | {
        "subject": float(subject(photograph).mean()),
        "one_thing": float(one_thing(photograph) is not None),
    }


def draw(report: dict[str, Any], path: Path) -> None:
    """The mean score of each change's own dimension over its strength, and where half of the pictures lie."""
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["svg.fonttype"] = "none"
    figure = Figure(figsize=(12, 5.4), layout="constrained")
    for axes, answer in zip(figure.subplots(2, 5, sharex=True, sharey=True).flat, report["answers"], strict=True):
        axes.fill_between(STRENGTHS, *answer["quarters"], color="#1f5a96", alpha=0.15, linewidth=0)
        axes.plot(STRENGTHS, answer["curve"], marker="o", color="#1f5a96")
        axes.set_title(f"{answer['change']}\n{answer['dimension']}", fontsize=9)
        axes.set_ylim(0, 10)
        axes.grid(alpha=0.3)
        axes.text(0.04, 0.06, f"ρ {answer['spearman of the mean']:.2f}", transform=axes.transAxes, fontsize=9)
    figure.supxlabel("strength of the change")
    figure.supylabel("score: mean, and half of the photographs")
    figure.savefig(path, dpi=110, metadata={"Date": None})


if __name__ == "__main__":
    main()
