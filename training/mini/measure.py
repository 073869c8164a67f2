"""Plain functions of arrays: recall both ways, rank correlation, the cosines of right and wrong pairs."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from .sources import normal

STEPS = (1, 5, 10)


def recall(pictures: np.ndarray, sentences: np.ndarray, owner: np.ndarray) -> dict[str, dict[str, float]]:
    """Recall@1, 5, 10 in percent, text to image and image to text, with the level of chance.

    `owner[i]` is the picture that sentence i tells of. A picture finds its text when any of its captions is among
    the first k, so chance is higher that way round.
    """
    cosine = sentences @ pictures.T
    own = cosine[np.arange(len(sentences)), owner]
    ahead = (cosine > own[:, None]).sum(1)
    of_text = {f"R@{k}": 100 * float((ahead < k).mean()) for k in STEPS}
    best = np.array([cosine[owner == i, i].max() for i in range(len(pictures))])
    before = (cosine > best).sum(0)
    of_picture = {f"R@{k}": 100 * float((before < k).mean()) for k in STEPS}
    n, m = len(pictures), len(sentences)
    each = m / n
    chance = {f"R@{k}": 100 * k / n for k in STEPS}
    back = {f"R@{k}": 100 * (1 - float(np.prod([(m - each - j) / (m - j) for j in range(k)]))) for k in STEPS}
    return {"text_to_image": of_text, "image_to_text": of_picture, "chance": chance, "chance_image_to_text": back}


def sts(path: Path) -> tuple[list[str], list[str], np.ndarray]:
    """Sentence pairs and gold scores of one part of STS-B."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [row[5] for row in rows], [row[6] for row in rows], np.array([float(row[4]) for row in rows])


def sts_sentences(data: Path) -> set[str]:
    """The normal forms of all sentences STS-B is measured with; some are Flickr8k captions."""
    return {
        normal(text) for part in ("dev", "test") for side in sts(data / "sts" / f"sts-{part}.csv")[:2] for text in side
    }


def agreement(first: np.ndarray, second: np.ndarray, gold: np.ndarray) -> float:
    """Spearman's correlation of the pairs' cosines with the gold scores."""
    return float(spearmanr((first * second).sum(1), gold)[0])


def spread(background: np.ndarray, match: np.ndarray) -> dict[str, float]:
    """Mean and deviation of the cosines of unrelated pairs and of right ones."""
    return {
        "background_mean": round(float(background.mean()), 4),
        "background_std": round(float(background.std()), 4),
        "match_mean": round(float(match.mean()), 4),
        "match_std": round(float(match.std()), 4),
    }
