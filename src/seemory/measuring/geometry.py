"""How spaces are shaped, what remedies make of them, and what that does to finding: `seemory evaluate geometry`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seemory.errors import UsageError
from seemory.evaluation.isotropy import Numbers, spectrum
from seemory.evaluation.recall import DRAWS
from seemory.evaluation.remedies import REMEDIES, Remedy, RemedyName, fit
from seemory.evaluation.report import Drawing, Page, Table, number, percent
from seemory.evaluation.shape import Joined, Shape, joined, shapes
from seemory.exchange.files import VectorRow
from seemory.measuring.spaces import Space, without_repeats
from seemory.telemetry import Progress, ProgressListener, ignore
from seemory.types import Vectors

_DRAWN = 1000  # of a space's vectors, where each pair is drawn, or each placed on a map


@dataclass(frozen=True, slots=True)
class Measured:
    """One space after each remedy."""

    space: Space
    shapes: Sequence[Shape]


@dataclass(frozen=True, slots=True)
class Pairing:
    """Pictures, each once, and captions; `owner` says which picture's each caption is."""

    pictures: Space
    captions: Space
    owner: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class GeometryReport:
    """Everything that was measured."""

    spaces: Sequence[Measured]
    pairing: Pairing | None
    joined: Sequence[Joined]
    applied: Sequence[Remedy]
    """The pairing's, as they were fitted, in the order of `joined`."""
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "spaces": [
                {
                    "name": one.space.name,
                    "vectors": len(one.space.vectors),
                    "of": one.space.of,
                    "dimensions": one.space.dim,
                    "remedies": [shape.as_json() for shape in one.shapes],
                }
                for one in self.spaces
            ],
            "pairs": [one.as_json() for one in self.joined] or None,
            "notes": list(self.notes),
        }


def measure(
    spaces: Sequence[Space],
    *,
    pairing: Pairing | None = None,
    fitted_to: Sequence[Vectors] = (),
    remedies: Sequence[RemedyName] = REMEDIES,
    draws: int = DRAWS,
    notes: Sequence[str] = (),
    listen: ProgressListener = ignore,
) -> GeometryReport:
    """The figures of each space, and of a pairing, after each remedy.

    Args:
        spaces: what is measured by itself, each with remedies fitted to its own vectors.
        pairing: pictures and captions of one space, which are measured together as well.
        fitted_to: pictures' and captions' vectors that the pairing's remedies are fitted to, in place of its own.
        remedies: which.
        draws: of the bootstrap.
        notes: what is to be known of how the spaces came about.
        listen: hears of each space.

    Raises:
        UsageError: the pairing's two kinds are of different widths, or what is fitted to is of another.
    """
    remarks = [*notes, *(note for space in spaces for note in space.notes)]
    found: list[Measured] = []
    for done, space in enumerate(spaces):
        listen(Progress("measure", done, len(spaces), "spaces"))
        shaped, refused = shapes(space.vectors, space.labels, remedies)
        found.append(Measured(space, shaped))
        remarks += [f"{space.name}: {reason}" for reason in refused]
        if len(space.vectors) < 10 * space.dim:
            remarks.append(
                f"{space.name}: {len(space.vectors):,} vectors are few for {space.dim} dimensions: IsoScore and the "
                f"effective rank come out too low, and spaces are best compared at equal numbers (--sample)"
            )
    together: list[Joined] = []
    applied: list[Remedy] = []
    if pairing is not None:
        for remedy in _fitted(pairing, fitted_to, remedies):
            try:
                together.append(
                    joined(
                        pairing.pictures.vectors, pairing.captions.vectors, pairing.owner, fitted=remedy, draws=draws
                    )
                )
                applied.append(remedy)
            except UsageError as error:
                remarks.append(f"pictures and captions: {error}")
    listen(Progress("measure", len(spaces), len(spaces), "spaces"))
    return GeometryReport(found, pairing, together, applied, tuple(dict.fromkeys(remarks)))


def pair_up(pictures: Space, captions: Space) -> Pairing:
    """Pictures and captions that belong together row by row; rows of pictures that are equal are one picture.

    Raises:
        UsageError: they are of different widths, or have no row in common.
    """
    if pictures.dim != captions.dim:
        raise UsageError(
            f"{pictures.name} has vectors of {pictures.dim} dimensions and {captions.name} of {captions.dim}: they are "
            f"of two spaces"
        )
    if pictures.of != captions.of:
        raise UsageError(
            f"{pictures.name} has {pictures.of:,} rows and {captions.name} {captions.of:,}: row by row, a caption "
            f"belongs to a picture, so there are as many of both"
        )
    _, ours, theirs = np.intersect1d(pictures.rows, captions.rows, return_indices=True)
    if len(ours) < 2:
        raise UsageError(f"{pictures.name} and {captions.name} have fewer than two good rows in common")
    once, which = without_repeats(_chosen(pictures, ours))
    return Pairing(once, _chosen(captions, theirs), which)


def by_name(known: dict[str, str]) -> Callable[[VectorRow], str | None]:
    """The label of a row of a file by its id, its path, the path's last part, or its number from 0."""

    def label(row: VectorRow) -> str | None:
        names = [row.id, row.uri, PurePath(row.uri).name if row.uri else None, str(row.metadata.get("row", ""))]
        return next((known[name] for name in names if name and name in known), None)

    return label


def by_column(key: str) -> Callable[[VectorRow], str | None]:
    """The label of a row of a file by one of its columns; `folder` is that of its path."""

    def label(row: VectorRow) -> str | None:
        if key == "folder":
            return (PurePath(row.uri).parent.name or None) if row.uri else None
        value = row.metadata.get(key)
        return None if value is None or value == "" else str(value)

    return label


def _chosen(space: Space, rows: NDArray[np.int64]) -> Space:
    labels = tuple(space.labels[row] for row in rows)
    return Space(space.name, space.vectors[rows], space.rows[rows], labels, space.of, space.notes)


def _fitted(pairing: Pairing, fitted_to: Sequence[Vectors], names: Sequence[RemedyName]) -> Iterator[Remedy]:
    kinds = fitted_to or (pairing.pictures.vectors, pairing.captions.vectors)
    if any(rows.shape[1] != pairing.pictures.dim for rows in kinds):
        raise UsageError("what the remedies are fitted to has vectors of another width")
    return (fit(name, *kinds) for name in names)


def tables(report: GeometryReport) -> list[Table]:
    """The figures as a person reads them."""
    heads: tuple[str, ...] = ("space", "remedy", "vectors", "wide", "mean cosine", "eff. rank", "IsoScore")
    heads += ("uniformity", "hub skew", "most named", "never named")
    grouped = any(shape.groups is not None for one in report.spaces for shape in one.shapes)
    heads += ("groups apart", "neighbours agree") if grouped else ()
    rows = [
        (
            one.space.name,
            shape.remedy,
            f"{len(one.space.vectors):,}",
            str(one.space.dim),
            number(shape.mean_cosine),
            number(shape.effective_rank, "{:.1f}"),
            number(shape.isoscore),
            number(shape.uniformity, "{:.2f}"),
            "-" if shape.hubs is None else f"{shape.hubs.skewness:.2f}",
            "-" if shape.hubs is None else str(shape.hubs.most),
            "-" if shape.hubs is None else f"{percent(shape.hubs.never)} %",
            *(_grouped(shape) if grouped else ()),
        )
        for one in report.spaces
        for shape in one.shapes
    ]
    made = [Table("Spaces", heads, rows, names=2)]
    if report.pairing is not None and report.joined:
        made.append(_joined_table(report.pairing, report.joined))
    return made


def _grouped(shape: Shape) -> tuple[str, str]:
    if shape.groups is None:
        return "-", "-"
    return f"{shape.groups.sigmas:.2f} σ", f"{shape.groups.neighbours:.3f} (chance {shape.groups.chance:.3f})"


def _joined_table(pairing: Pairing, found: Sequence[Joined]) -> Table:
    heads: tuple[str, ...] = ("remedy", "alignment", "gap", "cosine: pairs", "others", "hub skew", "never named")
    heads += ("words find R@1", "R@5", "R@10", "pictures find R@1", "R@5", "R@10")
    rows = []
    for one in found:
        there, back = one.recall.text_to_image, one.recall.image_to_text
        low, high = there.intervals[1]
        rows.append(
            (
                one.remedy,
                number(one.alignment),
                number(one.gap),
                number(one.matched),
                number(one.unmatched),
                f"{one.hubs.skewness:.2f}",
                f"{percent(one.hubs.never)} %",
                f"{percent(there.at[1])} ({percent(low)}-{percent(high)})",
                *(percent(there.at[k]) for k in (5, 10)),
                *(percent(back.at[k]) for k in (1, 5, 10)),
            )
        )
    title = (
        f"{len(pairing.pictures.vectors):,} pictures ({pairing.pictures.name}) and "
        f"{len(pairing.captions.vectors):,} captions ({pairing.captions.name}); recall in percent"
    )
    return Table(title, heads, rows)


def write_report(report: GeometryReport, file: Path) -> None:
    """The report drawn, as one HTML page.

    Raises:
        UsageError: matplotlib or scikit-learn is not installed, or the file cannot be written.
    """
    from seemory.evaluation.report import write_page

    try:
        drawings = list(_drawings(report))
    except ImportError as error:
        raise UsageError(
            f"the drawn report needs matplotlib and scikit-learn ({error}): pip install 'seemory[plots]'; the report "
            f"in text needs neither"
        ) from error
    write_page(Page("The geometry of spaces", tables(report), report.notes, drawings), file)


def _drawings(report: GeometryReport) -> Iterator[Drawing]:
    from seemory.evaluation import plots

    for one in report.spaces:
        some = np.sort(np.random.default_rng(0).permutation(len(one.space.vectors))[:_DRAWN])
        shown = []
        for shape in one.shapes:
            made = fit(shape.remedy, one.space.vectors).apply(one.space.vectors[some])
            shown.append((f"{one.space.name}: {shape.remedy}", made))
        if len(some) < 2 or not shown:
            continue
        yield Drawing(f"Cosines of {one.space.name}", plots.cosines_svg(shown))
        labels = [one.space.labels[row] for row in some]
        if (mapped := plots.maps_svg([shown[0], shown[-1]] if len(shown) > 1 else shown, labels)) is not None:
            says = "t-SNE keeps near items near. Its axes, and the distance between far groups, mean nothing."
            yield Drawing(f"Maps of {one.space.name}", mapped, says)
    yield Drawing(
        "Singular values",
        plots.spectra_svg([(one.space.name, spectrum(one.space.vectors)) for one in report.spaces]),
        "What falls steeply uses few of its dimensions.",
    )
    if report.pairing is not None and report.applied:
        yield Drawing("Cosines of pairs", plots.matches_svg(list(_matches(report.pairing, report.applied))))
        both = np.concatenate([rows.vectors[:_DRAWN] for rows in (report.pairing.pictures, report.pairing.captions)])
        kinds = ["pictures"] * len(report.pairing.pictures.vectors[:_DRAWN])
        kinds += ["captions"] * (len(both) - len(kinds))
        if (mapped := plots.maps_svg([("pictures and captions", both)], kinds)) is not None:
            yield Drawing("The gap between the modalities", mapped, "t-SNE of both kinds of vectors together.")


def _matches(pairing: Pairing, applied: Sequence[Remedy]) -> Iterator[tuple[str, Numbers, Numbers]]:
    for remedy in applied:
        said = remedy.apply(pairing.captions.vectors[:_DRAWN], 1)
        shown = remedy.apply(pairing.pictures.vectors)
        cosines, owner = (said @ shown.T).astype(np.float64), pairing.owner[:_DRAWN]
        right = np.zeros(cosines.shape, bool)
        right[np.arange(len(said)), owner] = True
        yield remedy.name, cosines[right], cosines[~right]
