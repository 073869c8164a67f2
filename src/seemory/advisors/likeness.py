"""A photograph's vector and a library's → the works that are like it, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np

from seemory.advisors.regions import Region, most_alike
from seemory.advisors.subjects import SharedLabel, Subjects
from seemory.calibration import Calibration
from seemory.models.encoder import Encoder
from seemory.store.libraries import Reference
from seemory.types import Vector, Vectors

ALIKE_SIGMAS: Final = 1.0
"""So many standard deviations above unrelated pictures a cosine lies where two pictures are called alike. The border is
the encoder's own, because cosines of unrelated pictures lie at 0.2 with one encoder and at 0.6 with another."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """How like the photograph one work is."""

    reference: Reference
    cosine: float
    likeness: float
    """Calibrated for the encoder, 0 to 1: how far the cosine lies above unrelated pictures."""
    sigmas: float
    """The same in standard deviations of unrelated pictures."""
    is_same: bool
    """Whether it is the very same file."""
    labels: tuple[SharedLabel, ...] = ()
    """What both show, where it was looked for."""
    region: Region | None = None
    """The part of the photograph where the likeness lies, where it lies in one and was looked for."""

    @property
    def reason(self) -> str:
        """Why it is called like, in words."""
        if self.is_same:
            return "the very same file"
        both = f"; both show {listed([one.label for one in self.labels])}" if self.labels else ""
        where = f"; most alike in its {self.region.name} ({self.region.cosine:.2f})" if self.region else ""
        return f"cosine {self.cosine:.2f}, {self.sigmas:+.1f} σ from unrelated pictures{where}{both}"

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "reference": described(self.reference),
            "cosine": round(self.cosine, 6),
            "likeness": round(self.likeness, 4),
            "sigmas": round(self.sigmas, 3),
            "region": None if self.region is None else asdict(self.region),
            "labels": [asdict(one) for one in self.labels],
            "same_file": self.is_same,
            "reason": self.reason,
        }


def likenesses(
    encoder: Encoder,
    photograph: Vector,
    works: Sequence[Reference],
    vectors: Vectors,
    *,
    sha256: bytes,
) -> list[Likeness]:
    """How like each of the works is, in their order.

    Args:
        encoder: the one that made the vectors.
        photograph: `(d,)` of norm 1.
        works: n of them.
        vectors: theirs, `(n, d)`.
        sha256: of the photograph's bytes.
    """
    wide = vectors.astype(np.float64)
    wide /= np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)  # halves are of norm 1 only nearly
    # Not by BLAS: for so little it would wake its threads, which then turn idly for longer than the answer takes.
    cosines = np.einsum("nd,d->n", wide, photograph.astype(np.float64))
    calibration = Calibration(encoder.calibration("image_to_image"))
    return [
        Likeness(
            reference=work,
            cosine=float(cosine),
            likeness=calibration.score(float(cosine)),
            sigmas=calibration.sigmas(float(cosine)),
            is_same=work.sha256 == sha256,
        )
        for work, cosine in zip(works, cosines, strict=True)
    ]


def nearest(found: Sequence[Likeness], limit: int) -> tuple[Likeness, ...]:
    """The works that are most like it, most like first."""
    return tuple(sorted(found, key=lambda one: (-one.cosine, one.reference.uri))[:limit])


def labelled(
    found: Sequence[Likeness],
    encoder: Encoder,
    subjects: Subjects,
    photograph: Vector,
    works: Sequence[Reference],
    vectors: Vectors,
) -> tuple[Likeness, ...]:
    """The same, each with what both show; the arguments are those of `likenesses`, and what may be shown."""
    if not found:
        return ()
    of = {work.sha256: vector for work, vector in zip(works, vectors, strict=True)}
    shared = subjects.shared(encoder, photograph, np.stack([of[one.reference.sha256] for one in found]))
    return tuple(replace(one, labels=both) for one, both in zip(found, shared, strict=True))


def located(
    found: Sequence[Likeness], parts: Vectors, works: Sequence[Reference], vectors: Vectors, calibration: Calibration
) -> tuple[Likeness, ...]:
    """The same, each with the region of the photograph where the likeness lies, if it lies in one.

    Args:
        found: some of the works.
        parts: the vectors of the photograph's regions, `(5, d)`.
        works: n of them.
        vectors: theirs, `(n, d)`.
        calibration: the encoder's, of pictures.
    """
    of = {work.sha256: vector for work, vector in zip(works, vectors, strict=True)}
    return tuple(
        one
        if one.is_same
        else replace(one, region=most_alike(parts, of[one.reference.sha256], calibration, least=ALIKE_SIGMAS))
        for one in found
    )


def described(reference: Reference) -> dict[str, Any]:
    """A work as an answer names it, and whether its file is still there."""
    return reference.as_json() | {"file_is_here": reference.is_here}


def listed(words: Sequence[str]) -> str:
    """Words one after the other: a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
