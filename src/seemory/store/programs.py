"""PostgreSQL's own programs: the wheel's, or the system's."""

from __future__ import annotations

import shutil

from seemory.errors import DatabaseUnreachable, StoreError
from seemory.store.embedded import binaries


def client_program(name: str, *, encrypted: bool = False) -> str:
    """The path of psql, pg_dump or pg_restore: the wheel's, or the system's where there is no wheel.

    Args:
        encrypted: whether it must speak TLS. The wheel's programs cannot: they would send in the clear what the
            library sends encrypted, or be refused.

    Raises:
        StoreError: it must speak TLS, and the system has none.
        DatabaseUnreachable: there is none at all.
    """
    found = shutil.which(name)
    if encrypted:
        if found is None:
            raise StoreError(
                f"this connection is encrypted, and the {name} that comes with Seemory cannot encrypt: install "
                f"PostgreSQL's client programs, of the server's version or newer (Debian: postgresql-client)"
            )
        return found
    try:
        return str(binaries() / name)
    except DatabaseUnreachable:
        if found is None:
            raise
        return found
