"""A roll-out by owner: for whom another generation answers than the live one, and who is chosen by a share of all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from seemory.store.connect import Database
from seemory.types import Generation


def in_share(owner: str, percent: float) -> bool:
    """Whether an owner is among the first so many percent: always the same ones, and those of 10 are among those of 25.

    The order is by a hash of the name, which has nothing to do with the alphabet or with how much an owner has.
    """
    place = int.from_bytes(hashlib.sha256(owner.encode("utf-8", "surrogatepass")).digest()[:8], "big") / 2**64
    return place < percent / 100


def rolled_out(connection: psycopg.Connection[Any], generation: Generation) -> list[str]:
    """The owners that the generation answers for though it is not the live one, in order."""
    with _as_operator(connection):
        rows = connection.execute(
            "SELECT owner_id FROM seemory.rollout WHERE generation_id = %s ORDER BY owner_id", [generation.id]
        ).fetchall()
    return [owner for (owner,) in rows]


def roll_out(connection: psycopg.Connection[Any], generation: Generation, owners: Sequence[str]) -> None:
    """From the end of this transaction on, the generation answers for these owners."""
    with _as_operator(connection):
        connection.execute(
            """
            INSERT INTO seemory.rollout (owner_id, collection_id, channel, generation_id)
            SELECT name, g.collection_id, g.channel, g.id FROM seemory.generation g, unnest(%s::text[]) AS name
            WHERE g.id = %s
            ON CONFLICT (owner_id, collection_id, channel) DO UPDATE SET generation_id = excluded.generation_id""",
            [list(owners), generation.id],
        )


def take_back(connection: psycopg.Connection[Any], generation: Generation, owners: Sequence[str] | None = None) -> None:
    """From the end of this transaction on, the live generation answers for these owners, or for everybody."""
    with _as_operator(connection):
        connection.execute(
            "DELETE FROM seemory.rollout WHERE generation_id = %s AND (%s::text[] IS NULL OR owner_id = ANY (%s))",
            [generation.id, owners, owners],
        )


def list_rolled_out(database: Database, generation: Generation) -> list[str]:
    """`rolled_out` in a transaction of its own."""
    with database.transaction(None) as connection:
        return rolled_out(connection, generation)


@contextmanager
def _as_operator(connection: psycopg.Connection[Any]) -> Iterator[None]:
    connection.execute("SET LOCAL seemory.operator TO 'on'")
    yield
    connection.execute("SET LOCAL seemory.operator TO ''")
