# ruff: noqa: S608 - statements are put together from this package's own constants; values are always parameters
"""Keys that open the service: made once, shown once, kept as hashes."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Literal, get_args
from uuid import UUID, uuid4

from seemory.errors import UsageError
from seemory.store.connect import Connection, Database
from seemory.store.texts import clean

Scope = Literal["read", "write", "admin"]
"""What a key allows; each includes those before it."""

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

KEY_FORM: Final = re.compile(r"smy_[A-Za-z0-9_-]{43}")
"""How every key looks, so that logs and scanners for secrets can tell one."""

_LONGEST_OWNER: Final = 200
_COLUMNS = "owner_id, id, scope, created_at, revoked_at"


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key, which is not the key itself."""

    owner: str
    id: UUID
    scope: Scope
    created_at: datetime
    revoked_at: datetime | None

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return asdict(self)


class Keys:
    """The keys of all owners: an operator's to make, list and revoke."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, owner: str, scope: Scope) -> tuple[str, Key]:
        """A new key, which is nowhere else from now on, and what is known of it.

        Raises:
            UsageError: it is no name for an owner.
        """
        if not owner or clean(owner) != owner or len(owner) > _LONGEST_OWNER:
            raise UsageError(f"an owner's name has 1 to {_LONGEST_OWNER} characters of text, not {owner[:50]!r}")
        secret = f"smy_{secrets.token_urlsafe(32)}"
        with self._database.transaction(owner) as connection:
            row = connection.execute(
                "INSERT INTO seemory.api_key (owner_id, id, sha256, scope) VALUES (%s, %s, %s, %s) "
                f"RETURNING {_COLUMNS}",
                [owner, uuid4(), _hash(secret), scope],
            ).fetchone()
        assert row is not None
        return secret, Key(*row)

    def all(self) -> list[Key]:
        """Every owner's keys, also revoked ones, by owner and age."""
        with self._database.transaction(None) as connection:
            rows = _as_operator(connection, f"SELECT {_COLUMNS} FROM seemory.api_key ORDER BY owner_id, created_at, id")
        return [Key(*row) for row in rows]

    def find(self, secret: str) -> Key | None:
        """What is known of a key that somebody shows; None where there is no such key, or it was revoked."""
        if not KEY_FORM.fullmatch(secret):
            return None
        with self._database.transaction(None) as connection:
            rows = _as_operator(
                connection,
                f"SELECT {_COLUMNS} FROM seemory.api_key WHERE sha256 = %s AND revoked_at IS NULL",
                [_hash(secret)],
            )
        return Key(*rows[0]) if len(rows) == 1 else None

    def any(self) -> bool:
        """Whether there is a key that opens anything."""
        with self._database.transaction(None) as connection:
            return bool(_as_operator(connection, "SELECT FROM seemory.api_key WHERE revoked_at IS NULL LIMIT 1"))

    def revoke(self, name: str) -> Key:
        """The key of that id, or unique beginning of one, which opens nothing from now on.

        Raises:
            UsageError: there is none, or there are several.
        """
        meant = [key for key in self.all() if name and str(key.id).startswith(name.lower())]
        if len(meant) != 1:
            raise UsageError(f"{'several keys begin' if meant else 'no key begins'} with {name!r}: seemory keys list")
        (key,) = meant
        if key.revoked_at is not None:
            return key
        with self._database.transaction(key.owner) as connection:
            row = connection.execute(
                f"UPDATE seemory.api_key SET revoked_at = now() WHERE owner_id = %s AND id = %s RETURNING {_COLUMNS}",
                [key.owner, key.id],
            ).fetchone()
        assert row is not None
        return Key(*row)


def _hash(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def _as_operator(connection: Connection, statement: str, values: Sequence[object] = ()) -> list[Any]:
    connection.execute("SET LOCAL seemory.operator TO 'on'")
    rows = connection.execute(statement, values).fetchall()
    connection.execute("SET LOCAL seemory.operator TO ''")
    return rows
