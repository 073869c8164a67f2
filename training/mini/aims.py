"""The vector a picture should have, made from what the teacher saw, in the space of the sentence vectors.

Two ways that need no image-text model, added: (a) class-name vectors weighted by the teacher's softened beliefs;
(b) ridge regression from the teacher's pooled feature to the mean caption vector of the captioned crops.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DIM = 256


def unit(x: np.ndarray) -> np.ndarray:
    """Rows of norm 1."""
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-9)


def beliefs(logits: np.ndarray, temperature: float = 3, top: int = 200) -> np.ndarray:
    """(n, 1001) logits, background first, to (n, 1000) softmax over the `top` classes at `temperature`."""
    raised = logits[:, 1:].astype(np.float32) / temperature
    least = np.partition(raised, -top, axis=1)[:, -top][:, None]
    weights = np.where(raised >= least, np.exp(raised - raised.max(1, keepdims=True)), 0)
    return weights / weights.sum(1, keepdims=True)


def feature(pooled: np.ndarray) -> np.ndarray:
    """The normalised square root of the pooled feature."""
    return unit(np.sqrt(np.maximum(pooled.astype(np.float32), 0)))


@dataclass(frozen=True)
class Aim:
    """Turns the teacher's outputs into the picture's vector, and any 384-wide sentence vector into the same space."""

    classes: np.ndarray  # (1000, 384), centred
    centre: np.ndarray  # (384,) mean caption vector
    axes: np.ndarray  # (384, DIM)
    mean: np.ndarray  # (1280,) mean feature of the regression
    weights: np.ndarray  # (1280, 384)
    offset: np.ndarray  # (DIM,) mean picture vector

    def raw(self, logits: np.ndarray, pooled: np.ndarray) -> np.ndarray:
        """(n, DIM) before the pictures' own mean is taken away."""
        named = unit(beliefs(logits) @ self.classes)
        told = unit((feature(pooled) - self.mean) @ self.weights)
        return unit((told + 0.7 * named) @ self.axes)

    def picture(self, logits: np.ndarray, pooled: np.ndarray) -> np.ndarray:
        """(n, DIM), rows of norm 1."""
        return unit(self.raw(logits, pooled) - self.offset)

    def sentence(self, vectors: np.ndarray) -> np.ndarray:
        """(n, 384) to (n, DIM), rows of norm 1, centred on the mean caption."""
        return unit((vectors - self.centre) @ self.axes)


def regress(x: np.ndarray, y: np.ndarray, weight: np.ndarray, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    """Weighted ridge regression of centred y on centred x: (mean of x, weights)."""
    mean = x.mean(0)
    centred = x - mean
    left = (centred * weight[:, None]).T @ centred + ridge * np.eye(x.shape[1], dtype=np.float32)
    return mean, np.linalg.solve(left, (centred * weight[:, None]).T @ (y - y.mean(0))).astype(np.float32)


def fit(
    vector_of: dict[str, np.ndarray],
    classes: np.ndarray,
    crops: list[tuple[str, tuple[str, ...]]],
    logits: np.ndarray,
    pooled: np.ndarray,
) -> Aim:
    """The aim from captioned crops: (source, captions) of each with its logits and pooled feature.

    Class names are no captions: they weigh a fifth in the regression and stay out of the captions' mean.
    """
    named = np.array([source == "imagenet" for source, _ in crops])
    known = {captions: np.mean([vector_of[caption] for caption in captions], 0) for _, captions in set(crops)}
    mean, weights = regress(
        feature(pooled),
        np.array([known[captions] for _, captions in crops]),
        np.where(named, 0.2, 1).astype(np.float32),
        10,
    )
    told = sorted({caption for source, captions in crops if source != "imagenet" for caption in captions})
    sentences = np.array([vector_of[caption] for caption in told])
    centre = sentences.mean(0)
    spread = np.concatenate([sentences - centre, classes - classes.mean(0)])
    axes = np.linalg.svd(spread, full_matrices=False)[2][:DIM].T.copy()
    aim = Aim(classes - 0.8 * classes.mean(0), centre, axes, mean, weights, np.zeros(DIM, np.float32))
    offset = aim.raw(logits[~named], pooled[~named]).mean(0)
    return Aim(aim.classes, centre, axes, mean, weights, offset)
