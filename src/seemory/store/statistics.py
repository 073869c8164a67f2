# ruff: noqa: S608 - statements are put together from this package's own constants; values are always parameters
"""Counts and sizes of one owner's share of a collection."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from seemory.health import EmbeddingFigures, health
from seemory.store.generations import ANSWERS, ROLLED_OUT

_ASSETS = """
SELECT count(*), count(*) FILTER (WHERE missing_at IS NOT NULL), count(*) FILTER (WHERE error IS NOT NULL)
FROM seemory.asset a JOIN seemory.collection c ON c.id = a.collection_id
WHERE a.owner_id = %s AND c.name = %s"""

_KINDS = """
SELECT i.kind, count(*) FROM seemory.item i JOIN seemory.collection c ON c.id = i.collection_id
WHERE i.owner_id = %s AND c.name = %s GROUP BY i.kind ORDER BY i.kind"""

_REASONS = """
SELECT left(a.error, 200) AS reason, count(*) FROM seemory.asset a JOIN seemory.collection c ON c.id = a.collection_id
WHERE a.owner_id = %s AND c.name = %s AND a.error IS NOT NULL
GROUP BY reason ORDER BY count(*) DESC, reason LIMIT 100"""

_VECTORS = """
SELECT count(*) FILTER (WHERE v.embedding IS NOT NULL),
       count(*) FILTER (WHERE v.embedding IS NULL AND v.metadata ->> 'error' IS NOT NULL)
FROM {table} v WHERE v.owner_id = %s"""

_TIMES = """
SELECT avg(ms), percentile_disc(0.95) WITHIN GROUP (ORDER BY ms)
FROM (SELECT (metadata ->> 'inference_time_ms')::float8 AS ms FROM {table}
      WHERE owner_id = %s AND embedding IS NOT NULL AND jsonb_typeof(metadata -> 'inference_time_ms') = 'number'
     ) AS v"""

# As `seemory.telemetry.reason_of` names them.
_VECTOR_REASONS = """
SELECT CASE WHEN error LIKE 'Timeout%%' THEN 'Timeout' ELSE left(split_part(error, ':', 1), 60) END AS reason, count(*)
FROM (SELECT metadata ->> 'error' AS error FROM {table} WHERE owner_id = %s AND embedding IS NULL) AS v
WHERE error IS NOT NULL GROUP BY reason ORDER BY count(*) DESC, reason LIMIT 100"""

_SIZE = """
SELECT coalesce(sum(pg_table_size(t)), 0)::bigint, coalesce(sum(pg_indexes_size(t)), 0)::bigint
FROM unnest(%s::text[]) AS name, to_regclass(name) AS t"""


def collection_statistics(connection: psycopg.Connection[Any], owner: str, collection: str) -> dict[str, Any]:
    """The owner's counts (assets, items, by_kind, embedded, failed_vectors, errors by reason, failed, missing), and
    table_bytes and index_bytes, which all owners share; and `health`: how embedding went, by the stored records."""
    assets, missing, failed = connection.execute(_ASSETS, [owner, collection]).fetchone() or (0, 0, 0)
    by_kind = dict(connection.execute(_KINDS, [owner, collection]).fetchall())
    generations = connection.execute(
        f"SELECT g.table_name, {ANSWERS} FROM seemory.generation g JOIN seemory.collection c ON c.id = g.collection_id "
        f"{ROLLED_OUT} WHERE c.name = %(name)s AND g.channel = 'visual'",
        {"name": collection, "owner": owner},
    ).fetchall()
    embedded = failed_vectors = 0
    figures = EmbeddingFigures()
    for name, answers in generations:
        if answers:
            table = Identifier("seemory", name)
            statement = SQL(_VECTORS).format(table=table)
            embedded, failed_vectors = connection.execute(statement, [owner]).fetchone() or (0, 0)
            mean, p95 = connection.execute(SQL(_TIMES).format(table=table), [owner]).fetchone() or (None, None)
            reasons = dict(connection.execute(SQL(_VECTOR_REASONS).format(table=table), [owner]).fetchall())
            figures = EmbeddingFigures(embedded, reasons, None if mean is None else round(mean, 2), p95)
    tables = ["seemory.asset", "seemory.item", *(f"seemory.{name}" for name, _ in generations)]
    table_bytes, index_bytes = connection.execute(_SIZE, [tables]).fetchone() or (0, 0)
    return {
        "assets": assets,
        "items": sum(by_kind.values()),
        "by_kind": by_kind,
        "embedded": embedded,
        "failed_vectors": failed_vectors,
        "failed": failed,
        "errors": dict(connection.execute(_REASONS, [owner, collection]).fetchall()),
        "missing": missing,
        "health": health(figures, sum(count for kind, count in by_kind.items() if kind != "text")),
        "table_bytes": table_bytes,
        "index_bytes": index_bytes,
    }
