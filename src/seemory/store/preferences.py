"""What an owner wants searches to weigh, kept in the database, so that it holds wherever the owner works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psycopg.types.json import Jsonb

from seemory.store.connect import Database
from seemory.store.reading import Row

WEIGHTS = "SELECT weights FROM seemory.preference WHERE owner_id = %(owner)s"
_SAVE = """
INSERT INTO seemory.preference (owner_id, weights) VALUES (%s, %s)
ON CONFLICT (owner_id) DO UPDATE SET weights = excluded.weights, updated_at = excluded.updated_at"""


class Preferences:
    """One owner's saved channel weights."""

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self.owner = owner

    def weights(self) -> dict[str, float]:
        """The saved weights by channel; empty where none were saved."""
        with self._database.reading(self.owner) as reading:
            return weights_of(reading.rows(WEIGHTS, {"owner": self.owner}))

    def save(self, weights: Mapping[str, float]) -> None:
        """Keep these weights in place of those there were; none: forget them."""
        with self._database.transaction(self.owner) as connection:
            if weights:
                connection.execute(_SAVE, [self.owner, Jsonb(dict(weights))])
            else:
                connection.execute("DELETE FROM seemory.preference WHERE owner_id = %s", [self.owner])


def weights_of(rows: Sequence[Row]) -> dict[str, float]:
    """The weights by channel that the rows of `WEIGHTS` say; empty where none were saved."""
    return {str(name): float(weight) for (saved,) in rows for name, weight in saved.items()}
