"""How well encoders find captioned pictures, and tell labelled ones: `seemory evaluate retrieval`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seemory.errors import SeemoryError, UsageError
from seemory.evaluation.recall import DRAWS, STEPS, BothWays, Interval, Recall, both_ways, interval, ranks, recall_of
from seemory.evaluation.report import Page, Table, percent
from seemory.measuring.folders import Captioned, Labelled, Seen, seen
from seemory.models.encoder import Encoder
from seemory.telemetry import ProgressListener, ignore
from seemory.types import Vectors
from seemory.zero_shot import PHOTO_TEMPLATES, ZeroShotClassifier

TOP = (1, 5)


@dataclass(frozen=True, slots=True)
class Found:
    """What one encoder finds in a captioned folder."""

    encoder: str
    pictures: int
    captions: int
    widths: dict[int, BothWays]
    """By the number of first dimensions that were used; the whole width first."""
    first: NDArray[np.float64]
    """Whether each caption's picture came first, `(m,)` of 0 and 1, at the whole width."""
    owner: NDArray[np.int64]

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "encoder": self.encoder,
            "pictures": self.pictures,
            "captions": self.captions,
            "widths": {str(width): found.as_json() for width, found in self.widths.items()},
        }


@dataclass(frozen=True, slots=True)
class Told:
    """How often one encoder names a picture's label first, or among five, by one set of prompts."""

    encoder: str
    prompts: str
    templates: int
    labels: int
    top: Recall

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        found = self.top.as_json()
        return {
            "encoder": self.encoder,
            "prompts": self.prompts,
            "templates": self.templates,
            "pictures": self.top.queries,
            "labels": self.labels,
            "top": found["recall"],
            "intervals": found["intervals"],
            "chance": found["chance"],
            "mean_rank": found["mean_rank"],
        }


@dataclass(frozen=True, slots=True)
class RetrievalReport:
    """Everything that was measured."""

    folder: Path
    found: Sequence[Found] = ()
    told: Sequence[Told] = ()
    differences: Sequence[tuple[str, str, float, Interval]] = ()
    """(encoder, the first encoder, how much more often the caption's picture comes first, its interval)."""
    notes: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "folder": str(self.folder),
            "retrieval": [one.as_json() for one in self.found],
            "zero_shot": [one.as_json() for one in self.told],
            "differences": [
                {"encoder": one, "to": other, "recall_at_1": round(by, 4), "interval": [round(end, 4) for end in ends]}
                for one, other, by, ends in self.differences
            ],
            "notes": list(self.notes),
        }


Load = Callable[[str], Encoder]


def measure_captioned(
    folder: Captioned,
    names: Sequence[str],
    load: Load,
    *,
    widths: Sequence[int] = (),
    draws: int = DRAWS,
    max_pixels: int = 200_000_000,
    listen: ProgressListener = ignore,
) -> RetrievalReport:
    """Recall both ways of each encoder over all pictures of the folder and all their captions.

    Args:
        folder: pictures and captions.
        names: the encoders; `load` gives one by its name.
        load: as said.
        widths: numbers of first dimensions to measure at as well, each normalised after the cut.
        draws: of the bootstrap.
        max_pixels: larger pictures are not opened.
        listen: hears how many pictures are embedded.

    Raises:
        UsageError: no encoder could be measured, or a width is none of an encoder's.
    """
    found: list[Found] = []
    notes: list[str] = []
    for name in names:
        try:
            encoder = load(name)
            shown = seen(encoder, folder.paths, max_pixels=max_pixels, listen=listen)
            found.append(_found(encoder, folder, shown, widths, draws))
        except SeemoryError as error:
            notes.append(f"{name}: {error}")
            continue
        notes += _failures(shown)
    if not found:
        raise UsageError("; ".join(notes) or "no encoder was named")
    differences = []
    base = found[0]
    for other in found[1:]:
        if len(other.first) == len(base.first):
            apart = other.first - base.first
            differences.append((other.encoder, base.encoder, float(apart.mean()), interval(apart, base.owner)))
    return RetrievalReport(folder.folder, found, differences=differences, notes=tuple(dict.fromkeys(notes)))


def measure_labelled(
    folder: Labelled,
    names: Sequence[str],
    load: Load,
    *,
    templates: Sequence[str] = PHOTO_TEMPLATES,
    draws: int = DRAWS,
    max_pixels: int = 200_000_000,
    listen: ProgressListener = ignore,
) -> RetrievalReport:
    """Zero-shot top-1 and top-5 of each encoder, by the bare label, by the first template, and by all of them together.

    Arguments as of `measure_captioned`; `templates` have `{}` where the label goes.

    Raises:
        UsageError: no encoder could be measured, or a template has no place for the label.
    """
    labels = sorted(set(folder.labels))
    if wrong := [template for template in templates if "{}" not in template]:
        raise UsageError(f"a template needs {{}} where the label goes: {wrong[0]!r}")
    told: list[Told] = []
    notes: list[str] = []
    sets = {"the label alone": ("{}",), f"“{templates[0]}”": tuple(templates[:1])}
    if len(templates) > 1:
        sets[f"{len(templates)} templates, averaged"] = tuple(templates)
    for name in names:
        try:
            encoder = load(name)
            shown = seen(encoder, folder.paths, max_pixels=max_pixels, listen=listen)
            right = np.array([labels.index(folder.labels[place]) for place in shown.kept])
            for said, prompts in sets.items():
                vectors = ZeroShotClassifier(encoder, labels, prompts).vectors
                places = ranks(shown.vectors, vectors, right, range(len(labels)))
                top = recall_of(places, right, range(len(labels)), steps=TOP, draws=draws)
                told.append(Told(encoder.name, said, len(prompts), len(labels), top))
        except SeemoryError as error:
            notes.append(f"{name}: {error}")
            continue
        notes += _failures(shown)
    if not told:
        raise UsageError("; ".join(notes) or "no encoder was named")
    return RetrievalReport(folder.folder, told=told, notes=tuple(dict.fromkeys(notes)))


def _found(encoder: Encoder, folder: Captioned, shown: Seen, widths: Sequence[int], draws: int) -> Found:
    said = [caption for place in shown.kept for caption in folder.captions[place]]
    owner = np.repeat(np.arange(len(shown.kept)), [len(folder.captions[place]) for place in shown.kept])
    if wrong := [width for width in widths if not 0 < width <= encoder.dim]:
        raise UsageError(f"a width of {wrong[0]} is not 1 to {encoder.dim}")
    texts = encoder.embed_texts(said)
    by_width = {}
    for width in sorted({encoder.dim, *widths}, reverse=True):
        by_width[width] = both_ways(_cut(shown.vectors, width), _cut(texts, width), owner, draws=draws)
    places = ranks(texts, shown.vectors, owner, range(len(shown.kept)))
    first = (places == 1).astype(np.float64)
    return Found(encoder.name, len(shown.kept), len(said), by_width, first, owner)


def _cut(vectors: Vectors, width: int) -> Vectors:
    return np.ascontiguousarray(vectors[:, :width])


def _failures(shown: Seen) -> list[str]:
    if not shown.failed:
        return []
    name, reason = next(iter(shown.failed.items()))
    return [f"{len(shown.failed)} pictures could not be read and were left out, such as {name}: {reason}"]


def tables(report: RetrievalReport) -> list[Table]:
    """The figures as a person reads them, in percent."""
    made = []
    if report.found:
        heads: tuple[str, ...] = ("encoder", "wide", "words find R@1", "R@5", "R@10", "median rank")
        heads += ("pictures find R@1", "R@5", "R@10", "median rank")
        rows: list[tuple[str, ...]] = []
        for one in report.found:
            for width, both in one.widths.items():
                sides = (both.text_to_image, both.image_to_text)
                rows.append((one.encoder, str(width), *(cell for side in sides for cell in _cells(side))))
        first = report.found[0]
        chance = next(iter(first.widths.values()))
        rows.append(
            (
                "chance",
                "-",
                *(percent(chance.text_to_image.chance[k]) for k in STEPS),
                "-",
                *(percent(chance.image_to_text.chance[k]) for k in STEPS),
                "-",
            )
        )
        title = (
            f"{first.pictures:,} pictures of {report.folder.name} and {first.captions:,} captions; recall in percent"
        )
        made.append(Table(title, heads, rows))
    if report.differences:
        differing: list[tuple[str, ...]] = [
            (one, other, f"{100 * by:+.1f}", f"{100 * ends[0]:+.1f} to {100 * ends[1]:+.1f}")
            for one, other, by, ends in report.differences
        ]
        made.append(
            Table("Words find R@1: more than the first encoder", ("encoder", "than", "points", "95 %"), differing, 2)
        )
    if report.told:
        heads = ("encoder", "prompts", "top-1", "top-5", "mean rank")
        rows = [(one.encoder, one.prompts, *_top(one.top), f"{one.top.mean_rank:.1f}") for one in report.told]
        some = report.told[0].top
        rows.append(("chance", "-", *(percent(some.chance[k]) for k in TOP), f"{(some.gallery + 1) / 2:.1f}"))
        title = f"{some.queries:,} pictures of {report.folder.name}, {report.told[0].labels:,} labels; in percent"
        made.append(Table(title, heads, rows, names=2))
    return made


def _cells(side: Recall) -> tuple[str, ...]:
    low, high = side.intervals[STEPS[0]]
    shares = [percent(side.at[k]) for k in STEPS]
    return (f"{shares[0]} ({percent(low)}-{percent(high)})", *shares[1:], f"{side.median_rank:g}")


def _top(top: Recall) -> tuple[str, ...]:
    return tuple(f"{percent(top.at[k])} ({percent(top.intervals[k][0])}-{percent(top.intervals[k][1])})" for k in TOP)


def write_report(report: RetrievalReport, file: Path) -> None:
    """The tables as one HTML page. Raises UsageError if it cannot be written."""
    from seemory.evaluation.report import write_page

    write_page(Page(f"Retrieval in {report.folder.name}", tables(report), report.notes), file)
