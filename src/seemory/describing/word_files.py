"""Tables of words: CSV with a header, or JSON lines; each row names an item and says something of it."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from seemory.errors import UsageError
from seemory.types import Description

NAMES: Final = ("item", "item_id", "id", "path", "uri", "file", "image")
"""The column that names the item: its id, or its path, also one relative to the table's folder."""

WORDS: Final = ("caption", "tags", "notes", "transcript", "language")

NOTHING: Final = Description()

_LONGEST_FIELD = 4_000_000


@dataclass(frozen=True, slots=True)
class WordRow:
    """One row: whom it names, and what it says; or why it cannot be used."""

    line: int
    item: str = ""
    said: Description = NOTHING
    error: str | None = None


def read_words(file: Path) -> Iterator[WordRow]:
    """Every row of a table, the bad ones with their reason.

    Args:
        file: `.csv` or `.tsv` with a header, `.jsonl` or `.ndjson`; UTF-8.

    Raises:
        UsageError: the file cannot be read, or is no table, or names no items or no words.
    """
    suffix = file.suffix.lower()
    readers = {".csv": _csv, ".tsv": _csv, ".jsonl": _jsonl, ".ndjson": _jsonl}
    if suffix not in readers:
        raise UsageError(
            f"{file}: words come in .csv, .tsv, .jsonl or .ndjson, not in {suffix or 'a file without ending'}"
        )
    try:
        # A path may have bytes that are no UTF-8: they come through, as file names in Python do.
        with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            yield from readers[suffix](stream, file)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error


def _csv(stream: IO[str], file: Path) -> Iterator[WordRow]:
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(stream, delimiter="\t" if file.suffix.lower() == ".tsv" else ",")
    try:
        header = [name.strip().lower() for name in next(reader, [])]
    except csv.Error as error:
        raise UsageError(f"{file}: line 1 is no header: {error}") from error
    if not set(header) & set(NAMES) or not set(header) & set(WORDS):
        raise UsageError(
            f"{file}: the header needs a column that names the item ({', '.join(NAMES)}) and one of words "
            f"({', '.join(WORDS)}); it has {', '.join(header)[:200] or 'nothing'}"
        )
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            yield WordRow(reader.line_num, error=f"no row: {error}")
            continue
        if fields is None:
            return
        if not fields:
            continue
        if len(fields) != len(header):
            yield WordRow(reader.line_num, error=f"{len(fields)} fields, where the header has {len(header)}")
        else:
            # An empty field of a table says nothing; it takes nothing away.
            row = {name: field for name, field in zip(header, fields, strict=True) if field.strip()}
            yield _row(reader.line_num, row)


def _jsonl(stream: IO[str], _: Path) -> Iterator[WordRow]:
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            document = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield WordRow(number, error=f"no JSON: {str(error)[:100]}")
            continue
        if isinstance(document, dict):
            yield _row(number, {key.lower(): value for key, value in document.items() if value is not None})
        else:
            yield WordRow(number, error="no JSON object")


def _row(line: int, fields: Mapping[str, Any]) -> WordRow:
    item = next((fields[name] for name in NAMES if name in fields), None)
    if not isinstance(item, str) or not item.strip():
        return WordRow(line, error=f"names no item (one of {', '.join(NAMES)})")
    said: dict[str, Any] = {}
    for name in WORDS:
        value = fields.get(name)
        if value is None:
            continue
        if name == "tags":
            tags = _tags(value)
            if tags is None:
                return WordRow(line, item, error="tags must be a list of texts, or one text with ; between them")
            said["tags"] = tags
        elif isinstance(value, str):
            said[name] = value
        else:
            return WordRow(line, item, error=f"{name} must be a text, not {type(value).__name__}")
    if not said.keys() - {"language"}:
        return WordRow(line, item, error=f"says nothing ({', '.join(WORDS)})")
    return WordRow(line, item, Description(**said))


def _tags(value: object) -> tuple[str, ...] | None:
    if isinstance(value, str):
        return tuple(re.split(r"\s*;\s*" if ";" in value else r"\s*,\s*", value.strip()))
    if isinstance(value, list) and all(isinstance(tag, str) for tag in value):
        return tuple(value)
    return None
