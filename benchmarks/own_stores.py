"""Seemory and bare pgvector as stores to compare (see vector_stores)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow.parquet as pq
from pgvector import HalfVector
from pgvector.psycopg import register_vector
from psycopg.sql import SQL, Identifier

from benchmarks.vector_stores import Seconds
from seemory.memory import Memory
from seemory.settings import read_settings
from seemory.store.connect import stop_embedded
from seemory.store.embedded.server import EmbeddedServer
from seemory.store.halfvec import Halfvec
from seemory.store.resident.shelf import SHELF


class Seemory:
    """`Memory.search`: a vector in, ten hits with their rows out; one transaction, held to one owner's rows."""

    name = "Seemory, Memory.search"
    effort = ""
    efforts: tuple[int, ...] = (0,)
    usual = 0

    def __init__(self, folder: Path) -> None:
        self._home = folder
        self.memory = Memory(read_settings(home=folder))
        self.memory.stats()  # starts the server

    def load(self, table: Path) -> Seconds:
        start = time.perf_counter()
        report = self.memory.import_vectors(table, model="clip-like", listen=lambda _: self._note())
        assert report.refused.total() == 0, report
        return Seconds(self._last - start, time.perf_counter() - self._last)

    def _note(self) -> None:
        self._last = time.perf_counter()  # after the last batch only counting and the index are left

    def search(self, vector: Any, effort: int) -> list[int]:  # noqa: ARG002 - it chooses by itself
        return [int(hit.metadata["import_id"]) for hit in self.memory.search(vector=vector, limit=10)]

    def settle(self, asked: Any) -> None:
        """Search until the program has its copy of the vectors."""
        for vector in asked[:5]:
            self.search(vector, 0)
        SHELF.wait()

    def close(self) -> None:
        self.memory.close()
        stop_embedded(self._home)


class SeemorySql:
    """The same table and index by one statement, without rows: what of the search's time is pgvector's."""

    name = "Seemory's table, bare SQL"
    effort = "ef_search"
    efforts = (40, 64, 104, 200, 400, 700, 1000)
    usual = 104

    def __init__(self, seemory: Seemory) -> None:
        memory = seemory.memory
        self._context = memory.database.transaction(memory.owner)
        self._connection = self._context.__enter__()
        self._now = 0
        rows = self._connection.execute(
            "SELECT i.id, (a.metadata ->> 'import_id')::int FROM seemory.item i "
            "JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id"
        )
        self._numbers = dict(rows.fetchall())
        [(table,)] = self._connection.execute(
            "SELECT table_name FROM seemory.generation WHERE state = 'live'"
        ).fetchall()
        self._statement = SQL("SELECT item_id FROM {} WHERE owner_id = {} ORDER BY embedding <=> %s LIMIT 10").format(
            Identifier("seemory", table), memory.owner
        )
        self._connection.execute("SET LOCAL hnsw.iterative_scan = relaxed_order; SET LOCAL enable_seqscan = off")
        self._connection.execute("SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off")

    def load(self, table: Path) -> Seconds:
        raise NotImplementedError(f"{table} is Seemory's to load")

    def search(self, vector: Any, effort: int) -> list[int]:
        if effort != self._now:
            self._connection.execute(f"SET LOCAL hnsw.ef_search = {effort}")
            self._now = effort
        rows = self._connection.execute(self._statement, [Halfvec(vector)])
        return [self._numbers[row] for (row,) in rows]

    def close(self) -> None:
        self._context.__exit__(None, None, None)


class Pgvector:
    """A bare table of halves in the same Postgres: COPY, then CREATE INDEX with the same m and ef_construction."""

    name = "pgvector, COPY and CREATE INDEX"
    effort = "ef_search"
    efforts = (40, 64, 104, 200, 400, 700, 1000)
    usual = 40

    def __init__(self, folder: Path) -> None:
        self._server = EmbeddedServer(folder)
        self._server.enter()
        self._connection = psycopg.connect(self._server.url(role="postgres"), autocommit=True)
        self._connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        register_vector(self._connection)
        self._now = 0

    def load(self, table: Path) -> Seconds:
        start = time.perf_counter()
        self._connection.execute("DROP TABLE IF EXISTS pictures")
        self._connection.execute("CREATE TABLE pictures (id int PRIMARY KEY, uri text, embedding halfvec(512))")
        with self._connection.cursor().copy("COPY pictures FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["int4", "text", "halfvec"])
            for batch in pq.ParquetFile(table).iter_batches(1024):
                vectors = np.asarray(batch["vector"].flatten()).reshape(batch.num_rows, -1)
                for number, uri, vector in zip(batch["id"].to_pylist(), batch["uri"].to_pylist(), vectors, strict=True):
                    copy.write_row((int(number), uri, HalfVector(vector)))
        self._connection.execute("ANALYZE pictures")
        loaded = time.perf_counter()
        self._connection.execute("SET maintenance_work_mem = '512MB'")
        self._connection.execute(
            "CREATE INDEX ON pictures USING hnsw (embedding halfvec_cosine_ops) WITH (m = 16, ef_construction = 128)"
        )
        return Seconds(loaded - start, time.perf_counter() - loaded)

    def search(self, vector: Any, effort: int) -> list[int]:
        if effort != self._now:
            self._connection.execute(f"SET hnsw.ef_search = {effort}")
            self._now = effort
        statement = "SELECT id, uri FROM pictures ORDER BY embedding <=> %s LIMIT 10"
        return [row[0] for row in self._connection.execute(statement, [HalfVector(vector)], prepare=True)]

    def close(self) -> None:
        self._connection.close()
        self._server.leave()
