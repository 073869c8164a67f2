"""A photograph's vector and a library's → the works that are like it, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from seemory.advisors.advice import Likeness, Statement, cited
from seemory.advisors.subjects import Subjects
from seemory.calibration import Calibration
from seemory.models.encoder import Encoder
from seemory.store.libraries import Reference
from seemory.types import Vector, Vectors

ALIKE_SIGMAS: Final = 1.0
"""So many standard deviations above unrelated pictures a cosine lies where two pictures are called alike. The border is
the encoder's own, because cosines of unrelated pictures lie at 0.2 with one encoder and at 0.6 with another."""


def likenesses(
    encoder: Encoder,
    subjects: Subjects,
    photograph: Vector,
    works: Sequence[Reference],
    vectors: Vectors,
    *,
    sha256: bytes,
) -> list[Likeness]:
    """How like each of the works is, in their order.

    Args:
        encoder: the one that made the vectors.
        subjects: what both may show.
        photograph: `(d,)` of norm 1.
        works: n of them.
        vectors: theirs, `(n, d)`.
        sha256: of the photograph's bytes.
    """
    wide = vectors.astype(np.float64)
    wide /= np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)  # halves are of norm 1 only nearly
    cosines = wide @ photograph.astype(np.float64)
    calibration = Calibration(encoder.calibration("image_to_image"))
    labels = subjects.shared(encoder, photograph, vectors)
    return [
        Likeness(
            reference=work,
            cosine=float(cosine),
            likeness=calibration.score(float(cosine)),
            sigmas=calibration.sigmas(float(cosine)),
            labels=both,
            is_same=work.sha256 == sha256,
        )
        for work, cosine, both in zip(works, cosines, labels, strict=True)
    ]


def nearest(found: Sequence[Likeness], limit: int) -> tuple[Likeness, ...]:
    """The works that are most like it, most like first."""
    return tuple(sorted(found, key=lambda one: (-one.cosine, one.reference.uri))[:limit])


def in_words(found: Sequence[Likeness]) -> list[Statement]:
    """What is to be said of the nearest works."""
    if not found:
        return []
    first = found[0]
    evidence = {"reference": first.reference.key, "cosine": round(first.cosine, 4), "sigmas": round(first.sigmas, 2)}
    evidence |= {f"both show {one.label}": [one.photograph, one.reference] for one in first.labels}
    name = cited(first.reference)
    if first.is_same:
        text = f"This is a work of the library itself: {name}."
    elif first.sigmas < ALIKE_SIGMAS:
        text = f"Nothing in the library is much like it; the nearest is {name}: {first.reason}."
    else:
        text = f"It is most like {name}: {first.reason}."
    return [Statement(text, evidence)]
