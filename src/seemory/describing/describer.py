"""A person's words → their items: one by one, or a table of thousands, of which the bad rows are counted and named."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from seemory.describing.word_files import WordRow
from seemory.errors import UsageError
from seemory.lookahead import batches
from seemory.store.describing import LONGEST, Descriptions
from seemory.telemetry import Progress, ProgressListener, ignore
from seemory.types import Description

BATCH = 256  # rows a transaction
_NAMED = 100  # bad rows that the report names


@dataclass(slots=True)
class DescribeReport:
    """What became of a person's words."""

    described: int = 0
    """Items that have their words now; several rows about one item count once in each batch."""
    bad: int = 0
    """Rows that could not be used."""
    errors: list[tuple[int, str, str]] = field(default_factory=list)
    """(line, item, reason) of the first of them."""
    embedded: int = 0
    """Items that got their sentence vector."""
    waiting: str | None = None
    """Why sentence vectors could not be made; the words are kept all the same."""
    seconds: float = 0.0

    def refuse(self, row: WordRow, reason: str) -> None:
        """Count a row that cannot be used."""
        self.bad += 1
        if len(self.errors) < _NAMED:
            self.errors.append((row.line, row.item[:300], reason))


class Describer:
    """Brings words to the items of one collection."""

    def __init__(self, descriptions: Descriptions, languages: frozenset[str]) -> None:
        """`languages` are the text search configurations that there are."""
        self._descriptions = descriptions
        self._languages = languages

    def table(self, rows: Iterable[WordRow], folder: Path, listen: ProgressListener = ignore) -> DescribeReport:
        """The report of a table's rows, each batch committed as it comes; what a later row says of an item counts.

        Args:
            rows: the table.
            folder: where paths that are not found from here begin.
            listen: called with the progress.
        """
        report, start, done = DescribeReport(), time.perf_counter(), 0
        for batch in batches(iter(rows), BATCH):
            self._batch(batch, folder, report)
            done += len(batch)
            listen(Progress("describe", done, unit="rows"))
        report.seconds = time.perf_counter() - start
        return report

    def _batch(self, batch: list[WordRow], folder: Path, report: DescribeReport) -> None:
        usable = []
        for row in batch:
            reason = row.error or self._wrong(row.said)
            if reason:
                report.refuse(row, reason)
            else:
                usable.append(row)
        paths = {name for row in usable if _id(row.item) is None for name in _names(row.item, folder)}
        known = self._descriptions.by_path(sorted(paths))
        said: dict[UUID, Description] = {}
        meant: list[tuple[WordRow, UUID]] = []
        for row in usable:
            item_id = _id(row.item) or next((known[name] for name in _names(row.item, folder) if name in known), None)
            if item_id is None:
                report.refuse(row, "no item of the collection, or several")
            else:
                said[item_id] = _over(said.get(item_id), row.said)
                meant.append((row, item_id))
        written = self._descriptions.write(said) if said else set()
        report.described += len(written)
        for row, item_id in meant:
            if item_id not in written:
                report.refuse(row, "no item of the collection")

    def _wrong(self, said: Description) -> str | None:
        if said.language is not None and said.language not in self._languages:
            return f"no text search language: {said.language[:50]!r}"
        texts = (said.caption, said.notes, said.transcript, "".join(said.tags or ()))
        if any(text is not None and len(text) > LONGEST for text in texts):
            return f"a text of more than {LONGEST:,} characters"
        return None


def require_words(said: Description) -> None:
    """Refuse a description that says nothing.

    Raises:
        UsageError: there is no caption, tag, note or transcript, nor a language.
    """
    if said == Description():
        raise UsageError("nothing was said of the item: give a caption, tags, notes, a transcript or a language")


def _over(before: Description | None, now: Description) -> Description:
    """What two rows about one item say together."""
    if before is None:
        return now
    names = Description.__slots__
    newer = {name: getattr(now, name) for name in names if getattr(now, name) is not None}
    return Description(**({name: getattr(before, name) for name in names} | newer))


def _id(text: str) -> UUID | None:
    """The id, where a whole one is written."""
    try:
        return UUID(text.strip()) if len(text.strip()) in (32, 36) else None
    except ValueError:
        return None


def _names(text: str, folder: Path) -> list[str]:
    """The names that a file may be known by: as it is written, from here, and from the table's folder."""
    # As the index spells paths: resolve() would follow links.
    absolute = [os.path.abspath(os.path.join(base, text)) for base in ("", folder)]  # noqa: PTH100, PTH118
    return list(dict.fromkeys([text, *absolute]))
