"""How well texts' cosines follow what people say of their likeness: `seemory evaluate similarity`."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seemory.errors import SeemoryError, UsageError
from seemory.evaluation.correlation import spearman
from seemory.evaluation.isotropy import effective_rank, isoscore, mean_cosine
from seemory.evaluation.remedies import REMEDIES, RemedyName, fit
from seemory.evaluation.report import Page, Table, number, write_page
from seemory.measuring.text_ways import TextWay, embedded
from seemory.telemetry import Progress, ProgressListener, ignore
from seemory.types import Vectors

_NAMES = (
    ("score", "label", "similarity", "similarity_score", "relatedness_score"),
    ("sentence1", "sentence_1", "s1", "text1", "sentence_a"),
    ("sentence2", "sentence_2", "s2", "text2", "sentence_b"),
)
_STS = (4, 5, 6)  # genre, file, year, number, score, and two sentences


@dataclass(frozen=True, slots=True)
class Judged:
    """Pairs of sentences, and how alike people found them."""

    name: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: NDArray[np.float64]

    @property
    def sentences(self) -> list[str]:
        """Each different sentence once."""
        return list(dict.fromkeys((*self.first, *self.second)))


@dataclass(frozen=True, slots=True)
class Agreement:
    """One way of turning sentences into vectors, and how its cosines agree with people after each remedy."""

    way: TextWay
    rows: int
    unknown: int
    """Pairs with a sentence it knows nothing of: their cosine counts as 0."""
    correlations: dict[RemedyName, float | None]
    """Spearman's, -1 to 1; None where it is not defined."""
    mean_cosine: float | None
    effective_rank: float | None
    isoscore: float | None

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        shape = {"mean_cosine": self.mean_cosine, "effective_rank": self.effective_rank, "isoscore": self.isoscore}
        return {
            "encoder": self.way.name,
            "pooling": self.way.pooling,
            "dimensions": self.way.width,
            "megabytes": round(self.way.megabytes, 1),
            "pairs": self.rows,
            "unknown": self.unknown,
            "spearman": {name: None if found is None else round(found, 4) for name, found in self.correlations.items()},
            "geometry": {name: None if value is None else round(value, 4) for name, value in shape.items()},
        }


def read_judged(path: Path) -> Judged:
    """The pairs of a file in the form of STS-B, or with a head that names a score and two sentences, by tabs or commas.

    Of three columns without a head, the one that holds numbers is the score. Lines that lack something are an error.

    Raises:
        UsageError: the file cannot be read, or is of another form.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as pairs of sentences: {error}") from error
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        raise UsageError(f"{path} has no pairs of sentences in it")
    tabs = "\t" in lines[0]
    try:
        # By tabs nothing is quoted: STS-B has sentences that begin with a quotation mark.
        rows = list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if tabs else csv.reader(lines))
    except csv.Error as error:
        raise UsageError(f"{path} cannot be read as CSV: {error}") from error
    places, head = _places(path, rows)
    found = [_judged(path, number, row, places) for number, row in enumerate(rows, start=1) if number > head]
    if len(found) < 2:
        raise UsageError(f"{path} has {len(found)} pairs of sentences: a correlation needs two and more")
    scores, first, second = zip(*found, strict=True)
    return Judged(path.name, first, second, np.array(scores))


def _places(path: Path, rows: Sequence[Sequence[str]]) -> tuple[tuple[int, ...], int]:
    """Which columns are the score and the two sentences, and how many lines are the head."""
    head = [cell.strip().lower() for cell in rows[0]]
    named = [next((head.index(name) for name in names if name in head), None) for names in _NAMES]
    if None not in named:
        return tuple(place for place in named if place is not None), 1
    if len(head) > max(_STS) and _is_number(rows[0][_STS[0]]):
        return _STS, 0
    if len(head) == 3:
        numbers = [place for place in range(3) if all(len(row) == 3 and _is_number(row[place]) for row in rows)]
        if len(numbers) == 1:
            return (numbers[0], *(place for place in range(3) if place != numbers[0])), 0
    raise UsageError(
        f"{path}: needs STS-B's columns, a head with score, sentence1 and sentence2, or three columns of which one is "
        f"the score; its first line has {len(head)}"
    )


def _judged(path: Path, line: int, row: Sequence[str], places: Sequence[int]) -> tuple[float, str, str]:
    score, first, second = (row[place].strip() if place < len(row) else "" for place in places)
    if not _is_number(score) or not first or not second:
        raise UsageError(f"{path}, line {line}: a score and two sentences are needed, and this has not all of them")
    return float(score), first, second


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def agreement(
    way: TextWay,
    judged: Judged,
    fitted_to: Sequence[str] | None = None,
    *,
    remedies: Sequence[RemedyName] = REMEDIES,
    listen: ProgressListener = ignore,
) -> Agreement:
    """How that way's cosines agree with people, after each remedy.

    Args:
        way: turns sentences into vectors.
        judged: the pairs.
        fitted_to: sentences that remedies are fitted to, without labels; by default those of the pairs.
        remedies: which.
        listen: hears how many sentences are embedded.

    Raises:
        ModelError: it cannot embed them.
    """
    sentences = judged.sentences
    more = [text for text in dict.fromkeys(fitted_to or ()) if text not in set(sentences)]
    total = len(sentences) + len(more)
    vectors = embedded(
        way, [*sentences, *more], lambda done: listen(Progress("embed", done, total, "texts", way.title))
    )
    known = np.linalg.norm(vectors, axis=1) > 0
    of = {sentence: row for row, sentence in enumerate(sentences)}
    pairs = np.array([[of[one], of[other]] for one, other in zip(judged.first, judged.second, strict=True)])
    base = known.copy()
    if fitted_to is not None:
        wanted = set(fitted_to)
        base &= np.array([text in wanted for text in (*sentences, *more)])
    own = vectors[: len(sentences)]
    good = own[known[: len(sentences)]]
    return Agreement(
        way=way,
        rows=len(pairs),
        unknown=int((~known[pairs]).any(axis=1).sum()),
        correlations={name: _correlation(name, vectors, base, pairs, judged.scores, known) for name in remedies},
        mean_cosine=mean_cosine(good),
        effective_rank=effective_rank(good) if len(good) else None,
        isoscore=isoscore(good / np.linalg.norm(good, axis=1, keepdims=True)) if len(good) else None,
    )


def _correlation(
    name: RemedyName,
    vectors: Vectors,
    base: NDArray[np.bool_],
    pairs: NDArray[np.int64],
    scores: NDArray[np.float64],
    known: NDArray[np.bool_],
) -> float | None:
    asked = np.unique(pairs)
    asked = asked[known[asked]]
    if not len(asked) or not base.any():
        return None
    moved = np.zeros(vectors.shape, np.float32)
    try:
        moved[asked] = fit(name, vectors[base]).apply(vectors[asked])
    except UsageError:
        return None
    return spearman(np.einsum("nd,nd->n", moved[pairs[:, 0]], moved[pairs[:, 1]]).astype(np.float64), scores)


def compare(
    ways: Iterator[TextWay | str],
    judged: Judged,
    fitted_to: Sequence[str] | None = None,
    *,
    remedies: Sequence[RemedyName] = REMEDIES,
    listen: ProgressListener = ignore,
) -> tuple[list[Agreement], list[str]]:
    """Each way's agreement, and what could not be had or is to be known; arguments as of `agreement`."""
    found, notes = [], []
    for way in ways:
        if isinstance(way, str):
            notes.append(way)
            continue
        try:
            found.append(agreement(way, judged, fitted_to, remedies=remedies, listen=listen))
        except SeemoryError as error:
            notes.append(str(error))
            continue
        notes += [way.note] if way.note else []
        if found[-1].unknown:
            notes.append(f"{way.name}: {found[-1].unknown} pairs have a sentence of which it knows no word")
    return found, notes


def table(judged: Judged, found: Sequence[Agreement], remedies: Sequence[RemedyName]) -> Table:
    """The figures as a person reads them: Spearman's correlation times 100, as is usual."""
    heads = ("encoder", "pooling", "wide", "MB", *remedies, "mean cosine", "eff. rank", "IsoScore")
    rows = [
        (
            one.way.name,
            one.way.pooling,
            str(one.way.width),
            f"{one.way.megabytes:.1f}",
            *(number(None if (r := one.correlations[name]) is None else 100 * r, "{:.2f}") for name in remedies),
            number(one.mean_cosine),
            number(one.effective_rank, "{:.1f}"),
            number(one.isoscore),
        )
        for one in found
    ]
    return Table(f"Spearman × 100 on {len(judged.scores):,} pairs of {judged.name}", heads, rows, names=2)


def write_report(
    judged: Judged, found: Sequence[Agreement], remedies: Sequence[RemedyName], notes: Sequence[str], file: Path
) -> None:
    """The table as one HTML page. Raises UsageError if it cannot be written."""
    write_page(Page("Cosines beside what people say", [table(judged, found, remedies)], notes), file)
