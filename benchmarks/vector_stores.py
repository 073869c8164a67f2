"""Vector stores that a user could install instead, behind one face: vectors in, an index, rows out at a given effort.

Each is used as its own documentation shows it: in process, with a folder of its own, loaded from one parquet table of
id, path and vector. A store that was loaded into a folder is found there again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import clip_like
from seemory.types import Vectors

K = 10


@dataclass(frozen=True)
class Seconds:
    """What it took until all rows could be found by the index."""

    load: float
    index: float


class Store(Protocol):
    """One store, open for as long as the program runs."""

    name: str
    effort: str
    """What its effort is called; empty where it chooses by itself."""
    efforts: Sequence[int]
    """Rising; the usual one of the store is `usual`."""
    usual: int

    def load(self, table: Path) -> Seconds:
        """Bring in a parquet file and index it."""
        ...

    def search(self, vector: Any, effort: int) -> list[int]:
        """The ids of the K nearest by cosine."""
        ...

    def close(self) -> None:
        """Let go."""
        ...


class Lance:
    """LanceDB; `hnsw` is IVF_HNSW_SQ with its first rows ranked again by whole vectors, else what it makes unasked."""

    def __init__(self, folder: Path, *, hnsw: bool) -> None:
        import lancedb

        self.name = "LanceDB, IVF_HNSW_SQ refined" if hnsw else "LanceDB, its default index"
        self.effort = "ef" if hnsw else "nprobes, refine"
        self.efforts = (32, 64, 128, 256, 512, 1024, 2048) if hnsw else (10, 20, 40, 80, 160, 320)
        self.usual = 64 if hnsw else 20
        self._hnsw = hnsw
        self._database = lancedb.connect(folder)
        self._table = self._database.open_table("pictures") if (folder / "pictures.lance").exists() else None

    def load(self, table: Path) -> Seconds:
        start = time.perf_counter()
        self._table = self._database.create_table("pictures", pq.read_table(table))
        loaded = time.perf_counter()
        more = {"index_type": "IVF_HNSW_SQ"} if self._hnsw else {}
        self._table.create_index(metric="cosine", vector_column_name="vector", **more)
        return Seconds(loaded - start, time.perf_counter() - loaded)

    def search(self, vector: Any, effort: int) -> list[int]:
        assert self._table is not None
        query = self._table.search(vector).distance_type("cosine").limit(K).select(["id", "uri", "_distance"])
        # So many times as many candidates are ranked again by whole vectors.
        query = query.ef(effort).refine_factor(3) if self._hnsw else query.nprobes(effort).refine_factor(effort)
        return [int(number) for number in query.to_arrow()["id"].to_pylist()]

    def close(self) -> None:
        self._table = None


class Chroma:
    """Chroma's persistent client, telemetry off, its own index settings."""

    name = "Chroma"
    effort = "ef_search"
    efforts = (32, 64, 100, 200, 400, 800, 1600)
    usual = 100

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._now = 0
        self._open()

    def _open(self) -> None:
        import chromadb
        from chromadb.api.shared_system_client import SharedSystemClient

        SharedSystemClient.clear_system_cache()  # an index that is loaded keeps the effort it was loaded with
        client = chromadb.PersistentClient(str(self._folder), chromadb.Settings(anonymized_telemetry=False))
        self._collection = client.get_or_create_collection(
            "pictures", configuration={"hnsw": {"space": "cosine"}}, embedding_function=None
        )
        self._most = client.get_max_batch_size()

    def load(self, table: Path) -> Seconds:
        start = time.perf_counter()
        for batch in pq.ParquetFile(table).iter_batches(self._most):
            self._collection.add(
                ids=batch["id"].to_pylist(),
                embeddings=np.asarray(batch["vector"].flatten()).reshape(batch.num_rows, -1),
                metadatas=[{"uri": uri} for uri in batch["uri"].to_pylist()],
            )
        return Seconds(time.perf_counter() - start, 0.0)  # it indexes as it goes

    def search(self, vector: Any, effort: int) -> list[int]:
        if effort != self._now:
            self._collection.modify(configuration={"hnsw": {"ef_search": effort}})
            self._open()
            self._now = effort
        found = self._collection.query(query_embeddings=[vector], n_results=K, include=["metadatas"])
        return [int(number) for number in found["ids"][0]]

    def close(self) -> None:
        pass


class Usearch:
    """usearch: the index alone in this process, halves, with Seemory's m and ef_construction; ids and no rows."""

    name = "usearch, ids alone"
    effort = "expansion"
    efforts = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
    usual = 64

    def __init__(self, folder: Path) -> None:
        from usearch.index import Index

        self._file = folder / "pictures.usearch"
        self._index = Index(ndim=512, metric="cos", dtype="f16", connectivity=16, expansion_add=128)
        if self._file.exists():
            self._index.load(str(self._file))

    def load(self, table: Path) -> Seconds:
        start = time.perf_counter()
        read = pq.read_table(table)
        vectors = np.asarray(read["vector"].combine_chunks().flatten()).reshape(read.num_rows, -1)
        loaded = time.perf_counter()
        self._index.add(np.asarray(read["id"].to_pylist(), np.int64), vectors)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._index.save(str(self._file))
        return Seconds(loaded - start, time.perf_counter() - loaded)

    def search(self, vector: Any, effort: int) -> list[int]:
        self._index.expansion_search = effort
        return [int(number) for number in self._index.search(vector, K).keys]

    def close(self) -> None:
        pass


def table_of(vectors: Vectors, file: Path) -> Path:
    """The vectors in a parquet file: id (text), uri and vector."""
    numbers = range(len(vectors))
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    columns = {"id": [str(n) for n in numbers], "uri": [f"/photographs/IMG_{n:06}.jpg" for n in numbers]}
    pq.write_table(pa.table(columns | {"vector": lists}), file)
    return file


def queries(data: Path, several: int) -> tuple[Vectors, dict[str, Vectors]]:
    """Real pictures to blow up, and real queries that were set aside: photographs, captions, names of things."""
    real, per = clip_like.real(data), clip_like.NAMES
    names, captions = real.text_queries[:per], real.text_queries[per:]
    return real.images, {
        "photographs": real.image_queries[:several],
        "captions": captions[:: max(1, len(captions) // several)][:several],
        "names": names[:: max(1, len(names) // several)][:several],
    }


def right_answers(vectors: Vectors, asked: Vectors) -> list[set[int]]:
    """The K nearest of each, by plain arithmetic in float32."""
    cosines = asked @ vectors.T
    return [set(row[:K].tolist()) for row in np.argpartition(-cosines, K, axis=1)]


def recall(found: Sequence[Sequence[int]], right: Sequence[set[int]]) -> float:
    """The share of the right answers that was found."""
    return sum(len(set(a) & b) for a, b in zip(found, right, strict=True)) / K / len(right)
