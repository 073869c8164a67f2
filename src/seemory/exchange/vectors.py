"""Vectors that others made → items, and items → a file of vectors. No encoder is loaded, none is needed."""

from __future__ import annotations

import json
import math
import time
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from seemory.errors import UsageError
from seemory.exchange.files import VectorBatch, VectorRow, read_vectors, write_parquet
from seemory.store.describing import LONGEST, Descriptions
from seemory.store.items import Items
from seemory.store.naming import FILM_URI
from seemory.store.query import Query
from seemory.store.writing import Written
from seemory.telemetry import Progress, ProgressListener, ignore
from seemory.types import Description, EmbeddingRecord, FileOutcome, Generation, Kind, PictureFacts, Vectors

Refusal = Literal["not_finite", "zero", "without_id", "duplicate_id"]
Mending = Literal["normalised", "named_by_path", "shared_path", "without_times"]

_WRITERS = 2  # batches that Postgres is given at a time: while one is copied, the other's rows are being indexed
_TIMES = ("start_s", "end_s")
_NOTHING_SAID = Description()


@dataclass(slots=True)
class ImportReport:
    """What an import did, a count each."""

    new: int = 0
    known: int = 0
    refused: Counter[Refusal] = field(default_factory=Counter)
    """not_finite: NaN, infinite, absent, or of another width than its neighbours; zero: it has no direction;
    without_id: neither id nor path; duplicate_id: an earlier row has it."""
    mended: Counter[Mending] = field(default_factory=Counter)
    """normalised: brought to norm 1; named_by_path: without id, with a path; shared_path: another id had the path
    before, the id was appended; without_times: start_s and end_s are no times of a scene, and are metadata alone."""
    described: int = 0
    """Rows with a caption, tags, notes or a transcript, which are the items' words now."""
    without_sentences: str | None = None
    """Why these words have no sentence vectors yet, if so."""
    seconds: float = 0.0

    @property
    def written(self) -> int:
        """Rows that are findable now."""
        return self.new + self.known


def unit_rows(vectors: NDArray[Any]) -> tuple[Vectors, NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """`(n, d)` float32, and three masks `(n,)`: not finite, zero, and norm further from 1 than 0.001.

    Rows that are neither of the first two have norm 1; the others are zeros.
    """
    wide = np.array(vectors, dtype=np.float64)
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(wide).all(axis=1))
    wide[~finite] = 0.0
    largest = np.abs(wide).max(axis=1, initial=0.0)
    zero = finite & (largest == 0.0)
    some = largest > 0.0
    wide[some] /= largest[some, None]  # squares neither overflow nor vanish
    norms = np.linalg.norm(wide, axis=1)
    wide[some] /= norms[some, None]
    with np.errstate(over="ignore"):
        long = some & (np.abs(norms * largest - 1.0) > 1e-3)
    return wide.astype(np.float32), ~finite, zero, long


@dataclass(frozen=True, slots=True)
class _Ready:
    """A batch as the store takes it."""

    outcomes: list[FileOutcome]
    said: dict[str, Description]


@dataclass(frozen=True, slots=True)
class _Wrote:
    """What became of a batch."""

    rows: Written
    described: int


class Importer:
    """Brings batches of vectors into one generation."""

    def __init__(
        self, items: Items, generation: Generation, covered: Collection[int], descriptions: Descriptions
    ) -> None:
        """`covered` are the ids of the collection's generations now: the import ends if another one becomes live."""
        self._descriptions = descriptions
        self._items = items
        self._generation = generation
        self._covered = covered
        self._ids: set[str] = set()
        self._uris: dict[str, str] = {}
        self._look = 1
        """At so many rows, Postgres counts them next."""
        self.report = ImportReport()

    def run(self, batches: Iterator[VectorBatch], listen: ProgressListener = ignore) -> ImportReport:
        """The report of writing all batches, each committed as it comes; the same again changes nothing.

        Raises:
            UsageError: a batch has another width than the generation; batches before it are kept.
        """
        start, done = time.perf_counter(), 0
        writing: deque[tuple[int, Future[_Wrote]]] = deque()

        def finish_first() -> int:
            rows, future = writing.popleft()
            self._count(future.result())
            return rows

        with ThreadPoolExecutor(_WRITERS) as pool:  # while Postgres writes some, the next is read and made ready
            for batch in batches:
                ready = self._make_ready(batch)
                if len(writing) == _WRITERS:
                    done += finish_first()
                    listen(Progress("import", done, unit="vectors"))
                writing.append((len(batch.rows), pool.submit(self._write, ready)))
            while writing:
                done += finish_first()
                listen(Progress("import", done, unit="vectors"))
        if not self._items.ensure_index(self._generation):
            self._items.analyze(self._generation)
        self.report.seconds = time.perf_counter() - start
        return self.report

    def _make_ready(self, batch: VectorBatch) -> _Ready:
        if batch.vectors.shape[1] != self._generation.dim:
            raise UsageError(
                f"collection {self._generation.collection!r} holds vectors of {self._generation.dim} dimensions, and "
                f"these have {batch.vectors.shape[1]}: they were made by another encoder; import them into another one"
            )
        vectors, not_finite, zero, long = unit_rows(batch.vectors)
        ready = _Ready([], {})
        for n, row in enumerate(batch.rows):
            if not_finite[n] or zero[n]:
                self.report.refused["not_finite" if not_finite[n] else "zero"] += 1
            elif (uri := self._uri(row)) is not None:
                self.report.mended["normalised"] += int(long[n])
                ready.outcomes.append(self._outcome(row, uri, vectors[n]))
                if (words := _words(row)) != _NOTHING_SAID:
                    ready.said[uri] = words
        return ready

    def _write(self, ready: _Ready) -> _Wrote:
        items, generation = self._items, self._generation
        written = items.write_telling_new(generation.collection, generation, ready.outcomes, self._covered)
        if not ready.said:
            return _Wrote(written, 0)
        named = self._descriptions.by_path(list(ready.said))
        return _Wrote(written, len(self._descriptions.write({named[uri]: ready.said[uri] for uri in named})))

    def _count(self, wrote: _Wrote) -> None:
        self.report.new += wrote.rows.new
        self.report.known += wrote.rows.files - wrote.rows.new
        self.report.described += wrote.described
        if self.report.written >= self._look:  # plans for empty tables are poor ones
            self._items.analyze(self._generation)
            self._look = self.report.written * 8

    def _uri(self, row: VectorRow) -> str | None:
        """The name that the row is kept under, the same at every import; None if it is refused."""
        if row.id is None and row.uri is None:
            self.report.refused["without_id"] += 1
            return None
        row_id = row.id or str(row.uri)
        if row_id in self._ids:
            self.report.refused["duplicate_id"] += 1
            return None
        self._ids.add(row_id)
        self.report.mended["named_by_path"] += row.id is None
        uri = row.uri or f"id:{row_id}"
        if self._uris.setdefault(uri, row_id) != row_id:
            self.report.mended["shared_path"] += 1
            uri = f"{uri}#{row_id}"
            self._uris[uri] = row_id
        return uri

    def _outcome(self, row: VectorRow, uri: str, vector: Any) -> FileOutcome:
        times, told = _times(row)
        self.report.mended["without_times"] += times is None and told
        facts, metadata = _facts(row, times)
        model, _, pretrained = self._generation.model.partition("__")
        said: Kind | None = row.metadata["kind"] if row.metadata.get("kind") in get_args(Kind) else None
        kind: Kind = said or ("scene" if times else "image")
        start_s, end_s = times or (None, None)
        record = EmbeddingRecord(
            model, pretrained, self._generation.dim, device="imported", frame_path=uri.rstrip("/").rpartition("/")[2]
        )
        return FileOutcome(
            uri,
            bytes=0,
            mtime_ns=0,
            kind=kind,
            facts=facts,
            metadata=metadata,
            vector=vector,
            record=record,
            start_s=start_s,
            end_s=end_s,
        )


def _words(row: VectorRow) -> Description:
    """What the row says of its item in the columns that hold words."""
    texts = {name: row.metadata.get(name) for name in ("caption", "notes", "transcript")}
    tags = row.metadata.get("tags")
    listed = [tags] if isinstance(tags, str) else tags if isinstance(tags, list | tuple) else []
    kept = tuple(tag for tag in listed if isinstance(tag, str) and tag.strip())
    said = {name: text[:LONGEST] for name, text in texts.items() if isinstance(text, str) and text.strip()}
    return Description(tags=kept or None, **said)


def _times(row: VectorRow) -> tuple[tuple[float, float] | None, bool]:
    """When the scene begins and ends, in seconds, and whether the row says anything of it."""
    told = [row.metadata.get(name) for name in _TIMES]
    numbers = [float(one) for one in told if isinstance(one, int | float) and not isinstance(one, bool)]
    right = len(numbers) == 2 and all(math.isfinite(one) for one in numbers) and 0 <= numbers[0] <= numbers[1]
    return ((numbers[0], numbers[1]) if right else None), any(one is not None for one in told)


def _facts(row: VectorRow, times: tuple[float, float] | None) -> tuple[PictureFacts | None, dict[str, Any]]:
    """What the row says of its picture, and all the rest; of a scene with its times, which film it is of."""
    has_columns = ("kind", *_TIMES) if times else ("kind",)
    metadata = {name: value for name, value in row.metadata.items() if name not in has_columns}
    if times and row.uri is not None:
        metadata.setdefault(FILM_URI, row.uri)  # an export of an import tells it
    if row.id is not None and row.id != row.uri:
        metadata["import_id"] = row.id
    sides = metadata.get("width"), metadata.get("height")
    if all(isinstance(side, int) and 0 < side < 2**31 for side in sides):
        width, height = metadata.pop("width"), metadata.pop("height")
        return PictureFacts(width, height, str(metadata.pop("format", "unknown")), metadata=metadata), metadata
    return None, metadata


def width_of(path: Path, vector_column: str | None) -> int:
    """The number of dimensions of a file's vectors.

    Raises:
        UsageError: there are none, or the file cannot be read.
    """
    first = next(read_vectors(path, vector_column), None)
    if first is None:
        raise UsageError(f"{path} has no vectors in it")
    return int(first.vectors.shape[1])


def export_vectors(
    query: Query, items: Items, generation: Generation, file: Path, listen: ProgressListener = ignore
) -> int:
    """How many vectors were written to a parquet file, with item_id, uri, kind and metadata; streamed.

    Raises:
        UsageError: there is nothing to write, or the file cannot be written.
    """

    def pages() -> Iterator[tuple[Sequence[Mapping[str, Any]], Vectors]]:
        done = 0
        for ids, vectors in query.all_vectors(generation):
            known, rows = items.many(ids), []
            kept = [n for n, item_id in enumerate(ids) if item_id in known]  # others were forgotten meanwhile
            for item in (known[ids[n]] for n in kept):
                facts: dict[str, Any] = {
                    "width": item.width,
                    "height": item.height,
                    "format": item.format,
                    "camera": item.camera,
                }
                facts |= {"start_s": item.start_s, "end_s": item.end_s, "caption": item.caption}
                metadata = {key: value for key, value in facts.items() if value is not None} | dict(item.metadata)
                uri = item.uri.encode("utf-8", "backslashreplace").decode()
                document = json.dumps(metadata, ensure_ascii=False)
                rows.append({"item_id": str(item.item_id), "uri": uri, "kind": item.kind, "metadata": document})
            done += len(rows)
            listen(Progress("export", done, unit="vectors"))
            if rows:
                yield rows, vectors[kept]

    return write_parquet(file, pages())
