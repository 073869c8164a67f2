"""Eight scores beside a library's → where a photograph stands, what to work on first, and which works show how.

Pure functions of arrays, and the values they make; nothing here reads or asks anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from seemory.advisors.dimensions import COLOURED
from seemory.advisors.likeness import ALIKE_SIGMAS, Likeness
from seemory.advisors.profile import DIMENSIONS, HIGHEST, Measured, Profile

Scores = NDArray[np.float64]

STRONG: Final = 8.0
"""The least score of a work that is shown as an example."""

CLEAR: Final = 0.5
"""Differences below this are not spoken of: a score moves by up to 0.3 when a picture is saved again or halved."""

MOST_CASES: Final = 4
"""Examples in one answer: as many as one can take home."""

Place = Literal["strength", "level", "priority"]


@dataclass(frozen=True, slots=True)
class Standing:
    """One dimension of the photograph beside the library."""

    dimension: str
    measured: Measured
    usual: float
    """The library's median."""
    best: Likeness
    """The work with the highest score."""
    best_score: float
    study_score: float
    """The score of the work to study first."""
    place: Place

    @property
    def score(self) -> float:
        """The photograph's."""
        return self.measured.score

    @property
    def gap(self) -> float:
        """From the photograph up to the best work; negative where it is better than all of them."""
        return self.best_score - self.score


@dataclass(frozen=True, slots=True)
class Study:
    """A work worth studying: like the photograph, and better in something."""

    work: Likeness
    relevance: float
    """0.6 × cosine + 0.4 × largest gap / 10."""
    dimension: str
    """Where the work is most ahead."""
    gap: float
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class CaseStudy:
    """The work that shows how one dimension is done."""

    dimension: str
    work: Likeness
    own: float
    theirs: float
    measured: Measured
    """The work's."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A photograph beside a library, in eight dimensions."""

    standings: tuple[Standing, ...]
    """In the order of `DIMENSIONS`."""
    to_study: tuple[Study, ...]
    """By relevance, the most relevant first."""
    cases: tuple[CaseStudy, ...]
    """The most needed first; no work twice."""
    formulas: str
    works: int

    @property
    def priorities(self) -> tuple[Standing, ...]:
        """What to work on, the furthest behind the library's median first."""
        behind = (one for one in self.standings if one.place == "priority")
        return tuple(sorted(behind, key=lambda one: one.score - one.usual))

    @property
    def strengths(self) -> tuple[Standing, ...]:
        """What is better than the library's median, the furthest ahead first."""
        ahead = (one for one in self.standings if one.place == "strength")
        return tuple(sorted(ahead, key=lambda one: one.usual - one.score))


def relevance(cosines: Scores, own: Scores, theirs: Scores) -> Scores:
    """`(n,)` for `(n,)` cosines and `(n, 8)` scores beside the photograph's `(8,)`: how much a work has to teach it."""
    return np.asarray(0.6 * cosines + 0.4 * (theirs - own).max(axis=1) / HIGHEST)


def places(own: Scores, usual: Scores) -> list[Place]:
    """For each dimension whether the photograph is ahead of the library's median, behind, or neither."""
    return [
        "strength" if ahead >= CLEAR else "priority" if ahead <= -CLEAR else "level" for ahead in (own - usual).tolist()
    ]


def cases(
    own: Scores, usual: Scores, theirs: Scores, cosines: Scores, alike: NDArray[np.bool_]
) -> list[tuple[int, int]]:
    """(dimension, work) of the examples: the dimension furthest behind first, in each the best work not taken yet.

    A work is an example if it scores 8 or more, clearly more than the photograph, and is alike; of equal ones the more
    alike. Strengths need no example.

    Args:
        own: `(8,)` of the photograph.
        usual: `(8,)`, the library's medians.
        theirs: `(n, 8)`.
        cosines: `(n,)`.
        alike: `(n,)`.
    """
    found: list[tuple[int, int]] = []
    taken = ~alike
    for dimension in np.argsort(own - usual, kind="stable").tolist():
        if own[dimension] - usual[dimension] >= CLEAR or len(found) == MOST_CASES:
            break
        scores = theirs[:, dimension]
        fit = ~taken & (scores >= STRONG) & (scores - own[dimension] >= CLEAR)
        if fit.any():
            work = max(np.flatnonzero(fit).tolist(), key=lambda n: (scores[n], cosines[n]))
            found.append((dimension, work))
            taken[work] = True
    return found


def compare(own: Profile, works: Sequence[Likeness], profiles: Sequence[Profile], *, limit: int) -> Comparison:
    """The photograph beside works that have profiles by the same formulas; at least one, and none of them itself."""
    mine = own.scores()
    judged = np.array([_is_judged(own, name) for name in DIMENSIONS])
    # What is not judged is behind nothing and ahead of nothing.
    held = np.where(judged, mine, HIGHEST)
    theirs = np.stack([profile.scores() for profile in profiles])  # (n, 8)
    cosines = np.array([work.cosine for work in works])
    alike = np.array([work.sigmas >= ALIKE_SIGMAS for work in works])
    usual = np.median(theirs, axis=0)
    best = [max(range(len(works)), key=lambda n: (theirs[n, d], cosines[n])) for d in range(len(DIMENSIONS))]
    relevant = relevance(cosines, held, theirs)
    order = sorted(range(len(works)), key=lambda n: (-relevant[n], works[n].reference.uri))
    standings = tuple(
        Standing(
            dimension=name,
            measured=own.measured[name],
            usual=float(usual[d]),
            best=works[best[d]],
            best_score=float(theirs[best[d], d]),
            study_score=float(theirs[order[0], d]),
            place=place,
        )
        for d, (name, place) in enumerate(zip(DIMENSIONS, places(np.where(judged, mine, usual), usual), strict=True))
    )
    studies = []
    for n in order[:limit]:
        most = int(np.argmax(theirs[n] - held))
        gap = float(theirs[n, most] - mine[most])
        scores = dict(zip(DIMENSIONS, map(float, theirs[n]), strict=True))
        studies.append(Study(works[n], float(relevant[n]), DIMENSIONS[most], gap, scores))
    chosen = tuple(
        CaseStudy(DIMENSIONS[d], works[n], float(mine[d]), float(theirs[n, d]), profiles[n].measured[DIMENSIONS[d]])
        for d, n in cases(held, usual, theirs, cosines, alike)
    )
    return Comparison(standings, tuple(studies), chosen, own.formulas, len(works))


def _is_judged(own: Profile, dimension: str) -> bool:
    """Whether a score says anything: colour harmony does not of a picture without colour."""
    return dimension != "color_harmony" or own.measured[dimension].evidence.get(COLOURED, 1.0) >= 0.5


def as_json(comparison: Comparison) -> dict[str, Any]:
    """As `--json` prints it."""

    def brief(work: Likeness) -> dict[str, Any]:
        return {"key": work.reference.key, "name": work.reference.name, "cosine": round(work.cosine, 6)}

    return {
        "formulas": comparison.formulas,
        "works": comparison.works,
        "scores": [
            {
                "dimension": one.dimension,
                "score": round(one.score, 3),
                "comment": one.measured.comment,
                "evidence": dict(one.measured.evidence),
                "usual": round(one.usual, 3),
                "best": brief(one.best) | {"score": round(one.best_score, 3)},
                "gap": round(one.gap, 3),
                "place": one.place,
            }
            for one in comparison.standings
        ],
        "priorities": [one.dimension for one in comparison.priorities],
        "strengths": [one.dimension for one in comparison.strengths],
        "to_study": [
            brief(one.work)
            | {"relevance": round(one.relevance, 4), "dimension": one.dimension, "gap": round(one.gap, 3)}
            | {"scores": {name: round(score, 3) for name, score in one.scores.items()}}
            for one in comparison.to_study
        ],
        "case_studies": [
            {
                "dimension": one.dimension,
                "reference": brief(one.work),
                "own": round(one.own, 3),
                "theirs": round(one.theirs, 3),
                "gap": round(one.theirs - one.own, 3),
                "comment": one.measured.comment,
                "evidence": dict(one.measured.evidence),
            }
            for one in comparison.cases
        ],
    }
