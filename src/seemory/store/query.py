# ruff: noqa: S608 - statements are put together from this package's own constants; values are always parameters
"""Vectors → the items nearest to them, complete and in a stable order, within one owner's rows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
from psycopg.sql import SQL, Composed, Identifier

from seemory.errors import UsageError
from seemory.store.ann_index import EXACT_ROWS
from seemory.store.connect import Database
from seemory.store.filters import Condition, conditions
from seemory.store.halfvec import Halfvec
from seemory.store.pairs import near_pairs
from seemory.store.rows import ITEM_COLUMNS, item_of
from seemory.types import Filter, Generation, Item, Kind, Neighbour, Vector, Vectors

_LARGEST_EF = 1000  # of hnsw.ef_search; a scan that must go on beyond it was seen to fall to recall 0.97
_TIES = 16  # rows fetched beyond the last wanted one, so that a tie there is seen
_REMEMBER_S = 30.0  # how long an owner's number of rows is believed; it only chooses the faster way

_CANDIDATES = """
FROM {table} v
JOIN seemory.item i ON i.owner_id = v.owner_id AND i.id = v.item_id
JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id
WHERE v.owner_id = %s AND v.embedding IS NOT NULL AND {conditions}"""

# The + 0 hides the distance from the index: every row is compared.
_EXACT = (
    "SELECT v.item_id, (v.embedding <=> %s) + 0 AS distance" + _CANDIDATES + " ORDER BY distance, v.item_id LIMIT %s"
)

# The scan is nearly in order, not quite: after its first ef_search rows a few came too late by 1e-5. The + 0 keeps the
# planner from believing it and from sorting only the ties.
_INDEXED = (
    "WITH near AS MATERIALIZED (SELECT v.item_id, v.embedding <=> %s AS distance"
    + _CANDIDATES
    + " ORDER BY v.embedding <=> %s LIMIT %s) SELECT item_id, distance FROM near ORDER BY distance + 0, item_id"
)

_WITH_ITEMS = f"""
SELECT 1 - near.distance, {ITEM_COLUMNS}
FROM unnest(%s::uuid[], %s::float8[]) WITH ORDINALITY AS near (item_id, distance, place)
JOIN seemory.item i ON i.owner_id = %s AND i.id = near.item_id
JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id
ORDER BY near.place"""

# Sorting is discouraged because the index gives the order already, and a sort would mean that it was not used.
_INDEX_SETTINGS = """
SELECT set_config('hnsw.iterative_scan', 'strict_order', true), set_config('hnsw.ef_search', %s, true),
       set_config('hnsw.max_scan_tuples', '100000', true), set_config('hnsw.scan_mem_multiplier', '8', true),
       set_config('enable_sort', 'off', true), set_config('enable_seqscan', 'off', true),
       set_config('enable_bitmapscan', 'off', true), set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true)"""


class Query:
    """Searches one owner's vectors."""

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self.owner = owner
        self._counted: dict[str, tuple[float, int]] = {}

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
        query = Halfvec(_checked(vector, generation))
        if limit <= 0:
            return []
        clause, values = _where(filters, kind, exclude, include_missing, also)
        with self._database.transaction(self.owner) as connection:
            wanted = limit + max(offset, 0)
            found = self._nearest(connection, generation, query, wanted, clause, values, exact)
            found = found[max(offset, 0) : wanted]
            if min_cosine is not None:
                found = [(item_id, distance) for item_id, distance in found if 1 - distance >= min_cosine]
            if not found:
                return []
            ids, distances = [item_id for item_id, _ in found], [distance for _, distance in found]
            rows = connection.execute(_WITH_ITEMS, [ids, distances, self.owner])
            return [Neighbour(item_of(tuple(item)), cosine) for cosine, *item in rows]

    def _nearest(
        self,
        connection: psycopg.Connection[Any],
        generation: Generation,
        query: Halfvec,
        wanted: int,
        clause: SQL | Composed,
        values: list[Any],
        exact: bool,
    ) -> list[tuple[UUID, float]]:
        """The first `wanted` (item id, distance), by the way that suits the number of rows that could be hits."""
        parts = {"table": Identifier("seemory", generation.table), "conditions": clause}
        fetch = wanted + _TIES
        if not exact and fetch <= _LARGEST_EF and self._many(connection, generation, clause, values):
            with connection.transaction(force_rollback=True):  # the settings end with this block
                connection.execute(_INDEX_SETTINGS, [str(max(64, fetch))])
                found = connection.execute(
                    SQL(_INDEXED).format(**parts), [query, self.owner, *values, query, fetch]
                ).fetchall()
            # Fewer than asked for: the scan gave up. A tie that reaches the end: which of its rows came is chance.
            if len(found) == fetch and found[wanted - 1][1] < found[-1][1]:
                return found
        return connection.execute(SQL(_EXACT).format(**parts), [query, self.owner, *values, wanted]).fetchall()

    def _many(
        self, connection: psycopg.Connection[Any], generation: Generation, clause: SQL | Composed, values: list[Any]
    ) -> bool:
        """Whether more rows could be hits than are worth comparing one by one."""
        table = Identifier("seemory", generation.table)
        now = time.monotonic()
        at, rows = self._counted.get(generation.table, (-_REMEMBER_S, 0))
        if now - at >= _REMEMBER_S:
            counted = SQL("SELECT count(*) FROM (SELECT FROM {} WHERE owner_id = %s LIMIT %s) AS counted").format(table)
            rows = (connection.execute(counted, [self.owner, EXACT_ROWS + 1]).fetchone() or (0,))[0]
            self._counted[generation.table] = now, rows
        if rows <= EXACT_ROWS or not values:
            return rows > EXACT_ROWS
        statement = SQL("SELECT count(*) FROM (SELECT " + _CANDIDATES + " LIMIT %s) AS counted")
        passing = connection.execute(
            statement.format(table=table, conditions=clause), [self.owner, *values, EXACT_ROWS + 1]
        ).fetchone()
        return (passing or (0,))[0] > EXACT_ROWS

    def vectors(self, generation: Generation, item_ids: Sequence[UUID]) -> dict[UUID, Vector]:
        """The stored vectors of those items that have one, `(d,)` float32."""
        statement = SQL(
            "SELECT item_id, embedding FROM {} WHERE owner_id = %s AND item_id = ANY (%s) AND embedding IS NOT NULL"
        ).format(Identifier("seemory", generation.table))
        with self._database.transaction(self.owner) as connection, connection.cursor(binary=True) as cursor:
            return dict(cursor.execute(statement, [self.owner, list(item_ids)]).fetchall())

    def cosines(self, generation: Generation, vector: Vector, item_ids: Sequence[UUID]) -> dict[UUID, float]:
        """The cosine of a query vector to each of those items that have one."""
        # The + 0 hides the distance from the index: every row that was asked for is compared.
        statement = SQL(
            "SELECT item_id, 1 - ((embedding <=> %s) + 0) FROM {} "
            "WHERE owner_id = %s AND item_id = ANY (%s) AND embedding IS NOT NULL"
        ).format(Identifier("seemory", generation.table))
        query = Halfvec(_checked(vector, generation))
        with self._database.transaction(self.owner) as connection:
            return dict(connection.execute(statement, [query, self.owner, list(item_ids)]).fetchall())

    def items(self, item_ids: Sequence[UUID]) -> dict[UUID, Item]:
        """Those of the items that there are."""
        ids = list(item_ids)
        with self._database.transaction(self.owner) as connection:
            rows = connection.execute(_WITH_ITEMS, [ids, [0.0] * len(ids), self.owner])
            return {item.item_id: item for item in (item_of(tuple(columns)) for _, *columns in rows)}

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

        Complete up to 20,000 vectors; beyond, each item's 20 nearest by the index are looked at. Files that are gone
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
        parts.append(SQL("v.item_id <> ALL (%s)"))
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
