"""What is in a library: title, year, source and licence of each picture, out of a table by file name."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from seemory.errors import UsageError

_FILE: Final = ("file", "filename", "name")
_LICENCE: Final = ("licence", "license")


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one picture."""

    title: str | None = None
    year: str | None = None
    source: str | None = None
    licence: str | None = None


def read_catalogue(path: Path) -> dict[str, Entry]:
    """The entries of a table by file name: a .csv with a heading, or a .json list of objects or object by file name.

    Columns are `file`, `title`, `year`, `source`, `licence`; others are passed over.

    Raises:
        UsageError: it cannot be read, is no such table, or names a file twice.
    """
    try:
        text = path.expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: the catalogue cannot be read ({error})") from error
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".json"):
        raise UsageError(f"{path}: a catalogue is a .csv or a .json file")
    entries: dict[str, Entry] = {}
    for number, row in enumerate(_rows_of_json(path, text) if suffix == ".json" else _rows_of_csv(path, text), start=1):
        name = next((row[key] for key in _FILE if row.get(key)), None)
        if name is None:
            raise UsageError(f"{path}: entry {number} does not say which `file` it is about")
        if name in entries:
            raise UsageError(f"{path}: there are two entries for {name}")
        licence = next((row[key] for key in _LICENCE if row.get(key)), None)
        entries[name] = Entry(row.get("title"), row.get("year"), row.get("source"), licence)
    return entries


def _rows_of_csv(path: Path, text: str) -> Iterable[dict[str, str | None]]:
    try:
        table = csv.DictReader(io.StringIO(text), strict=True)
        names = [(name or "").strip().lower() for name in table.fieldnames or ()]
        if not set(names) & set(_FILE):
            raise UsageError(f"{path}: the first line must name the columns, with one called `file`")
        for row in table:
            yield _plain(dict(zip(names, list(row.values()), strict=False)))
    except csv.Error as error:
        raise UsageError(f"{path}: not a table of comma-separated values ({error})") from error


def _rows_of_json(path: Path, text: str) -> Iterable[dict[str, str | None]]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{path}: not JSON ({error})") from error
    if isinstance(document, dict):
        document = [{"file": name, **one} if isinstance(one, dict) else one for name, one in document.items()]
    if not isinstance(document, list) or not all(isinstance(one, dict) for one in document):
        raise UsageError(f"{path}: must be a list of objects, or an object with one for each file name")
    yield from map(_plain, document)


def _plain(row: Mapping[str, Any]) -> dict[str, str | None]:
    """Keys in small letters, values as texts; what is empty, or no single value, is None."""
    return {
        str(key).strip().lower(): str(value).strip() or None
        for key, value in row.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    }
