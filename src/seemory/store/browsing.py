"""What a person who looks around wants of the store: items newest first, what there is to narrow them by, files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final
from uuid import UUID

from psycopg.sql import SQL, Composable

from seemory.store.connect import Database
from seemory.store.filters import conditions
from seemory.store.rows import ITEM_COLUMNS, item_of
from seemory.store.texts import unescape
from seemory.types import Filter, Item, Kind

_FROM: Final = """
FROM seemory.item i JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id
WHERE i.owner_id = %s AND i.collection_id = (SELECT id FROM seemory.collection WHERE name = %s)
  AND a.missing_at IS NULL AND """

_ORDER: Final = " ORDER BY i.created_at DESC, i.id DESC LIMIT %s"
_AFTER: Final = "(i.created_at, i.id) < (%s, %s)"

_MOST_VALUES: Final = 200
_FACETS: Final[dict[str, str]] = {
    "kind": "i.kind",
    "taken": "extract(year FROM a.taken_at AT TIME ZONE 'UTC')::int::text",
    "tag": "unnest(i.tags)",
    "camera": "a.camera",
}


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page of items ended, so that the next begins there, whatever came or went meanwhile."""

    created_at: datetime
    item_id: UUID

    def __str__(self) -> str:
        return f"{self.created_at.isoformat()}_{self.item_id}"

    @classmethod
    def read(cls, text: str) -> Position:
        """The position that `str` wrote. Raises ValueError."""
        created_at, item_id = text.split("_")
        moment = datetime.fromisoformat(created_at)
        if moment.tzinfo is None:
            raise ValueError("a time without its zone")
        return cls(moment, UUID(item_id))


@dataclass(frozen=True, slots=True)
class Original:
    """The file of an item, as it was when it was indexed."""

    path: str
    bytes: int
    mtime_ns: int
    format: str | None
    kind: Kind


class Browsing:
    """One owner's items in one collection; files that are gone from disk are left out."""

    def __init__(self, database: Database, owner: str, collection: str) -> None:
        """Nothing is asked yet."""
        self._database = database
        self.owner = owner
        self.collection = collection

    def newest(
        self, *, limit: int, after: Position | None = None, kind: Kind | None = None, filters: Sequence[Filter] = ()
    ) -> tuple[list[Item], Position | None]:
        """The next items that meet all conditions, and where the page ended; None if nothing can follow.

        The scenes of a film that are on one page stand in the film's order.
        """
        clause, values = _where(kind, filters)
        if after is not None:
            clause = SQL(" AND ").join([clause, SQL(_AFTER)])
            values += [after.created_at, after.item_id]
        statement = SQL(f"SELECT i.created_at, {ITEM_COLUMNS} {_FROM}") + clause + SQL(_ORDER)
        with self._database.transaction(self.owner) as connection:
            rows = connection.execute(statement, [self.owner, self.collection, *values, limit]).fetchall()
        items = [item_of(tuple(item)) for _, *item in rows]
        ended = Position(rows[-1][0], items[-1].item_id) if len(rows) == limit else None
        together = [list(scenes) for _, scenes in groupby(items, key=lambda item: item.asset_id)]
        return [item for scenes in together for item in reversed(scenes)], ended

    def count(self, *, kind: Kind | None = None, filters: Sequence[Filter] = ()) -> int:
        """How many items meet all conditions."""
        clause, values = _where(kind, filters)
        with self._database.transaction(self.owner) as connection:
            statement = SQL(f"SELECT count(*) {_FROM}") + clause
            row = connection.execute(statement, [self.owner, self.collection, *values]).fetchone()
        return row[0] if row else 0

    def mark(self) -> tuple[int, datetime | None]:
        """What is another wherever an item has come, gone or changed: how many there are, and the latest change."""
        with self._database.transaction(self.owner) as connection:
            statement = f"SELECT count(*), max(greatest(i.updated_at, a.updated_at)) {_FROM} true"
            row = connection.execute(statement, [self.owner, self.collection]).fetchone()
        return (row[0], row[1]) if row else (0, None)

    def sample(self, limit: int) -> list[Item]:
        """So many items, in the order of their ids, which are random."""
        with self._database.transaction(self.owner) as connection:
            statement = f"SELECT {ITEM_COLUMNS} {_FROM} true ORDER BY i.id LIMIT %s"
            return [item_of(row) for row in connection.execute(statement, [self.owner, self.collection, limit])]

    def facets(self, *, kind: Kind | None = None, filters: Sequence[Filter] = ()) -> dict[str, list[tuple[str, int]]]:
        """For `kind`, `taken` (years), `tag` and `camera` the values there are with their counts, most first.

        Each is counted among the items that meet the conditions on the other three, so that another value can be
        chosen in place of the present one.
        """
        found = {}
        for field, value in _FACETS.items():
            others = [one for one in filters if one.field != field]
            clause, values = _where(None if field == "kind" else kind, others)
            counted = SQL(f"SELECT {value} AS value {_FROM}") + clause
            statement = (SQL("SELECT value, count(*) FROM (") + counted + SQL(") AS v WHERE value IS NOT NULL ")) + SQL(
                "GROUP BY value ORDER BY count(*) DESC, value LIMIT %s"
            )
            with self._database.transaction(self.owner) as connection:
                rows = connection.execute(statement, [self.owner, self.collection, *values, _MOST_VALUES]).fetchall()
            found[field] = [(name, count) for name, count in rows]
        return found

    def original(self, item_id: UUID) -> Original | None:
        """The file an item was read from; None if there is no such item, or nobody here has read its file."""
        with self._database.transaction(self.owner) as connection:
            row = connection.execute(
                """
                SELECT a.uri, a.bytes, a.mtime_ns, a.format, a.kind
                FROM seemory.item i JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id
                WHERE i.owner_id = %s AND i.id = %s AND a.sha256 IS NOT NULL AND a.missing_at IS NULL""",
                [self.owner, item_id],
            ).fetchone()
        return Original(unescape(row[0]), *row[1:]) if row else None


def _where(kind: Kind | None, filters: Sequence[Filter]) -> tuple[Composable, list[Any]]:
    clause, values = conditions(filters)
    if kind is None:
        return clause, values
    return SQL(" AND ").join([clause, SQL("i.kind = %s")]), [*values, kind]
