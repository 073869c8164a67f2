"""Which way a search goes: all rows compared, the filter first, or the index. Estimates choose, and cost no hits.

The planner's estimate comes first. It is worth little where a condition is opaque to it (a key of the metadata), so an
estimate of many rows is checked on a random sample before it is believed, and what was found is remembered for a while.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, LiteralString
from uuid import UUID

import numpy as np
import psycopg
from psycopg.sql import SQL, Composed, Identifier

from seemory.store import ann_index
from seemory.store.distribution import planned_rows
from seemory.store.rows import ITEM_COLUMNS
from seemory.types import Generation, Vector

Way = Literal["all", "filter first", "index", "resident"]

LARGEST_EF = 1000  # of hnsw.ef_search
SMALLEST_EF = 104
TIES = 6  # rows fetched beyond the last wanted one, so that a tie there is seen
_FILTER_FIRST_ROWS = 20_000  # where the index would have to look at too many rows for each that passes
_OUTSIDE_ROWS = 20_000  # where the wide beam that such a query needs is no cheaper than comparing all
_OUTSIDE_EACH = 9  # more rows that the index is asked for then, for each that is wanted
_TUNED_ROWS = (
    100_000  # in a table of so many the beams were measured; a larger one wants wider ones for the same recall
)
_INSIDE_GROWTH, _OUTSIDE_GROWTH = 0.76, 0.9  # by the table's rows to these powers, measured at ten times as many
_GIVEN_UP = 60_000  # rows after which a scan of the index is given up: one for words sees 17,000 in its first round
_REMEMBER_S = 30.0  # how long an owner's number of rows and a filter's share are believed
_CLOUD_S = 600.0
_SAMPLED = 400
_CLOUD = 200
_MOST_REMEMBERED = 256
_PREFIX_EACH = 8  # rows that the index of a prefix is asked for, for each that is wanted
_PREFIX_SCANNED = 200

CANDIDATES = """
FROM {table} v
JOIN seemory.item i ON i.owner_id = v.owner_id AND i.id = v.item_id
JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id
WHERE v.owner_id = %s AND v.embedding IS NOT NULL AND {conditions}"""

# Ids are random, so the rows after a random id are a random sample.
_SAMPLE = """
SELECT count(*), count(*) FILTER (WHERE {conditions})
FROM (SELECT owner_id, item_id FROM {table} WHERE owner_id = %s AND item_id >= %s ORDER BY item_id LIMIT %s) v
JOIN seemory.item i ON i.owner_id = v.owner_id AND i.id = v.item_id
JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id"""


@dataclass(frozen=True, slots=True)
class Ask:
    """One search: the vector, how many rows are wanted, and the conditions over `item i` and `asset a`."""

    generation: Generation
    vector: Vector
    wanted: int
    clause: SQL | Composed
    values: Sequence[Any]
    filtered: bool
    """Whether the conditions are more than those that nearly every row meets."""
    columns: LiteralString = ITEM_COLUMNS
    """What is wanted of each item: all of it, or `rows.ITEM_ID`."""
    resident: bool = False
    """Whether a copy of the vectors in this process may answer it: there are no conditions but kind and exclusions."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The way, why, and the figures that it was chosen by; a figure that was not needed is None."""

    way: Way
    reason: str
    owner_rows: int | None = None
    """Counted, up to one more than are compared one by one."""
    estimated_rows: int | None = None
    """Rows that could be hits, as Postgres's planner estimates them."""
    passing_share: float | None = None
    """Of a random sample of the owner's rows, the share that meets the conditions."""
    ef_search: int = 0
    """How wide the beam through the index's graph is."""
    scanned: int = 0
    """How many rows the index is asked for; they are sorted again."""
    given_up: int = _GIVEN_UP
    """After how many rows looked at the scan of the index is given up."""


@dataclass(frozen=True, slots=True)
class _Cloud:
    """Where an owner's vectors lie: the direction of their mean, and their least usual cosine to it."""

    direction: Vector
    least: float


class Chooser:
    """Chooses for one owner's searches."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._rows: dict[str, tuple[float, int]] = {}
        self._planned_rows: dict[str, tuple[float, int]] = {}
        self._tables: dict[str, tuple[float, int]] = {}
        self._figures: dict[str, tuple[float, int, float | None]] = {}
        self._clouds: dict[str, tuple[float, _Cloud | None]] = {}

    def choose(self, connection: psycopg.Connection[Any], ask: Ask) -> Choice:
        """The way for this search."""
        most = ann_index.EXACT_ROWS
        rows = self._count(connection, ask.generation)
        if rows <= most:
            return Choice("all", f"the owner has no more than {most:,} rows", rows)
        if ask.wanted + TIES > LARGEST_EF:
            way: Way = "filter first" if ask.filtered else "all"
            return Choice(way, f"more than {LARGEST_EF - TIES} rows are wanted, and the index gives no more", rows)
        share = None
        estimated = None
        if ask.filtered:
            estimated, share = self._passing(connection, ask)
            if estimated <= most:
                return Choice("filter first", "the planner expects few rows to pass", rows, estimated)
        inside = self._inside(connection, ask)
        total = self._planned(connection, ask.generation, SQL("true"), ())
        table = max(total, self._table(connection, ask.generation))
        larger = max(1.0, table / _TUNED_ROWS) ** (_INSIDE_GROWTH if inside else _OUTSIDE_GROWTH)
        ef = round(larger * max(SMALLEST_EF if inside else LARGEST_EF, 2 * (ask.wanted + TIES)))
        if share is None and not ann_index.is_wide(ask.generation):
            # Of what the index gives, only the owner's share counts, and comparing all costs the owner's rows alone.
            cheap = _OUTSIDE_ROWS * (1 if inside else 1 + (ask.wanted + TIES) / 100)
            most = round(cheap * ef / LARGEST_EF * table / max(total, 1))
            if total <= most:
                unlike = "" if inside else "the query is unlike all rows, and "
                return Choice("all", f"{unlike}the planner expects no more than {most:,}", rows, total)
        if share is not None:
            passing = round(share * total)
            few = round(_FILTER_FIRST_ROWS * (1.0 if inside else 1 + (ask.wanted + TIES) / 100))
            if passing <= most or (ef > share * LARGEST_EF and passing <= few):
                reason = f"of a sample {share:.1%} pass: some {passing:,} rows"
                return Choice("filter first", reason, rows, estimated, share)
            ef = round(ef / share)
        # More rows than one round of the scan gives make it take another round: of several, recall is that of a beam
        # several times as wide as pgvector allows.
        more = 0 if inside else round(larger * (LARGEST_EF + _OUTSIDE_EACH * (ask.wanted + TIES)))
        scanned = ask.wanted + TIES + round(more * (1.0 if share is None else share))
        if ann_index.is_wide(ask.generation):
            scanned = max(_PREFIX_SCANNED, _PREFIX_EACH * (ask.wanted + TIES))
        reason = "many rows could be hits, " + ("the query is like them" if inside else "the query is unlike them all")
        given_up = round(larger * _GIVEN_UP)
        return Choice("index", reason, rows, estimated, share, min(LARGEST_EF, ef), scanned, given_up)

    def _count(self, connection: psycopg.Connection[Any], generation: Generation) -> int:
        """The owner's rows, counted up to one more than are compared one by one."""
        now, most = time.monotonic(), ann_index.EXACT_ROWS
        at, rows = self._rows.get(generation.table, (-_REMEMBER_S, 0))
        if now - at >= _REMEMBER_S:
            counted = SQL("SELECT count(*) FROM (SELECT FROM {} WHERE owner_id = %s LIMIT %s) AS counted")
            statement = counted.format(Identifier("seemory", generation.table))
            rows = (connection.execute(statement, [self._owner, most + 1]).fetchone() or (0,))[0]
            self._rows[generation.table] = now, rows
        return rows

    def _passing(self, connection: psycopg.Connection[Any], ask: Ask) -> tuple[int, float | None]:
        """How many rows the planner expects to pass, and, where that is many, the share of a sample that does."""
        table = Identifier("seemory", ask.generation.table)
        key = repr((ask.generation.table, ask.clause.as_string(connection), ask.values))
        now = time.monotonic()
        if key in self._figures and now - self._figures[key][0] < _REMEMBER_S:
            return self._figures[key][1:]
        estimated, share = self._planned(connection, ask.generation, ask.clause, ask.values), None
        if estimated > ann_index.EXACT_ROWS:
            start = UUID(int=random.randrange(0xE0 << 120))  # noqa: S311 - a sample, not a secret
            statement = SQL(_SAMPLE).format(table=table, conditions=ask.clause)
            values = [*ask.values, self._owner, start, _SAMPLED]
            seen, passed = connection.execute(statement, values).fetchone() or (0, 0)
            share = passed / seen if seen else 0.0
        if len(self._figures) >= _MOST_REMEMBERED:
            self._figures.clear()
        self._figures[key] = now, estimated, share
        return estimated, share

    def _planned(
        self, connection: psycopg.Connection[Any], generation: Generation, clause: SQL | Composed, values: Sequence[Any]
    ) -> int:
        """How many rows the planner expects, remembered where there are no conditions."""
        now = time.monotonic()
        if not values and generation.table in self._planned_rows:
            at, expected = self._planned_rows[generation.table]
            if now - at < _REMEMBER_S:
                return expected
        statement = SQL("EXPLAIN (FORMAT JSON) SELECT" + CANDIDATES)
        table = Identifier("seemory", generation.table)
        row = connection.execute(statement.format(table=table, conditions=clause), [self._owner, *values]).fetchone()
        expected = planned_rows(row[0][0]["Plan"]) if row else 0
        if not values:
            self._planned_rows[generation.table] = now, expected
        return expected

    def _table(self, connection: psycopg.Connection[Any], generation: Generation) -> int:
        """All owners' rows in the table, whose graph a search walks, as Postgres last counted them."""
        now = time.monotonic()
        at, rows = self._tables.get(generation.table, (-_REMEMBER_S, 0))
        if now - at >= _REMEMBER_S:
            statement = "SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass"
            rows = (connection.execute(statement, [f"seemory.{generation.table}"]).fetchone() or (0,))[0]
            self._tables[generation.table] = now, rows
        return rows

    def _inside(self, connection: psycopg.Connection[Any], ask: Ask) -> bool:
        """Whether the query lies among the owner's vectors, as a picture does among pictures, and words do not.

        From outside all rows are nearly equally far, and a narrow beam through the graph finds few of the nearest.
        """
        table, now = ask.generation.table, time.monotonic()
        at, cloud = self._clouds.get(table, (-_CLOUD_S, None))
        if now - at >= _CLOUD_S:
            cloud = self._sampled_cloud(connection, ask.generation)
            self._clouds[table] = now, cloud
        if cloud is None:
            return True
        return float(ask.vector @ cloud.direction) >= cloud.least * float(np.linalg.norm(ask.vector))

    def _sampled_cloud(self, connection: psycopg.Connection[Any], generation: Generation) -> _Cloud | None:
        statement = SQL(
            "SELECT embedding FROM {} WHERE owner_id = %s AND item_id >= %s AND embedding IS NOT NULL "
            "ORDER BY item_id LIMIT %s"
        ).format(Identifier("seemory", generation.table))
        start = UUID(int=random.randrange(0xE0 << 120))  # noqa: S311 - a sample, not a secret
        with connection.cursor(binary=True) as cursor:
            found = cursor.execute(statement, [self._owner, start, _CLOUD]).fetchall()
        if len(found) < _CLOUD // 2:
            return None
        vectors = np.stack([vector for (vector,) in found])  # (n, d)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        mean = vectors.mean(axis=0)
        direction = mean / np.linalg.norm(mean)
        cosines = vectors @ direction
        return _Cloud(direction, float(cosines.mean() - 4 * cosines.std()))
