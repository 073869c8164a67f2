"""Who may change a collection's generations while who writes: many writers, or one operator.

Advisory locks, because Postgres queues them: an operator who waits for the writers in flight holds up those that come
after. With row locks (FOR SHARE against FOR UPDATE) a steady stream of writers could keep an operator waiting for ever.
"""

from __future__ import annotations

from typing import Any

import psycopg


def lock_for_writing(connection: psycopg.Connection[Any], collection: str) -> None:
    """Until the end of this transaction, the collection's generations and their states stay as they are."""
    connection.execute("SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 3))", [collection])


def lock_for_operating(connection: psycopg.Connection[Any], collection: str) -> None:
    """Until the end of this transaction, nobody writes to the collection and no other operator changes it."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 3))", [collection])
