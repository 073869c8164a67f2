"""What is found → sentences, each with the figures it rests on. One place, so that no two of them disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from seemory.advisors.comparison import Comparison
from seemory.advisors.likeness import ALIKE_SIGMAS, Likeness, listed
from seemory.store.libraries import Reference

NAMES: Final[Mapping[str, str]] = {
    "composition": "composition",
    "lighting": "lighting",
    "focus_sharpness": "focus and sharpness",
    "color_harmony": "colour harmony",
    "subject_isolation": "isolation of the subject",
    "depth_perspective": "depth and perspective",
    "visual_balance": "visual balance",
    "emotional_impact": "emotional impact",
}
"""The dimensions as sentences name them."""

_MOST: Final = 3  # strengths and priorities that are put into words; all are in the table


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence, and what it rests on."""

    text: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


def of_likeness(found: Sequence[Likeness]) -> list[Statement]:
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


def of_comparison(comparison: Comparison) -> list[Statement]:
    """What is to be said of the dimensions: what is strong, what to work on in which order, which works show how."""
    said: list[Statement] = []
    if strong := comparison.strengths[:_MOST]:
        parts = [f"{NAMES[one.dimension]} ({one.score:.1f}; the library's middle is {one.usual:.1f})" for one in strong]
        evidence: dict[str, Any] = {
            one.dimension: {"score": round(one.score, 2), "usual": round(one.usual, 2)} for one in strong
        }
        said.append(Statement(f"Strong beside this library: {listed(parts)}.", evidence))
    shown = {case.dimension: case for case in comparison.cases}
    for rank, one in enumerate(comparison.priorities[:_MOST]):
        begin = ("First", "Then", "After that")[rank]
        text = (
            f"{begin}: {NAMES[one.dimension]}, {one.score:.1f} where the library's middle is {one.usual:.1f}. "
            f"{one.measured.comment}"
        )
        grounds: dict[str, Any] = {"score": round(one.score, 2), "usual": round(one.usual, 2)}
        grounds |= one.measured.evidence
        if case := shown.pop(one.dimension, None):
            text += f" See {cited(case.work.reference)}, {case.theirs:.1f}."
            grounds |= {"reference": case.work.reference.key, "their score": round(case.theirs, 2)}
        said.append(Statement(text, grounds))
    if not comparison.priorities:
        said.append(
            Statement(
                "In none of the eight is it clearly behind the library's middle.",
                {one.dimension: round(one.score - one.usual, 2) for one in comparison.standings},
            )
        )
    for case in shown.values():
        text = f"For {NAMES[case.dimension]} ({case.own:.1f}), see {cited(case.work.reference)}, {case.theirs:.1f}."
        evidence = {"own": round(case.own, 2), "theirs": round(case.theirs, 2), "cosine": round(case.work.cosine, 4)}
        said.append(Statement(text, evidence | {"reference": case.work.reference.key}))
    return said


def cited(reference: Reference) -> str:
    """A work as a sentence names it: “Title” (year)."""
    year = f" ({reference.year})" if reference.year else ""
    return f"“{reference.name}”{year}"
