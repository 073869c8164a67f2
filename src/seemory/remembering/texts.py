"""Files of texts → what is to be remembered: paragraphs, sections, or rows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from seemory.errors import UsageError
from seemory.store.memories import Saying

_HEADING: Final = re.compile(r"^(#{1,6})\s+(.*?)\s*#*\s*$")
_FENCE: Final = re.compile(r"^\s*(```|~~~)")
_MOST: Final = 100_000_000


def read_texts(file: Path) -> Iterator[Saying | str]:
    """Every text of a file; a string is the reason why one cannot be used.

    Args:
        file: `.txt`: a text is a paragraph. `.md`: a section, under the headings above it. `.jsonl`, `.ndjson`: a row
            with `text` and, if wanted, `tags` and `when`. UTF-8.

    Raises:
        UsageError: the file cannot be read, or is none of these.
    """
    readers = {".txt": _paragraphs, ".md": _sections, ".markdown": _sections, ".jsonl": _rows, ".ndjson": _rows}
    suffix = file.suffix.lower()
    if suffix not in readers:
        raise UsageError(f"{file}: texts come in .txt, .md or .jsonl, not in {suffix or 'a file without ending'}")
    try:
        if file.stat().st_size > _MOST:
            raise UsageError(f"{file} has more than {_MOST // 1_000_000} MB: cut it into parts")
        content = file.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    return readers[suffix](content)


def moment(text: str) -> datetime:
    """A day or a moment as ISO 8601 writes them. Raises UsageError."""
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(f"{text[:50]!r} is no moment: write 2026-05-04 or 2026-05-04T18:30") from None


def _paragraphs(content: str) -> Iterator[Saying | str]:
    for part in re.split(r"\n\s*\n", content):
        if text := part.strip():
            yield Saying(text)


def _sections(content: str) -> Iterator[Saying | str]:
    headings: list[tuple[int, str]] = []
    lines: list[str] = []
    fenced = False

    def section() -> Iterator[Saying | str]:
        if body := "\n".join(lines).strip():
            title = " / ".join(name for _, name in headings if name)
            yield Saying(f"{title}\n\n{body}" if title else body)

    for line in content.splitlines():
        if _FENCE.match(line):
            fenced = not fenced
        found = None if fenced else _HEADING.match(line)
        if found is None:
            lines.append(line)
            continue
        yield from section()
        lines.clear()
        depth = len(found[1])
        headings = [one for one in headings if one[0] < depth] + [(depth, found[2])]
    yield from section()


def _rows(content: str) -> Iterator[Saying | str]:
    for line in content.splitlines():
        if line.strip():
            yield _row(line)


def _row(line: str) -> Saying | str:
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"no JSON: {str(error)[:100]}"
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        return "a row is an object with a `text`"
    tags, when = row.get("tags") or [], row.get("when")
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        return "`tags` is a list of texts"
    if when is not None and not isinstance(when, str):
        return "`when` is a text such as 2026-05-04"
    try:
        return Saying(row["text"], tuple(tags), None if when is None else moment(when))
    except UsageError as error:
        return str(error)
