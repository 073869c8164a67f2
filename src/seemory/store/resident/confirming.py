# ruff: noqa: S608 - statements are put together from this package's own constants; values are always parameters
"""Candidates that a copy named → the nearest rows as Postgres has them now: their cosines, their items, what is new.

In one statement: the candidates' rows by primary key, in the owner's own transaction, so that what was deleted or
belongs to another owner is not there; and all rows that were written since the copy was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg.sql import SQL, Composed, Identifier, Literal

from seemory.store.choice import Ask
from seemory.store.halfvec import Halfvec
from seemory.store.nearest import Found, Observer
from seemory.store.reading import Reading
from seemory.store.resident.reading import INCARNATION, Mark
from seemory.store.uuids import Uuids

MOST_RECENT = 5_000
"""Rows written since the copy was made that a search compares; with more, the copy is too old to be used."""

_STATEMENT = f"""
WITH recent AS MATERIALIZED (
    SELECT v.item_id, (v.embedding <=> %s) + 0 AS distance
    FROM {{table}} v WHERE v.owner_id = %s AND v.written >= %s::text::xid8 AND v.embedding IS NOT NULL LIMIT %s),
near AS MATERIALIZED (
    SELECT item_id, distance FROM (
        SELECT v.item_id, (v.embedding <=> %s) + 0 AS distance
        FROM {{table}} v
        WHERE v.owner_id = %s AND v.item_id = ANY (%s) AND v.written < %s::text::xid8 AND v.embedding IS NOT NULL
        UNION ALL SELECT item_id, distance FROM recent) AS compared
    ORDER BY distance, item_id LIMIT %s),
state AS MATERIALIZED (SELECT {INCARNATION} = %s AS same, (SELECT count(*) FROM recent) AS recent)
SELECT state.same, state.recent, found.*
FROM state LEFT JOIN LATERAL (
    SELECT near.distance, near.item_id, {{columns}}
    FROM near
    JOIN seemory.item i ON i.owner_id = %s AND i.id = near.item_id
    JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id
    WHERE {{conditions}} ORDER BY near.distance + 0, near.item_id LIMIT %s) AS found ON true
ORDER BY found.distance + 0, found.item_id"""

SETTINGS = """
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
       set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
       set_config('plan_cache_mode', 'force_generic_plan', true)"""
"""What a transaction has to begin with: every row is reached by a key, in one plan that is made once."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What Postgres says of candidates."""

    found: list[Found]
    """The nearest of the candidates and of what is new, best first, those that meet the conditions."""
    same: bool
    """Whether the copy is of this table and server still; if not, nothing here counts."""
    recent: int
    """Rows that were written since the copy was made, counted up to one more than are compared."""


def confirm(
    reading: Reading,
    owner: str,
    ask: Ask,
    mark: Mark,
    candidates: NDArray[np.uint8],
    *,
    limit: int,
    observe: Observer | None = None,
) -> Confirmed:
    """The nearest of the candidates and of what is new, at most `limit` before conditions are looked at.

    `candidates` is `(n, 16)`, item ids; the transaction begins with `SETTINGS`.
    """
    statement = _statement(ask.generation.table, ask.clause.as_string(), ask.columns)
    query, oldest = Halfvec(ask.vector), str(mark.oldest)
    values: list[Any] = [query, owner, oldest, MOST_RECENT + 1, query, owner, Uuids(candidates), oldest, limit]
    values += [mark.incarnation, owner, *ask.values, ask.wanted]
    if observe is not None:
        observe("resident", Composed([SQL(statement)]), values)
    rows = reading.rows(statement, values)
    same, recent, *_ = rows[0]
    found = [(tuple(item), 1 - distance) for _, _, distance, _, *item in rows if distance is not None]
    return Confirmed(found, same, recent)


@lru_cache(maxsize=256)
def _statement(table: str, conditions: str, columns: str) -> str:
    """Put together once: that takes longer than sending it."""
    named = {"table": Identifier("seemory", table), "name": Literal(f"seemory.{table}")}
    return SQL(_STATEMENT).format(conditions=SQL(conditions), columns=SQL(columns), **named).as_string()
