"""What no formula holds, asked of an image-text encoder: does a picture lie nearer to one phrase than to its opposite?

The idea of CLIP-IQA (Wang, Chan & Loy, 2023, "Exploring CLIP for assessing the look and feel of images", section 3):
two opposing phrases instead of one, so that what a phrase's vector shares with all pictures cancels out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from seemory.calibration import Calibration
from seemory.errors import UsageError
from seemory.models.encoder import Encoder
from seemory.types import Vector

PAIRS: Final[dict[str, tuple[str, str]]] = {
    "dramatic": ("a dramatic photograph", "a dull photograph"),
    "moving": ("a moving and emotional scene", "an empty and boring scene"),
    "alive": ("a happy moment full of life", "a lifeless object"),
    "together": ("people laughing together", "nobody there"),
}
"""The phrases asked about, the stirring one first."""


@dataclass(frozen=True, slots=True)
class PromptEvidence:
    """How much one picture is like the first phrase of each pair rather than the second."""

    shares: Mapping[str, float]
    """By the pair's name: probability of the first phrase, 0 to 1."""
    encoder: str
    """Fingerprint of the encoder whose vectors these are."""


class PromptPairs:
    """The pairs' vectors of one encoder, made once."""

    def __init__(self, encoder: Encoder) -> None:
        """Embeds the phrases.

        Raises:
            TowerMissing: the encoder has no words.
        """
        self.encoder = encoder.fingerprint
        phrases = [phrase for pair in PAIRS.values() for phrase in pair]
        vectors = encoder.embed_texts(phrases).astype(np.float64)
        scale = encoder.spec.logit_scale or Calibration(encoder.calibration("text_to_image")).slope
        self._logits = scale * (vectors[0::2] - vectors[1::2])  # (pairs, d)

    def evidence(self, picture: Vector) -> PromptEvidence:
        """What a picture's vector, `(d,)` of norm 1 and of the same encoder, says of each pair.

        The softmax over a pair's two scaled cosines, as in CLIP-IQA's equation 3.

        Raises:
            UsageError: the vector has another width.
        """
        if picture.shape != self._logits.shape[1:]:
            raise UsageError(
                f"the picture's vector has shape {picture.shape} and the phrases' {self._logits.shape[1:]}; "
                "take both from one encoder"
            )
        shares = 1 / (1 + np.exp(-(self._logits @ picture.astype(np.float64))))
        return PromptEvidence(dict(zip(PAIRS, map(float, shares), strict=True)), self.encoder)
