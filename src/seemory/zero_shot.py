"""Labels and prompt templates → a classifier, without training.

Each label's vector is the normalised mean of its prompts' vectors (Radford et al., 2021, "Learning Transferable Visual
Models From Natural Language Supervision", section 3.1.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seemory.calibration import Calibration
from seemory.errors import UsageError
from seemory.models.encoder import Encoder
from seemory.types import Vectors

PHOTO_TEMPLATES = (
    "a photo of a {}.",
    "a close-up photo of a {}.",
    "a photo of the {}.",
    "a photo of many {}.",
    "a {} in the distance.",
)


@dataclass(frozen=True, slots=True)
class LabelScore:
    """One label's share of the answer."""

    label: str
    probability: float
    cosine: float


class ZeroShotClassifier:
    """Tells which of a few labels a picture is."""

    def __init__(self, encoder: Encoder, labels: Sequence[str], templates: Sequence[str] = PHOTO_TEMPLATES) -> None:
        """Embeds the labels' prompts.

        Raises:
            UsageError: fewer than two labels, a label twice, or a template without `{}`.
        """
        self.labels = [label.strip() for label in labels if label.strip()]
        if len(self.labels) < 2 or len(set(self.labels)) < len(self.labels):
            raise UsageError("classification needs at least two different labels, for example --labels cat,dog,car")
        for template in templates:
            if "{}" not in template:
                raise UsageError(f"a template needs {{}} where the label goes: {template!r}")
        prompts = [template.replace("{}", label) for label in self.labels for template in templates]
        vectors = encoder.embed_texts(prompts).reshape(len(self.labels), len(templates), -1).mean(axis=1)
        self.vectors: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)  # (labels, d)
        self._scale = encoder.spec.logit_scale or Calibration(encoder.calibration("text_to_image")).slope
        self._bias = encoder.spec.logit_bias

    def probabilities(self, pictures: Vectors) -> NDArray[np.float64]:
        """`(n, labels)` for `(n, d)` picture vectors, from the scaled cosines.

        Rows are a softmax and sum to 1; an encoder trained with a sigmoid loss (SigLIP: it has a logit bias) judges
        each label by itself, sigmoid(scale * cosine + bias), and its rows need not (Zhai et al., 2023, section 3.2).
        """
        logits = self._scale * (pictures.astype(np.float64) @ self.vectors.T.astype(np.float64))
        if self._bias is not None:
            return np.asarray(1.0 / (1.0 + np.exp(-(logits + self._bias))))
        logits -= logits.max(axis=1, keepdims=True)
        exponentials = np.exp(logits)
        return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))

    def classify(self, pictures: Vectors) -> list[list[LabelScore]]:
        """For each of `(n, d)` picture vectors its labels, likeliest first."""
        cosines = pictures @ self.vectors.T
        return [
            sorted(map(LabelScore, self.labels, map(float, row), map(float, cosine)), key=lambda s: -s.probability)
            for row, cosine in zip(self.probabilities(pictures), cosines, strict=True)
        ]
