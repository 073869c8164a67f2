# ruff: noqa: S608 - statements are put together from this package's own constants; values are always parameters
"""The rows nearest to a vector, with their items: by the way that was chosen, and completely whatever was chosen.

An answer of the index is kept only where it is as long as was asked for and no tie reaches its end. Otherwise
the rows are compared one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from seemory.store import ann_index
from seemory.store.choice import CANDIDATES, LARGEST_EF, TIES, Ask, Choice, Way
from seemory.store.distribution import tells_workers
from seemory.store.halfvec import Halfvec

Row = tuple[Any, ...]
Found = tuple[Row, float]
"""What was wanted of an item (`Ask.columns`), and its cosine to the query."""
Observer = Callable[[Way, Composed, Sequence[Any]], None]

# Of what was asked for, a file marked as gone and an excluded item are left out here, too.
_WITH_ITEMS = """
SELECT near.distance, {place}, {columns}
FROM near
JOIN seemory.item i ON i.owner_id = %s AND i.id = near.item_id
JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id
WHERE {conditions}
ORDER BY near.distance + 0, near.item_id"""

_PLACE = SQL("near.place")
_COMPARED = SQL("(SELECT count(*) FROM near)")  # fewer than were asked for: there are no more rows

# The + 0 hides the distance from the index: every row is compared.
_ALL = (
    """
WITH near AS MATERIALIZED (
    SELECT v.item_id, (v.embedding <=> %s) + 0 AS distance
    {candidates} ORDER BY distance, v.item_id LIMIT %s)"""
    + _WITH_ITEMS
)

# Which rows pass is found without their vectors; only those are read.
_FILTER_FIRST = (
    """
WITH passing AS MATERIALIZED (
    SELECT array_agg(i.id) AS ids
    FROM seemory.item i JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id
    WHERE i.owner_id = %s AND {conditions}),
near AS MATERIALIZED (
    SELECT v.item_id, (v.embedding <=> %s) + 0 AS distance
    FROM {table} v
    WHERE v.owner_id = %s AND v.item_id = ANY ((SELECT ids FROM passing)::uuid[]) AND v.embedding IS NOT NULL
    ORDER BY distance, v.item_id LIMIT %s)"""
    + _WITH_ITEMS
)

# The scan is nearly in order, not quite, and a prefix's order is not the whole vectors': hence the second ORDER BY. Its
# + 0 keeps the planner from believing the first and from sorting only the ties.
_INDEXED = (
    """
WITH scanned AS MATERIALIZED (
    SELECT v.item_id, v.embedding <=> %s AS distance, {column} <=> %s AS before
    {candidates} ORDER BY {column} <=> %s LIMIT %s),
near AS MATERIALIZED (
    SELECT item_id, distance, row_number() OVER (ORDER BY before + 0) AS place
    FROM scanned ORDER BY distance + 0, item_id LIMIT %s)"""
    + _WITH_ITEMS
)

# Conditions that nearly every row meets are cheaper to look at afterwards, and again before if that left too few.
_UNFILTERED = "FROM {table} v WHERE v.owner_id = %s AND v.embedding IS NOT NULL"

# Sorting is discouraged because the index gives the order already, and a sort would mean that it was not used. That
# leaves one plan, which need not be made anew for each search (0.4 ms of some 3); a cluster must see the owner to know
# the shard, and plans each. The order is relaxed, because a strict one throws away what the next round of the scan
# finds nearer than the last one.
_INDEX_SETTINGS = """
SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('hnsw.ef_search', %s, true),
       set_config('hnsw.max_scan_tuples', %s, true), set_config('hnsw.scan_mem_multiplier', '32', true),
       set_config('enable_sort', 'off', true), set_config('enable_seqscan', 'off', true),
       set_config('enable_bitmapscan', 'off', true), set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true), set_config('plan_cache_mode', %s, true)"""
# The same for the workers of a cluster, who are told of SET LOCAL alone; one by one, as a pipeline wants them.
_ON_WORKERS = (
    "SET LOCAL hnsw.iterative_scan TO 'relaxed_order'", "SET LOCAL hnsw.ef_search TO {}",
    "SET LOCAL hnsw.max_scan_tuples TO {}", "SET LOCAL hnsw.scan_mem_multiplier TO 32", "SET LOCAL enable_sort TO off",
    "SET LOCAL enable_seqscan TO off", "SET LOCAL enable_bitmapscan TO off", "SET LOCAL enable_hashjoin TO off",
    "SET LOCAL enable_mergejoin TO off",
)  # fmt: skip
_USUAL_SETTINGS = """
SET LOCAL enable_sort TO DEFAULT; SET LOCAL enable_seqscan TO DEFAULT; SET LOCAL enable_bitmapscan TO DEFAULT;
SET LOCAL enable_hashjoin TO DEFAULT; SET LOCAL enable_mergejoin TO DEFAULT; SET LOCAL plan_cache_mode TO DEFAULT"""


def nearest(
    connection: psycopg.Connection[Any], owner: str, ask: Ask, choice: Choice, observe: Observer | None = None
) -> list[Found]:
    """The `ask.wanted` nearest, or fewer if no more meet the conditions; ties in the order of their ids.

    Args:
        connection: in a transaction of that owner.
        owner, ask, choice: what was asked, and the way to go.
        observe: is shown each statement under the settings it runs with, before it runs.
    """
    if choice.way == "index":
        for scanned, filtered in _rounds(ask, choice):
            found = _by_index(connection, owner, ask, choice, (scanned, filtered), observe)
            if _complete(found, scanned, ask):
                return _found(found, ask.wanted)
        connection.execute(_USUAL_SETTINGS)
    way: Way = "filter first" if choice.way == "filter first" else "all"
    return _found(_compared(connection, owner, ask, way, observe), ask.wanted)


def _rounds(ask: Ask, choice: Choice) -> Iterator[tuple[int, bool]]:
    """How many rows the index is asked for, and whether they must meet the conditions already there."""
    most = max(choice.scanned, ask.wanted + TIES)
    if not ann_index.is_wide(ask.generation):
        yield most, ask.filtered
        if not ask.filtered:
            yield most, True
    else:
        yield most, True
        if most < LARGEST_EF:
            yield LARGEST_EF, True


def _set(connection: psycopg.Connection[Any], ef: int, given_up: int) -> None:
    """The settings of a search by the index, until the transaction ends."""
    workers = tells_workers(connection)
    plans = "auto" if workers else "force_generic_plan"
    connection.execute(_INDEX_SETTINGS, [str(ef), str(given_up), plans])
    if workers:
        for setting, value in zip(_ON_WORKERS, (None, ef, given_up, *[None] * (len(_ON_WORKERS) - 3)), strict=True):
            connection.execute(SQL(setting).format(*([] if value is None else [value])))


def _by_index(
    connection: psycopg.Connection[Any],
    owner: str,
    ask: Ask,
    choice: Choice,
    how: tuple[int, bool],
    observe: Observer | None,
) -> list[Row]:
    scanned, filtered = how
    wide = ann_index.is_wide(ask.generation)
    query = Halfvec(ask.vector)
    place = Halfvec(ask.vector[: ann_index.PREFIX]) if wide else query
    table = Identifier("seemory", ask.generation.table)
    candidates = SQL(CANDIDATES if filtered else _UNFILTERED).format(table=table, conditions=ask.clause)
    statement = SQL(_INDEXED).format(
        candidates=candidates,
        conditions=ask.clause,
        place=_PLACE,
        columns=SQL(ask.columns),
        column=ann_index.indexed_column(ask.generation),
    )
    inner = ask.values if filtered else ()
    values = [query, place, owner, *inner, place, scanned, ask.wanted + TIES, owner, *ask.values]
    ef = min(LARGEST_EF, max(choice.ef_search, scanned if wide else ask.wanted + TIES))
    if observe is not None:
        _set(connection, ef, choice.given_up)
        observe("index", statement, values)
    with connection.cursor(binary=True) as cursor:
        with connection.pipeline():  # one round trip for both
            _set(connection, ef, choice.given_up)
            cursor.execute(statement, values)
        return cursor.fetchall()


def _complete(found: list[Row], scanned: int, ask: Ask) -> bool:
    """Whether the index's answer may stand."""
    if len(found) <= ask.wanted:
        return False  # the scan gave up, or there are no more: comparing all tells which
    if found[ask.wanted - 1][0] >= found[-1][0]:
        return False  # a tie reaches the end: which of its rows came is chance
    # A prefix that guides well puts what is wanted in front. If some of it came late, more of it lies behind.
    latest = max(place for _, place, *_ in found[: ask.wanted])
    return not ann_index.is_wide(ask.generation) or bool(latest <= scanned // 2)


def _compared(
    connection: psycopg.Connection[Any], owner: str, ask: Ask, way: Way, observe: Observer | None
) -> list[Row]:
    table, query = Identifier("seemory", ask.generation.table), Halfvec(ask.vector)

    def run(statement: str, values: Sequence[Any], **parts: Composed) -> list[Row]:
        composed = SQL(statement).format(
            table=table, conditions=ask.clause, columns=SQL(ask.columns), place=_COMPARED, **parts
        )
        if observe is not None:
            observe(way, composed, values)
        with connection.cursor(binary=True) as cursor:
            return cursor.execute(composed, values).fetchall()

    if way == "filter first":
        return run(_FILTER_FIRST, [owner, *ask.values, query, owner, ask.wanted, owner, *ask.values])
    if not ask.filtered:
        most = ask.wanted + TIES
        candidates = SQL(_UNFILTERED).format(table=table)
        found = run(_ALL, [query, owner, most, owner, *ask.values], candidates=candidates)
        if len(found) >= ask.wanted or (found and found[0][1] < most):  # enough, or the owner has no more rows
            return found
    candidates = SQL(CANDIDATES).format(table=table, conditions=ask.clause)
    return run(_ALL, [query, owner, *ask.values, ask.wanted, owner, *ask.values], candidates=candidates)


def _found(rows: list[Row], wanted: int) -> list[Found]:
    return [(tuple(item), 1 - distance) for distance, _, *item in rows[:wanted]]
