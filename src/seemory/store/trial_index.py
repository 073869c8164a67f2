"""Indexes of every kind over vectors in a temporary table, to be measured: nobody else sees it, and it leaves nothing.

An index over fewer bits finds candidates, as many as `hnsw.ef_search`; the nearest of these by whole vectors are the
answer. The table lives for one transaction, and has no owner: it holds what its caller was given already.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from psycopg.sql import SQL, Composed
from psycopg.sql import Literal as Value

from seemory.errors import UsageError
from seemory.store.connect import Connection
from seemory.types import Vectors

Precision = Literal["float32", "halfvec", "binary"]

MOST_EF = 1000  # of pgvector
_WIDEST: dict[Precision, int] = {"float32": 2_000, "halfvec": 4_000, "binary": 64_000}
_WIDEST_STORED = 16_000
_IN_ROW = 1_900  # dimensions: as much of 4 bytes each as fits a page
_BUILD_MEMORY_MB = 512

# The index is what is measured: the planner is kept from comparing all rows, which with few rows would be quicker.
_SETTINGS = (
    "SET LOCAL enable_seqscan TO off; SET LOCAL enable_sort TO on; SET LOCAL enable_bitmapscan TO off; "
    "SET LOCAL hnsw.iterative_scan TO off; SET LOCAL plan_cache_mode TO force_generic_plan"
)


@dataclass(frozen=True, slots=True)
class IndexShape:
    """What an HNSW index is built of."""

    precision: Precision = "halfvec"
    m: int = 16
    ef_construction: int = 128
    prefix: int | None = None
    """So many of the first dimensions are indexed; None: all."""

    @property
    def reranks(self) -> bool:
        """Whether what it finds is ranked by whole vectors."""
        return self.precision == "binary" or self.prefix is not None

    def require(self, dim: int) -> None:
        """Raises UsageError where vectors of that width cannot be indexed so."""
        wide = dim if self.prefix is None else self.prefix
        if not 0 < wide <= dim:
            raise UsageError(f"a prefix of {wide} is not 1 to {dim}, the width of the vectors")
        if wide > _WIDEST[self.precision]:
            raise UsageError(
                f"an index of {self.precision} takes {_WIDEST[self.precision]:,} dimensions, and these have {wide:,}: "
                f"measure a --prefix, or another --precision"
            )
        if not 2 <= self.m <= 100 or not 2 * self.m <= self.ef_construction <= 1000:
            raise UsageError("pgvector takes an m of 2 to 100, and an ef_construction of twice that to 1,000")


@dataclass(frozen=True, slots=True)
class Answers:
    """What an index found."""

    places: NDArray[np.int64]
    """`(n, k)`: rows of the table, nearest first; -1 where it found fewer."""
    milliseconds: NDArray[np.float64]
    """`(n,)`: each query's, there and back."""


class TrialIndex:
    """Vectors under one index at a time, in a transaction that the caller holds."""

    def __init__(self, connection: Connection, vectors: Vectors) -> None:
        """Brings the `(n, d)` vectors in, row by row.

        Raises:
            UsageError: they are wider than can be stored.
        """
        self._connection = connection
        self._rows, self._dim = vectors.shape
        if self._dim > _WIDEST_STORED:
            raise UsageError(f"vectors of {self._dim:,} dimensions cannot be stored; {_WIDEST_STORED:,} can")
        storage = SQL("PLAIN" if self._dim <= _IN_ROW else "EXTERNAL")
        connection.execute(
            SQL(
                "CREATE TEMPORARY TABLE ann_trial (n integer NOT NULL, embedding vector({dim})) ON COMMIT DROP; "
                "ALTER TABLE ann_trial ALTER COLUMN embedding SET STORAGE {storage}"
            ).format(dim=Value(self._dim), storage=storage)
        )
        with connection.cursor().copy("COPY ann_trial (n, embedding) FROM STDIN (FORMAT binary)") as copy:
            copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
            for start in range(0, self._rows, 4096):
                copy.write(_copied(vectors[start : start + 4096], start))
            copy.write(b"\xff\xff")
        connection.execute("ANALYZE ann_trial")
        self._shape: IndexShape | None = None

    def build(self, shape: IndexShape) -> tuple[float, int]:
        """Seconds and bytes of an index of that shape, in place of the one before.

        Raises:
            UsageError: these vectors cannot be indexed so.
        """
        shape.require(self._dim)
        column, kind = self._column(shape), "bit_hamming_ops"
        if shape.precision != "binary":
            narrow = shape.precision == "halfvec" or shape.prefix is not None
            kind = "halfvec_cosine_ops" if narrow else "vector_cosine_ops"
        self._connection.execute("DROP INDEX IF EXISTS ann_trial_hnsw")
        self._connection.execute(f"SET LOCAL maintenance_work_mem = '{_BUILD_MEMORY_MB}MB'")
        start = time.perf_counter()
        self._connection.execute(
            SQL(
                "CREATE INDEX ann_trial_hnsw ON ann_trial USING hnsw (({}) {}) WITH (m = {}, ef_construction = {})"
            ).format(column, SQL(kind), Value(shape.m), Value(shape.ef_construction))
        )
        seconds = time.perf_counter() - start
        self._shape = shape
        row = self._connection.execute("SELECT pg_relation_size('ann_trial_hnsw')").fetchone()
        return seconds, 0 if row is None else int(row[0])

    def nearest(self, queries: Vectors, k: int, ef: int) -> Answers:
        """The `k` nearest to each of the `(n, d)` queries that the index finds with that `hnsw.ef_search`.

        Raises:
            UsageError: `ef` is less than `k`, or more than pgvector takes.
        """
        if not 0 < k <= ef <= MOST_EF:
            raise UsageError(f"an ef_search of {ef} is not between k ({k}) and {MOST_EF}")
        statement = self.statement(k, ef)
        self._connection.execute(_SETTINGS)
        self._connection.execute(SQL("SET LOCAL hnsw.ef_search TO {}").format(Value(ef)))
        places = np.full((len(queries), k), -1, np.int64)
        took = np.zeros(len(queries))
        for number, query in enumerate(queries):
            text = "[" + ",".join(map(repr, query.tolist())) + "]"
            start = time.perf_counter()
            found = self._connection.execute(statement, {"query": text}, prepare=True).fetchall()
            took[number] = 1000 * (time.perf_counter() - start)
            places[number, : len(found)] = [row for (row,) in found]
        return Answers(places, took)

    def statement(self, k: int, ef: int) -> Composed:
        """The search by the index that was built last, of a parameter `query`, a vector's text."""
        assert self._shape is not None
        shape = self._shape
        column, query = self._column(shape), self._asked(shape)
        if not shape.reranks:
            return SQL("SELECT n FROM ann_trial ORDER BY {} <=> {} LIMIT {}").format(column, query, Value(k))
        operator = SQL("<~>" if shape.precision == "binary" else "<=>")
        return SQL(
            "WITH near AS MATERIALIZED (SELECT n, embedding FROM ann_trial ORDER BY {} {} {} LIMIT {}) "
            "SELECT n FROM near ORDER BY embedding <=> %(query)s::vector, n LIMIT {}"
        ).format(column, operator, query, Value(ef), Value(k))

    def _column(self, shape: IndexShape) -> Composed:
        return _form(SQL("embedding"), shape, self._dim)

    def _asked(self, shape: IndexShape) -> Composed:
        return _form(SQL("%(query)s::vector"), shape, self._dim)


def _form(vector: SQL, shape: IndexShape, dim: int) -> Composed:
    """The vector as the index has it."""
    wide = Value(dim if shape.prefix is None else shape.prefix)
    part: SQL | Composed = vector
    if shape.prefix is not None:
        part = SQL("subvector({}, 1, {})").format(vector, wide)
    if shape.precision == "binary":
        return SQL("binary_quantize({})::bit({})").format(part, wide)
    kind = SQL("halfvec" if shape.precision == "halfvec" else "vector")
    return SQL("({})::{}({})").format(part, kind, wide)


def _copied(vectors: Vectors, start: int) -> bytes:
    """Rows in the form of a binary COPY: the number of fields, then each with its length (pgvector's `vector_recv`)."""
    dim = vectors.shape[1]
    row = np.dtype(
        [
            *(("fields", ">i2"), ("n_bytes", ">i4"), ("n", ">i4")),
            *(("bytes", ">i4"), ("dim", ">i2"), ("unused", ">i2"), ("vector", ">f4", (dim,))),
        ]
    )
    rows = np.zeros(len(vectors), row)
    rows["fields"], rows["n_bytes"], rows["bytes"], rows["dim"] = 2, 4, 4 + 4 * dim, dim
    rows["n"], rows["vector"] = np.arange(start, start + len(vectors)), vectors
    return rows.tobytes()
