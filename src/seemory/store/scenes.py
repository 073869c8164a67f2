"""What answers tell of scenes beyond the search itself: which film, which moment, which channel had nothing of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.sql import SQL, Identifier

from seemory.errors import ItemNotFound, UsageError
from seemory.store.connect import Database
from seemory.store.halfvec import Halfvec
from seemory.store.naming import FILM_URI, absolute
from seemory.store.texts import clean, escape, unescape
from seemory.types import Filter, Generation, Vector

_FILM = """
SELECT a.uri FROM seemory.asset a
WHERE a.owner_id = %(owner)s AND a.collection_id = (SELECT id FROM seemory.collection WHERE name = %(collection)s)
  AND a.kind = 'scene' AND """
_NUMBERED = "a.id = %(id)s"
_NAMED = "(a.uri_key IN (md5(%(text)s)::uuid, md5(%(absolute)s)::uuid) OR a.metadata ->> %(key)s = %(told)s)"
_NEAR = "position(lower(%(text)s) IN lower(a.uri)) > 0 ORDER BY length(a.uri), a.uri LIMIT 5"

# The frames lie beside the row, out of line: only those of the items named here are read.
_MARKS = """
SELECT i.id, v.embedding IS NOT NULL, v.metadata ->> 'error', i.language IS NOT NULL, {place}
FROM seemory.item i
LEFT JOIN {table} v ON v.owner_id = i.owner_id AND v.item_id = i.id
{nearest}
WHERE i.owner_id = %s AND i.id = ANY (%s)"""
_NEAREST = """
LEFT JOIN LATERAL (
    SELECT frame.place FROM unnest(v.frames) WITH ORDINALITY AS frame (vector, place)
    WHERE frame.vector IS NOT NULL ORDER BY frame.vector <=> %s, frame.place LIMIT 1) AS near ON true"""


@dataclass(frozen=True, slots=True)
class SceneMark:
    """What is known of one scene in one generation."""

    seen: bool
    """Whether it has a vector."""
    error: str | None
    """Why not, where that is known."""
    described: bool
    """Whether anything was said of it."""
    frame: int | None
    """The place, from 0, of that one of its frames which is nearest to the query; None where there is none."""


class Scenes:
    """Looks at one owner's scenes."""

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self.owner = owner

    def film(self, collection: str, name: str) -> Filter:
        """The condition that a scene is of this film: its path, or the id of its asset.

        Raises:
            ItemNotFound: no film of this owner in the collection is called that; the message names the nearest.
            UsageError: nothing was named.
        """
        text = name.strip()
        if not text:
            raise UsageError("name a film: its path, or the id of its asset")
        names: dict[str, Any] = {"owner": self.owner, "collection": collection, "key": FILM_URI, "text": escape(text)}
        names |= {"absolute": escape(absolute(text)), "told": clean(text)}
        try:
            asked, names["id"] = _NUMBERED, UUID(text)
        except ValueError:
            asked = _NAMED
        with self._database.transaction(self.owner) as connection:
            found = connection.execute(_FILM + asked, names).fetchall()
            near = [] if found else connection.execute(_FILM + _NEAR, names).fetchall()
        if not found:
            hint = f"; did you mean {', '.join(unescape(uri) for (uri,) in near)}?" if near else ""
            raise ItemNotFound(f"no film in collection {collection!r} has the path or asset id {text!r}{hint}")
        at_its_path = asked is _NAMED and names["absolute"] in {uri for (uri,) in found}
        return Filter("film", "=", absolute(text) if at_its_path else text)

    def marks(
        self, generation: Generation, item_ids: Sequence[UUID], vector: Vector | None = None
    ) -> dict[UUID, SceneMark]:
        """What is known of those items that there are; with `vector`, which of their frames is nearest to it."""
        statement = SQL(_MARKS).format(
            table=Identifier("seemory", generation.table),
            place=SQL("NULL" if vector is None else "near.place"),
            nearest=SQL("" if vector is None else _NEAREST),
        )
        values = [*([] if vector is None else [Halfvec(vector)]), self.owner, list(item_ids)]
        with self._database.reading(self.owner) as reading:
            rows = reading.rows(statement, values)
        return {
            item_id: SceneMark(seen, error, described, None if place is None else place - 1)
            for item_id, seen, error, described, place in rows
        }
