"""What is said of a photograph: values made of nothing but data, each statement with the figures it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from seemory.advisors.subjects import SharedLabel
from seemory.store.libraries import Reference

Mode = Literal["similar", "dimensions", "critic", "combined"]


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence, and what it rests on."""

    text: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Likeness:
    """How like the photograph one work is."""

    reference: Reference
    cosine: float
    likeness: float
    """Calibrated for the encoder, 0 to 1: how far the cosine lies above unrelated pictures."""
    sigmas: float
    """The same in standard deviations of unrelated pictures."""
    labels: tuple[SharedLabel, ...]
    """What both show."""
    is_same: bool
    """Whether it is the very same file."""

    @property
    def reason(self) -> str:
        """Why it is called like, in words."""
        if self.is_same:
            return "the very same file"
        both = f"; both show {_listed([one.label for one in self.labels])}" if self.labels else ""
        return f"cosine {self.cosine:.2f}, {self.sigmas:+.1f} σ from unrelated pictures{both}"

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "reference": described(self.reference),
            "cosine": round(self.cosine, 6),
            "likeness": round(self.likeness, 4),
            "sigmas": round(self.sigmas, 3),
            "labels": [asdict(one) for one in self.labels],
            "same_file": self.is_same,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Advice:
    """What a library says of a photograph."""

    photograph: str
    """What it is called."""
    sha256: str
    advisor: str
    works: int
    """How many of the library's works it was compared with."""
    mode: Mode
    model: str
    """The encoder that compared."""
    similar: tuple[Likeness, ...] = ()
    """The nearest works, nearest first."""
    words: tuple[Statement, ...] = ()
    missing: tuple[str, ...] = ()
    """What could not be said, and why."""

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "photograph": {"name": self.photograph, "sha256": self.sha256},
            "advisor": self.advisor,
            "works": self.works,
            "mode": self.mode,
            "model": self.model,
            "similar": [one.as_json() for one in self.similar],
            "words": [asdict(one) for one in self.words],
            "missing": list(self.missing),
        }


def described(reference: Reference) -> dict[str, Any]:
    """A work as an answer names it, and whether its file is still there."""
    return reference.as_json() | {"file_is_here": reference.is_here}


def cited(reference: Reference) -> str:
    """A work as a sentence names it: “Title” (year)."""
    year = f" ({reference.year})" if reference.year else ""
    return f"“{reference.name}”{year}"


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
