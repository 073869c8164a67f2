"""How much of what is really nearest each kind of index finds: `seemory evaluate ann`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seemory.errors import UsageError
from seemory.evaluation.ann import Truth, found_of, hits, truth_of
from seemory.evaluation.neighbours import Hubness, hubness, nearest, times_named
from seemory.evaluation.recall import Interval, interval
from seemory.evaluation.remedies import Remedy, RemedyName, fit
from seemory.evaluation.report import Drawing, Page, Table, number, percent
from seemory.store.connect import Database
from seemory.store.resident.codes import Codes, Scanned
from seemory.store.resident.threads import Threads
from seemory.store.resident.turning import Axes
from seemory.store.trial_index import MOST_EF, IndexShape, Precision, TrialIndex
from seemory.telemetry import Progress, ProgressListener, ignore
from seemory.types import Vector, Vectors

_FEWEST = 100  # rows that an index is worth measuring over


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured."""

    precisions: Sequence[Precision] = ("float32", "halfvec", "binary")
    ms: Sequence[int] = (16,)
    efs: Sequence[int] = (10, 20, 40, 80, 160, 320)
    prefixes: Sequence[int] = ()
    """Of halves, with the first m."""
    remedies: Sequence[RemedyName] = ("none", "centred")
    k: int = 10
    queries: int = 200
    """Pictures that are asked for, and at most so many texts."""
    ef_construction: int = 128

    def shapes(self) -> list[IndexShape]:
        """The indexes to be built, in turn."""
        whole = [IndexShape(precision, m, self.ef_construction) for precision in self.precisions for m in self.ms]
        return whole + [IndexShape("halfvec", self.ms[0], self.ef_construction, prefix) for prefix in self.prefixes]

    def require(self, dim: int, rows: int) -> None:
        """Raises UsageError where that cannot be measured over so many rows of that width."""
        if not self.ms or not self.efs or not self.remedies:
            raise UsageError("an index is measured with an m, an ef_search and a remedy at least")
        if self.k < 1 or max(self.efs) < self.k or max(self.efs) > MOST_EF:
            raise UsageError(f"an ef_search is k ({self.k}) and more, up to {MOST_EF}")
        if rows - self.queries < _FEWEST:
            raise UsageError(
                f"{rows:,} vectors, of which {self.queries:,} are set aside as queries, leave too few for an index: "
                f"{_FEWEST} at least are to be found (--queries sets fewer aside)"
            )
        for shape in self.shapes():
            shape.require(dim)


@dataclass(frozen=True, slots=True)
class Found:
    """Recall@k of one kind of query."""

    recall: float
    interval: Interval
    ms: float
    """The median of a query's milliseconds on this machine, there and back."""
    hubs: float | None
    """Of the answers that are hubs (the hundredth of the rows named most often), the share found."""
    rare: float | None
    """Of the answers that are seldom or never named (the lower half), the share found."""

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "recall": round(self.recall, 4),
            "interval": [round(end, 4) for end in self.interval],
            "ms": round(self.ms, 3),
            "hubs": None if self.hubs is None else round(self.hubs, 4),
            "rare": None if self.rare is None else round(self.rare, 4),
        }


@dataclass(frozen=True, slots=True)
class Line:
    """One index at one effort."""

    remedy: RemedyName
    index: str
    m: int | None
    ef: int | None
    megabytes: float
    build_s: float
    pictures: Found
    words: Found | None

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        plain = {"remedy": self.remedy, "index": self.index, "m": self.m, "ef_search": self.ef}
        size = {"megabytes": round(self.megabytes, 2), "build_s": round(self.build_s, 2)}
        return (
            plain
            | size
            | {
                "pictures": self.pictures.as_json(),
                "words": None if self.words is None else self.words.as_json(),
            }
        )


@dataclass(frozen=True, slots=True)
class Crowding:
    """Who is named too often, and who never, in the exact answers after a remedy."""

    remedy: RemedyName
    among: Hubness
    """Rows named by one another."""
    by_pictures: Hubness
    by_words: Hubness | None


@dataclass(frozen=True, slots=True)
class IndexReport:
    """Everything that was measured."""

    rows: int
    dim: int
    k: int
    pictures: int
    words: int
    lines: Sequence[Line]
    crowding: Sequence[Crowding]
    notes: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "rows": self.rows,
            "dimensions": self.dim,
            "k": self.k,
            "queries": {"pictures": self.pictures, "words": self.words},
            "lines": [line.as_json() for line in self.lines],
            "hubs": [
                {
                    "remedy": one.remedy,
                    "among": one.among.as_json(),
                    "by_pictures": one.by_pictures.as_json(),
                    "by_words": None if one.by_words is None else one.by_words.as_json(),
                }
                for one in self.crowding
            ],
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class _Asked:
    """One kind of query after a remedy, its exact answers, and which rows are hubs and which are rare."""

    queries: Vectors
    truth: Truth
    hubs: NDArray[np.bool_]
    rare: NDArray[np.bool_]

    def judged(self, places: NDArray[np.int64], took: NDArray[np.float64]) -> Found:
        each = hits(places, self.truth)
        return Found(
            recall=float(each.mean()),
            interval=interval(each),
            ms=float(np.median(took)),
            hubs=found_of(places, self.truth, self.hubs),
            rare=found_of(places, self.truth, self.rare),
        )


def measure_index(
    database: Database,
    owner: str,
    vectors: Vectors,
    words: Vectors | None = None,
    *,
    plan: Plan | None = None,
    notes: Sequence[str] = (),
    listen: ProgressListener = ignore,
) -> IndexReport:
    """Recall@k against comparing all, by index, effort and kind of query, over the same vectors after each remedy.

    Args:
        database, owner: where the vectors are put into a temporary table, in a transaction of the owner's.
        vectors: `(n, d)`, rows of norm 1; some, drawn at random, are set aside as queries and not indexed.
        words: `(m, d)`: texts' vectors of the same space, queries of the other kind.
        plan: what is measured.
        notes: what is to be known of the vectors.
        listen: hears of each index.

    Raises:
        UsageError: there are too few vectors, or some of the plan is out of pgvector's reach.
        StoreError: Postgres refuses.
    """
    plan = plan or Plan()
    plan.require(vectors.shape[1], len(vectors))
    if words is not None and (words.ndim != 2 or words.shape[1] != vectors.shape[1]):
        raise UsageError(f"words of {words.shape[-1]} dimensions cannot ask for vectors of {vectors.shape[1]}")
    order = np.random.default_rng(0).permutation(len(vectors))
    aside, gallery = vectors[order[: plan.queries]], vectors[order[plan.queries :]]
    if words is not None and len(words) > plan.queries:
        words = words[np.sort(np.random.default_rng(0).permutation(len(words))[: plan.queries])]
    lines: list[Line] = []
    crowding: list[Crowding] = []
    remarks = list(notes)
    total, done = len(plan.remedies) * (len(plan.shapes()) + 1), 0
    for name in plan.remedies:
        fitted = fit(name, gallery) if words is None else fit(name, gallery, words)
        held, asked, crowd = _asked(fitted, gallery, aside, words, plan.k)
        crowding.append(crowd)
        with database.transaction(owner) as connection:
            trial = TrialIndex(connection, held)
            for shape in plan.shapes():
                listen(Progress("measure", done, total, "indexes"))
                lines += _by_index(trial, shape, name, asked, plan)
                done += 1
        listen(Progress("measure", done, total, "indexes"))
        lines.append(_by_copy(held, name, asked, plan.k))
        done += 1
    listen(Progress("measure", total, total, "indexes"))
    if words is None:
        remarks.append("no words asked: indexes that do well for pictures have done badly for words (see --queries)")
    return IndexReport(
        rows=len(gallery),
        dim=vectors.shape[1],
        k=plan.k,
        pictures=len(aside),
        words=0 if words is None else len(words),
        lines=lines,
        crowding=crowding,
        notes=tuple(remarks),
    )


def _asked(
    fitted: Remedy, gallery: Vectors, aside: Vectors, words: Vectors | None, k: int
) -> tuple[Vectors, list[_Asked], Crowding]:
    held = fitted.apply(gallery)
    counts = times_named(nearest(held, held, k, without_self=True), len(held))
    hubs = np.zeros(len(held), bool)
    hubs[np.argsort(-counts, kind="stable")[: max(1, len(held) // 100)]] = True
    rare = counts <= np.median(counts)
    kinds = [fitted.apply(aside)] if words is None else [fitted.apply(aside), fitted.apply(words, 1)]
    asked = [_Asked(queries, truth_of(queries, held, k), hubs, rare) for queries in kinds]
    named = [hubness(times_named(one.truth.places, len(held)), k) for one in asked]
    return held, asked, Crowding(fitted.name, hubness(counts, k), named[0], named[1] if len(named) > 1 else None)


def _by_index(
    trial: TrialIndex, shape: IndexShape, remedy: RemedyName, asked: Sequence[_Asked], plan: Plan
) -> Iterator[Line]:
    seconds, size = trial.build(shape)
    name = shape.precision if shape.prefix is None else f"{shape.precision}, first {shape.prefix}"
    for ef in sorted(set(plan.efs)):
        if ef < plan.k:
            continue
        found = []
        for one in asked:
            answers = trial.nearest(one.queries, plan.k, ef)
            found.append(one.judged(answers.places, answers.milliseconds))
        words = found[1] if len(found) > 1 else None
        title = f"{name}, ranked again" if shape.reranks else name
        yield Line(remedy, title, shape.m, ef, size / 1e6, seconds, found[0], words)


def _by_copy(held: Vectors, remedy: RemedyName, asked: Sequence[_Asked], k: int) -> Line:
    """The copy of a byte a dimension that a process keeps: all are compared, and whole vectors confirm."""
    start = time.perf_counter()
    axes = Axes.of(held[: min(len(held), 10_000)])
    codes = Codes.empty(axes, len(held)).with_rows(np.zeros((len(held), 16), np.uint8), held)
    seconds, threads, found = time.perf_counter() - start, Threads(), []
    for one in asked:
        places, took = np.full((len(one.queries), k), -1, np.int64), np.zeros(len(one.queries))
        for number_, query in enumerate(one.queries):
            start = time.perf_counter()
            best = _confirmed(codes.scan(query, threads), held, query, k)
            took[number_] = 1000 * (time.perf_counter() - start)
            places[number_, : len(best)] = best
        found.append(one.judged(places, took))
    words = found[1] if len(found) > 1 else None
    return Line(remedy, "copy in memory, confirmed", None, None, codes.bytes / 1e6, seconds, found[0], words)


def _confirmed(scanned: Scanned, held: Vectors, query: Vector, k: int) -> NDArray[np.intp]:
    """The rows that a search by a copy ends with: a second look where the first cannot be shown to be complete."""
    reached = scanned.highest(k)
    best = np.empty(0, np.intp)
    for _ in range(2):
        rows = scanned.reaching(reached - scanned.error)
        cosines = held[rows] @ query
        order = np.argsort(-cosines, kind="stable")[:k]
        best, least = rows[order], float(cosines[order[-1]]) if len(order) == k else -np.inf
        if least >= reached:
            break
        reached = least
    return best


def tables(report: IndexReport) -> list[Table]:
    """The figures as a person reads them."""
    heads: tuple[str, ...] = ("remedy", "index", "m", "ef", "MB", "pictures R@k", "hubs", "rare", "ms")
    heads += ("words R@k", "hubs", "rare", "ms") if report.words else ()
    rows = [
        (
            line.remedy,
            line.index,
            str(line.m or "-"),
            str(line.ef or "-"),
            f"{line.megabytes:.1f}",
            *_cells(line.pictures),
            *(_cells(line.words) if line.words else ()),
        )
        for line in report.lines
    ]
    crowd: list[tuple[str, ...]] = []
    for one in report.crowding:
        sides = [("one another", one.among), ("pictures", one.by_pictures), ("words", one.by_words)]
        for side, hubs in sides:
            if hubs is not None:
                cells = (
                    f"{hubs.skewness:.2f}",
                    str(hubs.most),
                    f"{percent(hubs.top_share)} %",
                    f"{percent(hubs.never)} %",
                )
                crowd.append((one.remedy, side, *cells))
    title = f"Recall@{report.k} in percent, over {report.rows:,} vectors of {report.dim} dimensions"
    asked = f"; {report.pictures:,} pictures and {report.words:,} texts asked"
    head = ("remedy", "asked by", "hub skew", "most named", "the top hundredth has", "never named")
    return [Table(title + asked, heads, rows, names=2), Table("Hubs, in exact answers", head, crowd, names=2)]


def _cells(found: Found) -> tuple[str, ...]:
    low, high = found.interval
    return (
        f"{percent(found.recall)} ({percent(low)}-{percent(high)})",
        percent(found.hubs),
        percent(found.rare),
        number(found.ms, "{:.2f}"),
    )


def write_report(report: IndexReport, file: Path) -> None:
    """The report drawn, as one HTML page.

    Raises:
        UsageError: matplotlib is not installed, or the file cannot be written.
    """
    from seemory.evaluation.report import write_page

    try:
        from seemory.evaluation.plots import lines_svg
    except ImportError as error:
        raise UsageError(f"the drawn report needs matplotlib ({error}): pip install 'seemory[plots]'") from error
    drawings = []
    for kind in ("pictures", "words"):
        curves: dict[str, list[tuple[int, float]]] = {}
        for line in report.lines:
            found = line.pictures if kind == "pictures" else line.words
            if found is not None and line.ef is not None:
                curves.setdefault(f"{line.index}, m {line.m}, {line.remedy}", []).append((line.ef, found.recall))
        if curves:
            drawn = [(name, [ef for ef, _ in points], [r for _, r in points]) for name, points in curves.items()]
            drawings.append(Drawing(f"Asked by {kind}", lines_svg(drawn, "ef_search", f"recall@{report.k}")))
    write_page(Page("The quality of an index", tables(report), report.notes, drawings), file)
