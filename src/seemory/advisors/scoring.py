"""A photograph's eight scores, with what the encoder that compares finds in it."""

from __future__ import annotations

from threading import Lock
from typing import Final

import numpy as np

from seemory.advisors.canvas import LONGER_SIDE
from seemory.advisors.dimensions import formulas, measure, require_packages
from seemory.advisors.photograph import Photograph, jpeg
from seemory.advisors.profile import Profile
from seemory.advisors.prompts import PromptPairs
from seemory.errors import UsageError
from seemory.models.encoder import Encoder
from seemory.types import Vector

_LOOKED_AT: Final = LONGER_SIDE  # at least twice as many pixels a side as are measured


class Scoring:
    """Measures photographs; each encoder's phrases are embedded once. May be asked by several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._pairs: dict[str, PromptPairs] = {}

    def lacks(self) -> str | None:
        """Why nothing can be measured here: packages that are not installed."""
        try:
            require_packages()
        except UsageError as error:
            return str(error)
        return None

    def formulas(self, encoder: Encoder) -> str:
        """What profiles made with that encoder say of themselves: those of others cannot be compared with them."""
        return formulas(encoder.fingerprint if encoder.has_texts else None)

    def profile(self, photograph: Photograph, vector: Vector, encoder: Encoder) -> Profile:
        """The eight scores; `vector` is the photograph's, of that encoder. An encoder without words is not asked.

        Raises:
            MediaError: the picture cannot be read.
            UsageError: it is too small or narrow, or packages are missing.
        """
        pixels = np.asarray(photograph.look(_LOOKED_AT).image)
        return measure(pixels, self._of(encoder).evidence(vector) if encoder.has_texts else None)

    def overlays(self, photograph: Photograph) -> dict[str, bytes]:
        """Pictures of what the scores rest on, by name, as JPEG bytes. Raises as `profile` does."""
        from seemory.advisors.overlays import overlays

        drawn = overlays(np.asarray(photograph.look(_LOOKED_AT).image))
        return {name: jpeg(picture, max(picture.size)) for name, picture in drawn.items()}

    def _of(self, encoder: Encoder) -> PromptPairs:
        with self._lock:
            made = self._pairs.get(encoder.fingerprint)
            if made is None:
                made = self._pairs[encoder.fingerprint] = PromptPairs(encoder)
            return made
