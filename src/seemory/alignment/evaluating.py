"""A trained pair of heads, measured on pictures it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seemory.alignment.aligner import captions_of, embedded, load_aligner, require_same_features
from seemory.alignment.feature_set import FeatureSet
from seemory.alignment.splits import Split
from seemory.alignment.training import HEAD
from seemory.errors import UsageError
from seemory.evaluation.isotropy import modality_gap
from seemory.evaluation.recall import BothWays, both_ways
from seemory.types import Vectors

EXAMPLES = 3
ANSWERS = 5
_MAPPED = 300
_HEAT = 20

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Answer:
    """Something that was found."""

    what: str
    cosine: float
    right: bool


@dataclass(frozen=True, slots=True)
class Example:
    """A query with its first answers."""

    query: str
    rank: int
    """Of the right answer, or the best of them."""
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is known of the heads."""

    run: Path
    head: str
    picture_encoder: str
    text_encoder: str
    split: Split
    pictures: int
    captions: int
    widths: dict[int, BothWays]
    """At each width, cut and normalised."""
    matched: Numbers
    """The cosine of each caption to its picture, at the full width."""
    unmatched: Numbers
    """The cosines of captions to other pictures, a sample."""
    gap: float
    """How far apart the mean picture and the mean caption are (Liang and others 2022)."""
    heat: Numbers
    """Cosines of some captions (rows) to their pictures (columns)."""
    heat_captions: tuple[str, ...]
    heat_pictures: tuple[str, ...]
    words_to_pictures: tuple[Example, ...]
    pictures_to_words: tuple[Example, ...]
    mapped: Vectors
    """Some pictures and then a caption of each, of norm 1."""

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "run": str(self.run),
            "head": self.head,
            "picture_encoder": self.picture_encoder,
            "text_encoder": self.text_encoder,
            "split": self.split,
            "pictures": self.pictures,
            "captions": self.captions,
            "widths": {str(width): found.as_json() for width, found in self.widths.items()},
            "matched_cosine": round(float(self.matched.mean()), 4),
            "unmatched_cosine": round(float(self.unmatched.mean()), 4),
            "modality_gap": round(self.gap, 4),
            "examples": [
                {
                    "query": one.query,
                    "rank": one.rank,
                    "answers": [[a.what, round(a.cosine, 4), a.right] for a in one.answers],
                }
                for one in (*self.words_to_pictures, *self.pictures_to_words)
            ],
        }


def evaluate(
    run: Path,
    folders: Sequence[Path] = (),
    *,
    split: Split = "test",
    widths: Sequence[int] = (),
    draws: int = 1000,
) -> Evaluation:
    """The figures of a run's heads over the whole gallery of a split.

    Args:
        run: the folder that `seemory align train` wrote.
        folders: of features; by default those it was trained on.
        split: which pictures.
        widths: prefixes to measure at, beside those it was trained at.
        draws: of the bootstrap.

    Raises:
        UsageError: there is no trained head, the features are another network's, the split has too few pictures, or a
            width is wider than the head.
    """
    aligner, pictures_by, texts_by = load_aligner(run / HEAD)
    features = FeatureSet(folders or aligner.config.features)
    require_same_features(features, pictures_by, texts_by)
    rows = features.rows(split)
    if len(rows) < 2:
        raise UsageError(
            f"{features.folders[0]} has {len(rows)} pictures in the split {split!r}; two are needed at least"
        )
    if wide := [width for width in widths if not 0 < width <= aligner.config.out]:
        raise UsageError(f"the head is {aligner.config.out} wide: it has no prefix of {wide[0]}")
    captions, owner = captions_of(features, rows)
    seen, said = embedded(aligner, features, rows, captions)
    if not (np.isfinite(seen).all() and np.isfinite(said).all()):
        raise UsageError(f"{run / HEAD} gives vectors that are no numbers: train it anew")
    measured = sorted({*aligner.config.widths, *widths}, reverse=True)
    seen_unit, said_unit = _unit(seen), _unit(said)
    names = [features.entries[row].name for row in rows]
    texts = [features.captions[number] for number in captions]
    cosines_of = _Cosines(seen_unit, said_unit, owner, names, texts)
    first = np.array([int(np.flatnonzero(owner == place)[0]) for place in range(len(rows))])
    heat = _spread_out(len(rows), _HEAT)
    mapped = _spread_out(len(rows), _MAPPED)
    return Evaluation(
        run=run,
        head=aligner.config.image.kind,
        picture_encoder=str(pictures_by["encoder"]),
        text_encoder=str(texts_by["encoder"]),
        split=split,
        pictures=len(rows),
        captions=len(captions),
        widths={w: both_ways(seen[:, :w], said[:, :w], owner.tolist(), draws=draws) for w in measured},
        matched=cosines_of.matched(),
        unmatched=cosines_of.unmatched(),
        gap=modality_gap(seen_unit, said_unit),
        heat=np.asarray(said_unit[first[heat]] @ seen_unit[heat].T, np.float64),
        heat_captions=tuple(texts[number] for number in first[heat]),
        heat_pictures=tuple(names[place] for place in heat),
        words_to_pictures=tuple(cosines_of.by_words(int(n)) for n in first[_spread_out(len(rows), EXAMPLES)]),
        pictures_to_words=tuple(cosines_of.by_picture(int(n)) for n in _spread_out(len(rows), EXAMPLES)),
        mapped=np.concatenate([seen_unit[mapped], said_unit[first[mapped]]]),
    )


class _Cosines:
    """Captions against pictures."""

    def __init__(
        self,
        seen: Vectors,
        said: Vectors,
        owner: NDArray[np.int64],
        names: Sequence[str],
        texts: Sequence[str],
    ) -> None:
        self._seen, self._said, self._owner, self._names, self._texts = seen, said, owner, names, texts

    def matched(self) -> Numbers:
        return np.asarray((self._said * self._seen[self._owner]).sum(axis=1), np.float64)

    def unmatched(self) -> Numbers:
        """Each caption with a picture of others, always the same ones."""
        rng = np.random.default_rng(0)
        other = (self._owner + rng.integers(1, len(self._seen), len(self._owner))) % len(self._seen)
        return np.asarray((self._said * self._seen[other]).sum(axis=1), np.float64)

    def by_words(self, number: int) -> Example:
        cosines = self._seen @ self._said[number]
        right = np.arange(len(self._seen)) == self._owner[number]
        return self._example(self._texts[number], cosines, right, self._names)

    def by_picture(self, place: int) -> Example:
        return self._example(self._names[place], self._said @ self._seen[place], self._owner == place, self._texts)

    @staticmethod
    def _example(query: str, cosines: Vectors, right: NDArray[np.bool_], names: Sequence[str]) -> Example:
        order = np.argsort(-cosines, kind="stable")
        rank = 1 + int((cosines[~right] >= cosines[right].max()).sum())
        answers = tuple(Answer(names[n], float(cosines[n]), bool(right[n])) for n in order[:ANSWERS])
        return Example(query, rank, answers)


def _unit(vectors: Vectors) -> Vectors:
    unit: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit


def _spread_out(count: int, most: int) -> NDArray[np.int64]:
    """Up to `most` of so many, evenly."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))
