"""Items and hits as the page shows them: small, and without the folders that files lie in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from seemory.store.memories import SCHEME
from seemory.types import Hit, Item

_KEPT_UPLOAD: Final = re.compile(r"[0-9a-f]{64}")
_PLACE: Final = re.compile(r"(^|[\s'\"(=])(/|~|[A-Za-z]:[\\/]|\\\\|file:)")
"""What looks like a path: somebody's account and folders are nobody's business who looks at pictures."""

_FOLDERS: Final = re.compile(r"(?<![\w.])(?:~?/|[A-Za-z]:[\\/]|\\\\|file:)(?:[^\n]*[/\\])?")

_SHOWN: Final = frozenset({"width", "height", "format", "camera", "taken", "bytes"})
_UNTOLD: Final = frozenset({"frames", "embedding", "words_from", "film_uri", "uri", "path", "frame_path"})
_LONGEST: Final = 300  # characters of one value


def name_of(uri: str) -> str:
    """What a file is called, without its folders; of an upload or a note, which have no name, that it is one."""
    if uri.startswith(SCHEME):
        return "Note"
    name = re.split(r"[/\\]", uri.rstrip("/\\"))[-1]
    if "://" in uri:
        name = re.split(r"[?#]", name)[0]
    return "Uploaded picture" if _KEPT_UPLOAD.fullmatch(name.partition(".")[0]) else name


def without_places(reason: str) -> str:
    """A reason without the folders that it names."""
    return _FOLDERS.sub("", reason)


def shown_item(item: Item) -> dict[str, Any]:
    """An item in the grid."""
    return {
        "id": str(item.item_id),
        "kind": item.kind,
        "name": name_of(item.uri),
        "width": item.width,
        "height": item.height,
        "start": item.start_s,
        "end": item.end_s,
        "caption": item.notes if _is_note(item) else item.caption,
    }


def shown_hit(hit: Hit, item: Item | None) -> dict[str, Any]:
    """A hit in the grid: its item, and how it came to be there."""
    known = {"caption": None} if item is None else shown_item(item)
    return known | {
        "id": str(hit.item_id),
        "kind": hit.kind,
        "name": name_of(hit.uri),
        "width": hit.metadata.get("width"),
        "height": hit.metadata.get("height"),
        "start": hit.start_s,
        "end": hit.end_s,
        "score": round(hit.score, 4),
        "cosine": None if hit.cosine is None else round(hit.cosine, 4),
        "rank": hit.rank,
        "moment": hit.moment_s,
        "reasons": list(hit.reasons),
        "missing": dict(hit.missing),
        "passages": [asdict(passage) for passage in hit.passages],
        "beside": [shown_hit(one, None) for one in hit.neighbours],
    }


def shown_whole(item: Item) -> dict[str, Any]:
    """All that the viewer tells of an item."""
    return shown_item(item) | {
        "format": item.format,
        "bytes": item.bytes,
        "taken": item.taken_at.isoformat() if item.taken_at else None,
        "camera": item.camera,
        "tags": list(item.tags),
        "notes": None if _is_note(item) else item.notes,
        "transcript": item.transcript,
        "more": _plain(item.metadata),
    }


def _is_note(item: Item) -> bool:
    """Whether its notes are what it is: a text that nobody gave a caption."""
    return item.kind == "text" and not item.caption


def _plain(metadata: Mapping[str, Any], within: str = "") -> dict[str, str]:
    """Single values, by their names with dots; nothing that looks like a place on a disk."""
    found: dict[str, str] = {}
    for name, value in metadata.items():
        if name in _UNTOLD or (not within and name in _SHOWN):
            continue
        if isinstance(value, Mapping) and not within:
            found |= _plain(value, f"{name}.")
        elif isinstance(value, str | int | float) and not _PLACE.search(str(value)):
            found[within + name] = str(value)[:_LONGEST]
    return found
