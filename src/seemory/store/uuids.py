"""Many ids → a `uuid[]` parameter, in one piece: made one by one they take longer than Postgres does to look them up.

On the wire (PostgreSQL `array_send`): dimensions, whether there are NULLs, the elements' type, length and lower bound
of the one dimension, then each element with its length before it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

_UUID, _UUID_ARRAY = 2950, 2951  # the same in every database


@dataclass(frozen=True, slots=True, eq=False)
class Uuids:
    """Ids on their way to a parameter."""

    ids: NDArray[np.uint8]
    """`(n, 16)`."""

    def __len__(self) -> int:
        return len(self.ids)


class UuidsDumper(Dumper):
    """Writes `Uuids`."""

    format = Format.BINARY
    oid = _UUID_ARRAY

    def dump(self, obj: Uuids) -> Buffer:
        """The binary form."""
        elements = np.empty(len(obj), np.dtype([("length", ">i4"), ("id", "u1", 16)]))
        elements["length"], elements["id"] = 16, obj.ids
        return struct.pack(">iiiii", 1, 0, _UUID, len(obj), 1) + elements.tobytes()
