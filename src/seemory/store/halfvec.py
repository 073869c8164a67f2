"""float32 vectors ↔ pgvector's `halfvec`, in the binary form that COPY and parameters use.

On the wire: dimensions (int16), unused (int16), then the elements as big-endian IEEE half floats
(pgvector `src/halfvec.c`, `halfvec_send`). The type's number differs from database to database, so it is asked for
once and kept in the adapters that all connections share: no look-up per connection.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from psycopg import postgres
from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap, Dumper, Loader
from psycopg.pq import Format
from psycopg.types import TypeInfo

from seemory.store.uuids import Uuids, UuidsDumper
from seemory.types import Vector


@dataclass(frozen=True, slots=True)
class Halfvec:
    """A vector on its way to a `halfvec` parameter or column."""

    vector: Vector | NDArray[np.float16]


def as_texts(vectors: Sequence[Vector | None]) -> list[str | None]:
    """Vectors as pgvector writes them, halves exactly: for a parameter `%s::text[]::halfvec[]`."""
    return [
        None if vector is None else "[" + ",".join(map(str, np.asarray(vector, dtype=np.float16).tolist())) + "]"
        for vector in vectors
    ]


class _HalfvecDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Halfvec) -> Buffer:
        half = np.asarray(obj.vector, dtype=">f2")
        return struct.pack(">hh", half.shape[0], 0) + half.tobytes()


class _HalfvecLoader(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> Vector:
        return np.frombuffer(data, dtype=">f2", offset=4).astype(np.float32)


class _HalfvecTextLoader(Loader):
    def load(self, data: Buffer) -> Vector:
        return np.fromstring(bytes(data)[1:-1].decode(), sep=",", dtype=np.float32)


def halfvec_adapters(oid: int, array_oid: int) -> AdaptersMap:
    """psycopg's adapters with `halfvec` among them, given its numbers in this database."""
    adapters = AdaptersMap(postgres.adapters)
    adapters.types.add(TypeInfo("halfvec", oid, array_oid))
    dumper = type("_HalfvecDumper", (_HalfvecDumper,), {"oid": oid})
    adapters.register_dumper(Halfvec, dumper)
    adapters.register_loader(oid, _HalfvecLoader)
    adapters.register_loader(oid, _HalfvecTextLoader)
    adapters.register_dumper(Uuids, UuidsDumper)
    return adapters
