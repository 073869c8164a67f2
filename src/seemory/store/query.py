# ruff: noqa: S608 - statements are put together from this package's own constants; values are always parameters
"""Vectors → the items nearest to them, complete and in a stable order, within one owner's rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import numpy as np
from psycopg.sql import SQL, Composed, Identifier

from seemory.errors import UsageError
from seemory.store.choice import Ask, Choice, Chooser
from seemory.store.connect import Connection, Database
from seemory.store.explaining import Explaining, Explanation, Step
from seemory.store.filters import Condition, conditions
from seemory.store.halfvec import Halfvec
from seemory.store.nearest import Found, nearest
from seemory.store.pairs import near_pairs
from seemory.store.reading import InTransaction
from seemory.store.resident.answering import Resident
from seemory.store.rows import ITEM_COLUMNS, ITEM_ID, item_of
from seemory.types import Filter, Generation, Item, Kind, Neighbour, Vector, Vectors


class Query:
    """Searches one owner's vectors."""

    def __init__(self, database: Database, owner: str, resident_bytes: int = 0) -> None:
        """Nothing is asked yet; all copies of vectors that this process keeps may take `resident_bytes` together."""
        self._database = database
        self.owner = owner
        self._chooser = Chooser(owner)
        self._resident = Resident(database, owner, resident_bytes)

    def close(self) -> None:
        """Put the copies of the owner's vectors away."""
        self._resident.close()

    def nearest(
        self,
        generation: Generation,
        vector: Vector,
        *,
        limit: int = 10,
        offset: int = 0,
        filters: Sequence[Filter] = (),
        kind: Kind | None = None,
        exclude: Sequence[UUID] = (),
        min_cosine: float | None = None,
        include_missing: bool = False,
        exact: bool = False,
        also: Condition | None = None,
    ) -> list[Neighbour]:
        """The `limit` items of highest cosine after the first `offset`; fewer only if no more meet the conditions.

        Ties are ordered by item id. Files that are gone from disk are left out unless `include_missing`. With `exact`
        the index is never asked. `also` is one more condition, over `item i` and `asset a`.

        Raises:
            UsageError: a filter is wrong, or the vector has another width than the generation, or no direction.
        """
        wanted = max(limit, 0) + max(offset, 0)
        ask = self._ask(generation, vector, wanted, filters, kind, exclude, include_missing, also)
        if limit <= 0:
            return []
        found = self._answer(ask, exact)[max(offset, 0) :]
        return [Neighbour(item_of(row), cosine) for row, cosine in found if min_cosine is None or cosine >= min_cosine]

    def nearest_ids(
        self,
        generation: Generation,
        vector: Vector,
        *,
        limit: int,
        filters: Sequence[Filter] = (),
        kind: Kind | None = None,
        also: Condition | None = None,
        min_cosine: float = -2.0,
    ) -> list[tuple[UUID, float]]:
        """What `nearest` finds, as ids and cosines alone: of hundreds, the rest costs more than the search."""
        ask = self._ask(generation, vector, limit, filters, kind, (), False, also)
        found = self._answer(replace(ask, columns=ITEM_ID), exact=False)
        return [(item_id, cosine) for (item_id,), cosine in found if cosine >= min_cosine]

    def _answer(self, ask: Ask, exact: bool) -> list[Found]:
        attempt = None if exact else self._resident.attempt(ask)
        found = None
        if attempt is not None:
            with self._database.reading(self.owner) as reading:
                found = attempt.nearest(reading, self.owner)
        if found is None:
            with self._database.transaction(self.owner) as connection:
                choice = self._choose(connection, ask, exact)
                found = nearest(connection, self.owner, ask, choice)
            self._resident.missed(ask, choice)
        return found

    def explain(
        self,
        generation: Generation,
        vector: Vector,
        *,
        limit: int = 10,
        offset: int = 0,
        filters: Sequence[Filter] = (),
        kind: Kind | None = None,
        exclude: Sequence[UUID] = (),
        include_missing: bool = False,
        exact: bool = False,
        also: Condition | None = None,
    ) -> Explanation:
        """How `nearest` answers the same question: the way, what it was chosen by, and what Postgres did.

        The search is carried out, and each of its statements a second time under EXPLAIN (ANALYZE, BUFFERS).

        Raises as `nearest` does.
        """
        wanted = max(limit, 1) + max(offset, 0)
        ask = self._ask(generation, vector, wanted, filters, kind, exclude, include_missing, also)
        steps: list[Step] = []
        attempt = None if exact else self._resident.attempt(ask)
        if attempt is not None:
            with self._database.transaction(self.owner) as connection:
                explaining = Explaining(connection, steps)
                if attempt.nearest(InTransaction(connection), self.owner, explaining) is not None:
                    return Explanation(generation.table, attempt.choice, steps)
        with self._database.transaction(self.owner) as connection:
            choice = self._choose(connection, ask, exact)
            nearest(connection, self.owner, ask, choice, Explaining(connection, steps))
        return Explanation(generation.table, choice, steps)

    def _choose(self, connection: Connection, ask: Ask, exact: bool) -> Choice:
        return Choice("all", "exact was asked for") if exact else self._chooser.choose(connection, ask)

    def _ask(
        self,
        generation: Generation,
        vector: Vector,
        wanted: int,
        filters: Sequence[Filter],
        kind: Kind | None,
        exclude: Sequence[UUID],
        include_missing: bool,
        also: Condition | None,
    ) -> Ask:
        clause, values = _where(filters, kind, exclude, include_missing, also)
        conditions_of_rows = bool(filters) or also is not None
        filtered = conditions_of_rows or kind is not None
        return Ask(
            generation, _checked(vector, generation), wanted, clause, values, filtered, resident=not conditions_of_rows
        )

    def vectors(self, generation: Generation, item_ids: Sequence[UUID]) -> dict[UUID, Vector]:
        """The stored vectors of those items that have one, `(d,)` float32."""
        statement = SQL(
            "SELECT item_id, embedding FROM {} WHERE owner_id = %s AND item_id = ANY (%s) AND embedding IS NOT NULL"
        ).format(Identifier("seemory", generation.table))
        with self._database.reading(self.owner) as reading:
            return dict(reading.rows(statement, [self.owner, list(item_ids)]))

    def vector_of_bytes(self, generation: Generation, sha256: bytes) -> Vector | None:
        """The stored vector of the owner's picture file with those bytes, `(d,)` float32; None where there is none."""
        statement = SQL(
            "SELECT v.embedding FROM seemory.asset a "
            "JOIN seemory.item i ON i.owner_id = a.owner_id AND i.asset_id = a.id AND i.ordinal = 0 "
            "JOIN {} v ON v.owner_id = i.owner_id AND v.item_id = i.id "
            "WHERE a.owner_id = %s AND a.sha256 = %s AND i.kind = 'image' AND v.embedding IS NOT NULL "
            "AND a.collection_id = (SELECT id FROM seemory.collection WHERE name = %s) LIMIT 1"
        ).format(Identifier("seemory", generation.table))
        values = [self.owner, sha256, generation.collection]
        with self._database.reading(self.owner) as reading:
            rows = reading.rows(statement, values)
        return rows[0][0] if rows else None

    def cosines(self, generation: Generation, vector: Vector, item_ids: Sequence[UUID]) -> dict[UUID, float]:
        """The cosine of a query vector to each of those items that have one."""
        # The + 0 hides the distance from the index: every row that was asked for is compared.
        statement = SQL(
            "SELECT item_id, 1 - ((embedding <=> %s) + 0) FROM {} "
            "WHERE owner_id = %s AND item_id = ANY (%s) AND embedding IS NOT NULL"
        ).format(Identifier("seemory", generation.table))
        query = Halfvec(_checked(vector, generation))
        with self._database.reading(self.owner) as reading:
            return dict(reading.rows(statement, [query, self.owner, list(item_ids)]))

    def items(self, item_ids: Sequence[UUID]) -> dict[UUID, Item]:
        """Those of the items that there are."""
        statement = (
            f"SELECT {ITEM_COLUMNS} FROM seemory.item i JOIN seemory.asset a ON a.owner_id = i.owner_id "
            "AND a.id = i.asset_id WHERE i.owner_id = %s AND i.id = ANY (%s)"
        )
        with self._database.reading(self.owner) as reading:
            return {item.item_id: item for item in map(item_of, reading.rows(statement, [self.owner, list(item_ids)]))}

    def all_vectors(self, generation: Generation, batch: int = 4096) -> Iterator[tuple[list[UUID], Vectors]]:
        """All stored vectors in pages of `batch`: the item ids, in order, and `(n, d)` float32."""
        statement = SQL(
            "SELECT item_id, embedding FROM {} WHERE owner_id = %s AND item_id > %s AND embedding IS NOT NULL "
            "ORDER BY item_id LIMIT %s"
        ).format(Identifier("seemory", generation.table))
        after = UUID(int=0)
        while True:
            with self._database.transaction(self.owner) as connection, connection.cursor(binary=True) as cursor:
                page = cursor.execute(statement, [self.owner, after, batch]).fetchall()
            if not page:
                return
            yield [item_id for item_id, _ in page], np.stack([vector for _, vector in page])
            after = page[-1][0]

    def near_pairs(self, generation: Generation, threshold: float, limit: int) -> list[tuple[UUID, UUID, float]]:
        """Pairs of items (a < b) whose cosine is at least `threshold`, highest first, at most `limit`.

        Complete up to 50,000 vectors; beyond, each item's 20 nearest by the index are looked at, and of a group of more
        than that some pairs may be missing. Files that are gone
        from disk are left out.
        """
        with self._database.transaction(self.owner) as connection:
            return near_pairs(connection, self.owner, generation, threshold, limit)

    def exact_groups(self, collection: str) -> list[list[Item]]:
        """Groups of two or more items whose files have the same bytes, largest first; gone files are left out."""
        statement = f"""
            SELECT a.sha256, {ITEM_COLUMNS}
            FROM seemory.asset a JOIN seemory.item i ON i.owner_id = a.owner_id AND i.asset_id = a.id AND i.ordinal = 0
            WHERE a.owner_id = %(owner)s AND a.missing_at IS NULL
              AND a.collection_id = (SELECT id FROM seemory.collection WHERE name = %(collection)s)
              AND a.sha256 IN (
                  SELECT sha256 FROM seemory.asset
                  WHERE owner_id = %(owner)s AND collection_id = a.collection_id AND missing_at IS NULL
                    AND error IS NULL GROUP BY sha256 HAVING count(*) > 1)
            ORDER BY a.created_at, a.uri"""
        groups: dict[bytes, list[Item]] = {}
        with self._database.transaction(self.owner) as connection:
            for sha256, *item in connection.execute(statement, {"owner": self.owner, "collection": collection}):
                groups.setdefault(sha256, []).append(item_of(tuple(item)))
        return sorted((group for group in groups.values() if len(group) > 1), key=len, reverse=True)


def _where(
    filters: Sequence[Filter],
    kind: Kind | None,
    exclude: Sequence[UUID],
    include_missing: bool,
    also: Condition | None,
) -> tuple[Composed, list[Any]]:
    clause, values = conditions(filters)
    parts = [clause]
    if also is not None:
        parts.append(also[0])
        values += also[1]
    if kind is not None:
        parts.append(SQL("i.kind = %s"))
        values.append(kind)
    if exclude:
        parts.append(SQL("i.id <> ALL (%s)"))
        values.append(list(exclude))
    if not include_missing:
        parts.append(SQL("a.missing_at IS NULL"))
    return SQL(" AND ").join(parts), values


def _checked(vector: Vector, generation: Generation) -> Vector:
    if vector.shape != (generation.dim,):
        raise UsageError(f"{generation.table} has {generation.dim} dimensions, and the query has shape {vector.shape}")
    with np.errstate(over="ignore"):
        half = vector.astype(np.float16)
    if not np.isfinite(half).all() or not half.any():
        raise UsageError("a query vector must have a direction: this one is zero, or not finite")
    return vector
