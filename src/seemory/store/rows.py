"""Rows of `asset` and `item` → the values that leave the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seemory.store.texts import unescape
from seemory.types import FrameFacts, Item, KnownFile

ITEM_COLUMNS = """
i.id, i.asset_id, i.kind, a.uri, encode(a.sha256, 'hex'), a.bytes, a.width, a.height, a.taken_at, a.camera, a.format,
i.start_s, i.end_s, i.caption, i.tags, i.notes, left(i.transcript, 1000), i.language, a.metadata || i.metadata,
a.missing_at IS NOT NULL"""
"""The columns of an `Item`, in its order, from `asset a` and `item i`; of a transcript the beginning."""

WHOLE_ITEM_COLUMNS = ITEM_COLUMNS.replace("left(i.transcript, 1000)", "i.transcript")
"""The same with the whole transcript."""

ITEM_ID = "i.id"
"""The column that names an item, where nothing else of it is wanted."""

_URI, _TAGS = 3, 14


def item_of(row: tuple[Any, ...]) -> Item:
    """The item that a row of `ITEM_COLUMNS` describes."""
    values = list(row)
    values[_URI], values[_TAGS] = unescape(values[_URI]), tuple(values[_TAGS])
    return Item(*values)


def known_columns(alias: str = "a") -> str:
    """The columns of a `KnownFile` as `known_of` takes them, where `state` is joined as `KNOWN_STATE` says."""
    names = ("id", "uri", "bytes", "mtime_ns", "sha256")
    columns = ", ".join(f"{alias}.{name}" for name in names)
    state = f"coalesce({alias}.error, state.error), {alias}.missing_at IS NOT NULL, state.embedded"
    return f"{columns}, {state}, {alias}.kind, {alias}.words_from"


KNOWN_STATE = """
CROSS JOIN LATERAL (
    SELECT coalesce(bool_and(v.embedding IS NOT NULL), false) AS embedded, min(v.metadata ->> 'error') AS error
    FROM seemory.item i
    LEFT JOIN {table} v ON v.owner_id = i.owner_id AND v.item_id = i.id
    WHERE i.owner_id = a.owner_id AND i.asset_id = a.id
) state"""
"""Whether all items of `asset a` have vectors in a generation, and, if not, why."""


def known_of(row: tuple[Any, ...]) -> KnownFile:
    """The file that a row of `known_columns` describes."""
    asset_id, uri, *rest = row
    return KnownFile(asset_id, unescape(uri), *rest)


def frame_facts(metadata: Mapping[str, Any]) -> tuple[FrameFacts, ...]:
    """The frames that stand for a scene, out of its item's metadata; none where they are not known (an import)."""
    known = set(FrameFacts.__slots__)
    told = metadata.get("frames")
    frames = told if isinstance(told, list) else []
    try:
        return tuple(FrameFacts(**{name: one[name] for name in known if name in one}) for one in frames)
    except TypeError:  # somebody else's "frames"
        return ()
