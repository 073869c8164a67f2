"""What a person may call an item by."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from seemory.errors import ItemNotFound, UsageError
from seemory.store.texts import escape, unescape
from seemory.timecode import clock
from seemory.types import Generation

FILM_URI = "film_uri"
"""The key of an imported scene's metadata under which its film's name stands, whatever the scene's own is."""

_FIND = """
SELECT i.id, a.uri, i.start_s FROM seemory.item i
JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id
WHERE i.owner_id = %(owner)s
  AND i.collection_id = (SELECT id FROM seemory.collection WHERE name = %(collection)s)
  AND """


def resolve(connection: psycopg.Connection[Any], owner: str, text: str, collection: str) -> UUID:
    """The item that a full id, a unique beginning of one (6 hexadecimal digits or more), or a path means.

    Raises:
        ItemNotFound: nothing is called that, or several are; the message names the nearest.
    """
    text = text.strip()
    names: dict[str, Any] = {"owner": owner, "collection": collection}
    digits = text.replace("-", "").lower()
    if re.fullmatch(r"[0-9a-f]{6,32}", digits):
        # A beginning is a range of ids, and the primary key finds a range at once.
        between = {"low": UUID(digits.ljust(32, "0")), "high": UUID(digits.ljust(32, "f"))}
        found = connection.execute(_FIND + "i.id BETWEEN %(low)s AND %(high)s LIMIT 6", names | between).fetchall()
        if len(found) == 1:
            return UUID(str(found[0][0]))
        if found:
            raise ItemNotFound(f"{text} begins several ids: {_list(found)}; give more of it")
    uris = [escape(text), escape(absolute(text))]
    found = connection.execute(
        _FIND + "a.uri_key IN (md5(%(as_is)s)::uuid, md5(%(absolute)s)::uuid) ORDER BY i.ordinal LIMIT 6",
        names | {"as_is": uris[0], "absolute": uris[1]},
    ).fetchall()
    if len(found) == 1:
        return UUID(str(found[0][0]))
    if found:
        raise ItemNotFound(f"{text} has several items: {_list(found)}; give an id")
    near = connection.execute(
        _FIND + "position(lower(%(as_is)s) IN lower(a.uri)) > 0 ORDER BY length(a.uri), a.uri LIMIT 5",
        names | {"as_is": uris[0]},
    ).fetchall()
    hint = f"; did you mean {_list(near)}?" if near and text else ""
    raise ItemNotFound(f"nothing in collection {collection!r} has the id, beginning of an id, or path {text!r}{hint}")


def resolve_all(connection: psycopg.Connection[Any], owner: str, text: str, collection: str) -> list[UUID]:
    """The items that a text means: those that a path has, in their order, or the one that `resolve` finds.

    Raises as it does.
    """
    uris = [escape(text.strip()), escape(absolute(text.strip()))]
    names = {"owner": owner, "collection": collection, "uris": uris}
    keys = "a.uri_key = ANY (ARRAY(SELECT md5(name)::uuid FROM unnest(%(uris)s::text[]) AS name)) ORDER BY i.ordinal"
    found = connection.execute(_FIND + keys, names).fetchall()
    if any(start is not None for _, _, start in found):  # scenes that were imported have names of their own
        of_film = "a.kind = 'scene' AND a.metadata ->> %(key)s = ANY (%(uris)s) ORDER BY i.start_s, i.id"
        found += connection.execute(_FIND + of_film, names | {"key": FILM_URI}).fetchall()
    return list(dict.fromkeys(row[0] for row in found)) or [resolve(connection, owner, text, collection)]


def require_same_collection(collection: str, generation: Generation) -> None:
    """Refuse to write items of one collection with vectors of another.

    Raises:
        UsageError: the generation belongs elsewhere.
    """
    if generation.collection != collection:
        raise UsageError(f"{generation.table} belongs to collection {generation.collection!r}, not to {collection!r}")


def absolute(text: str) -> str:
    """The path from here, links not followed, because files are stored under the names they were found by."""
    try:
        return os.path.abspath(Path(text).expanduser())  # noqa: PTH100
    except (RuntimeError, ValueError):  # "~nobody-of-that-name", or a NUL
        return text


def _list(found: list[tuple[Any, ...]]) -> str:
    named = [(item_id, unescape(uri), "" if start is None else f" at {clock(start)}") for item_id, uri, start in found]
    return ", ".join(f"{item_id} ({uri}{at})" for item_id, uri, at in named[:5]) + (" …" if len(found) > 5 else "")
