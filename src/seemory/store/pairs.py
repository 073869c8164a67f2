# ruff: noqa: S608 - statements are put together from this package's own constants; values are always parameters
"""Pairs of items that look alike."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import numpy as np
import psycopg
from psycopg.sql import SQL, Identifier

from seemory.store.ann_index import is_wide
from seemory.types import Generation

ALL_PAIRS = 50_000
"""Up to so many vectors every pair is compared (measured: docs/decisions.md)."""

_NEIGHBOURS = 20
_BLOCK = 2048

_PRESENT = """
FROM {table} v
JOIN seemory.item i ON i.owner_id = v.owner_id AND i.id = v.item_id
JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id
WHERE v.owner_id = %(owner)s AND v.embedding IS NOT NULL AND a.missing_at IS NULL"""

# Scenes of one film, and of films with the same bytes, are no pair; every picture is a film of its own here.
_FILM = "CASE i.kind WHEN 'scene' THEN coalesce(a.sha256, uuid_send(a.id)) ELSE uuid_send(i.id) END AS film"

_BY_INDEX = (
    "SELECT DISTINCT least(v.item_id, n.item_id) AS a, greatest(v.item_id, n.item_id) AS b, 1 - n.distance AS cosine "
    f"FROM (SELECT v.item_id, v.embedding, {_FILM}" + _PRESENT + ") v CROSS JOIN LATERAL ("
    f"SELECT n.item_id, n.embedding <=> v.embedding AS distance, {_FILM} " + "FROM {table} n "
    "JOIN seemory.item i ON i.owner_id = n.owner_id AND i.id = n.item_id "
    "JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id "
    "WHERE n.owner_id = %(owner)s AND n.embedding IS NOT NULL AND a.missing_at IS NULL "
    "ORDER BY n.embedding <=> v.embedding LIMIT %(neighbours)s) n "
    "WHERE n.item_id <> v.item_id AND n.film <> v.film AND n.distance <= 1 - %(threshold)s::float8 "
    "ORDER BY cosine DESC, a, b LIMIT %(limit)s"
)


def near_pairs(
    connection: psycopg.Connection[Any], owner: str, generation: Generation, threshold: float, limit: int
) -> list[tuple[UUID, UUID, float]]:
    """Pairs (a, b, cosine) with a < b and cosine >= threshold, highest first, at most `limit`."""
    table = Identifier("seemory", generation.table)
    names: dict[str, Any] = {"owner": owner}
    with connection.cursor(binary=True) as cursor:
        statement = SQL(f"SELECT v.item_id, v.embedding, {_FILM}" + _PRESENT + " ORDER BY v.item_id LIMIT %(most)s")
        most = None if is_wide(generation) else ALL_PAIRS + 1  # an index of beginnings says too little of a pair
        rows = cursor.execute(statement.format(table=table), names | {"most": most}).fetchall()
    if most is None or len(rows) < most:
        return _all_pairs(rows, threshold, limit)
    connection.execute(
        "SET LOCAL hnsw.iterative_scan = 'relaxed_order'; SET LOCAL hnsw.ef_search = 128; "
        "SET LOCAL enable_sort = on; SET LOCAL enable_seqscan = off"
    )
    names |= {"neighbours": _NEIGHBOURS + 1, "threshold": threshold, "limit": limit}
    return connection.execute(SQL(_BY_INDEX).format(table=table), names).fetchall()


def _all_pairs(rows: list[tuple[UUID, Any, bytes]], threshold: float, limit: int) -> list[tuple[UUID, UUID, float]]:
    if len(rows) < 2:
        return []
    ids, films = [item_id for item_id, _, _ in rows], [film for _, _, film in rows]
    vectors = np.stack([vector for _, vector, _ in rows])  # (n, d)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)  # halves are only nearly of norm 1
    pairs: list[tuple[UUID, UUID, float]] = []
    for start in range(0, len(ids), _BLOCK):
        cosines = vectors[start : start + _BLOCK] @ vectors[start:].T  # (block, n - start)
        square = cosines[:, : len(cosines)]
        square[np.tril_indices(len(square))] = -np.inf  # each pair once, none with itself
        first, second = np.nonzero(cosines >= threshold)
        found = [
            (ids[start + a], ids[start + b], min(1.0, float(cosines[a, b])))
            for a, b in zip(first.tolist(), second.tolist(), strict=True)
            if films[start + a] != films[start + b]
        ]
        pairs = sorted(pairs + found, key=lambda pair: (-pair[2], pair[0], pair[1]))[:limit]
    return pairs
