"""Files of ready vectors: .npy, .parquet, .safetensors and clip-retrieval's folders, read in batches; parquet written.

clip-retrieval's layout (rom1504/clip-retrieval, `clip_inference`): `img_emb/img_emb_0.npy` with
`metadata/metadata_0.parquet`, a row each in the same order.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seemory.errors import UsageError

BATCH = 1024
VECTORS = ("vector", "embedding", "embeddings", "image_embedding", "img_emb", "clip_embedding")
IDS = ("item_id", "id", "image_id", "key")
PATHS = ("uri", "image_path", "path", "filepath", "url", "file_name")


@dataclass(frozen=True, slots=True)
class VectorRow:
    """What a file says of one vector."""

    id: str | None
    uri: str | None
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class VectorBatch:
    """`(n, d)` numbers as the file has them, and what it says of each; a row of NaN is one that it lacks."""

    vectors: NDArray[Any]
    rows: Sequence[VectorRow]


def read_vectors(path: Path, vector_column: str | None = None) -> Iterator[VectorBatch]:
    """The file's or folder's vectors, `BATCH` at a time.

    Args:
        path: `.npy`, `.parquet`, `.safetensors`, or a folder with `img_emb/` and `metadata/`.
        vector_column: the name of the column or tensor; by default one of the usual names.

    Raises:
        UsageError: it cannot be read, or has no vectors in it.
    """
    if not path.exists():
        raise UsageError(f"{path} does not exist")
    try:
        if path.is_dir():
            yield from _clip_retrieval(path)
        elif path.suffix == ".npy":
            yield from _numbered(_npy(path), path)
        elif path.suffix == ".parquet":
            yield from _parquet(path, vector_column)
        elif path.suffix == ".safetensors":
            yield from _safetensors(path, vector_column)
        else:
            raise UsageError(f"{path} is none of .npy, .parquet, .safetensors or a folder of clip-retrieval")
    except (OSError, ValueError, EOFError) as error:  # pyarrow's own errors are ValueErrors and OSErrors
        raise UsageError(f"{path} cannot be read: {error}") from error


def write_parquet(file: Path, pages: Iterable[tuple[Sequence[Mapping[str, Any]], NDArray[np.float32]]]) -> int:
    """How many rows were written: item_id, uri, kind, metadata (JSON) and vector; the file is whole or not there.

    Raises:
        UsageError: pyarrow is not installed, or the file cannot be written.
    """
    arrow, parquet = _module("pyarrow"), _module("pyarrow.parquet")
    partial = file.with_name(f".{file.name}.partial")
    writer, count = None, 0
    try:
        for rows, vectors in pages:
            flat = arrow.array(vectors.astype(np.float32).reshape(-1))
            columns = {name: [row[name] for row in rows] for name in ("item_id", "uri", "kind", "metadata")}
            columns["vector"] = arrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
            table = arrow.table(columns)
            writer = writer or parquet.ParquetWriter(partial, table.schema)
            writer.write_table(table)
            count += len(rows)
        if writer is None:
            raise UsageError("there are no vectors to export")
        writer.close()
        partial.replace(file)
        return count
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error}") from error
    finally:
        if writer is not None:
            writer.close()
        partial.unlink(missing_ok=True)


def _module(name: str) -> ModuleType:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"{name.partition('.')[0]} is not installed: pip install 'seemory[exchange]'") from error


def _npy(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return _matrix(array, path)


def _matrix(array: NDArray[Any], path: Path) -> NDArray[Any]:
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.shape[1] == 0 or array.dtype.kind not in "fiu":
        shape = getattr(array, "shape", None)
        raise UsageError(f"{path} holds no table of vectors: its shape is {shape}, and (rows, dimensions) is needed")
    return array


def _numbered(array: NDArray[Any], path: Path, ids: Sequence[Any] | None = None) -> Iterator[VectorBatch]:
    """Vectors whose file has no names for them are called after the file and their row."""
    for start in range(0, len(array), BATCH):
        part = np.asarray(array[start : start + BATCH])
        numbers = range(start, start + len(part))
        names = [(_text(ids[n]), None) if ids else (f"{path.name}#{n}",) * 2 for n in numbers]
        rows = [VectorRow(row_id, uri, {"row": n}) for (row_id, uri), n in zip(names, numbers, strict=True)]
        yield VectorBatch(part, rows)


def _safetensors(path: Path, name: str | None) -> Iterator[VectorBatch]:
    """One tensor; its ids are a JSON list under `ids` in the file's metadata, if there is one."""
    safetensors = _module("safetensors")
    try:
        with safetensors.safe_open(str(path), framework="numpy") as file:
            keys = [key for key in file.keys() if len(file.get_slice(key).get_shape()) == 2]  # noqa: SIM118
            wanted = [name] if name else [key for key in keys if key in VECTORS] or keys
            if len(wanted) != 1 or wanted[0] not in keys:
                raise UsageError(f"{path} has the tables {', '.join(keys) or '(none)'}: say which (--vectors NAME)")
            array = _matrix(file.get_tensor(wanted[0]), path)
            ids = json.loads((file.metadata() or {}).get("ids", "null"))
    except safetensors.SafetensorError as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    if ids is not None and (not isinstance(ids, list) or len(ids) != len(array)):
        raise UsageError(f"{path} has {len(array)} vectors, and its ids are not a list of as many")
    yield from _numbered(array, path, ids)


def _parquet(path: Path, name: str | None) -> Iterator[VectorBatch]:
    arrow, parquet = _module("pyarrow"), _module("pyarrow.parquet")
    with parquet.ParquetFile(path) as file:
        columns = file.schema_arrow.names
        found = [name] if name else [column for column in VECTORS if column in columns]
        if not found or found[0] not in columns:
            raise UsageError(f"{path} has the columns {', '.join(columns)}: say which are vectors (--vectors NAME)")
        for batch in file.iter_batches(BATCH):
            vectors = _from_arrow(arrow, batch.column(found[0]), path)
            yield VectorBatch(vectors, _rows(batch.drop_columns([found[0]]).to_pylist()))


def _from_arrow(arrow: ModuleType, column: Any, path: Path) -> NDArray[Any]:
    """`(n, d)` of a column of lists; a list of another length than most, or none, is a row of NaN."""
    kind = column.type
    lists = arrow.types.is_list(kind) or arrow.types.is_large_list(kind) or arrow.types.is_fixed_size_list(kind)
    inner = kind.value_type if lists else None
    if inner is None or not (arrow.types.is_floating(inner) or arrow.types.is_integer(inner)):
        raise UsageError(f"{path}: the vectors' column holds {kind}, and lists of numbers are needed")
    if len(column) and not column.null_count:  # the usual case, without a Python object for each row
        fixed = arrow.types.is_fixed_size_list(kind)
        sizes = np.full(1, kind.list_size) if fixed else np.diff(np.asarray(column.offsets))
        if (width := int(sizes[0])) and (sizes == width).all():
            flat = np.asarray(column.flatten())  # absent elements are NaN
            if flat.dtype != object:
                return flat.reshape(-1, width)
    lists_of = [None if value.values is None else np.array(value.values) for value in column]
    lengths = Counter(len(value) for value in lists_of if value is not None)
    width = lengths.most_common(1)[0][0] if lengths else 0
    matrix = np.full((len(lists_of), max(width, 1)), np.nan, np.float64)
    for row, value in enumerate(lists_of):
        if value is not None and len(value) == width:
            matrix[row] = value.astype(np.float64)
    return matrix


def _clip_retrieval(folder: Path) -> Iterator[VectorBatch]:
    parquet = _module("pyarrow.parquet")
    files = sorted((folder / "img_emb").glob("img_emb_*.npy"), key=lambda file: (len(file.name), file.name))
    if not files:
        raise UsageError(f"{folder} has no img_emb/img_emb_*.npy in it")
    for file in files:
        array, number = _npy(file), file.stem.removeprefix("img_emb_")
        table = folder / "metadata" / f"metadata_{number}.parquet"
        if not table.is_file():
            yield from _numbered(array, file)
            continue
        with parquet.ParquetFile(table) as metadata:
            if metadata.metadata.num_rows != len(array):
                raise UsageError(f"{file} has {len(array)} rows, and {table} {metadata.metadata.num_rows}")
            start = 0
            for batch in metadata.iter_batches(BATCH):
                rows = _rows(batch.to_pylist())
                yield VectorBatch(np.asarray(array[start : start + len(rows)]), rows)
                start += len(rows)


def _rows(documents: Sequence[dict[str, Any]]) -> list[VectorRow]:
    """Columns of the usual names are ids and paths, `metadata` is spread out, and all others are metadata too."""
    rows = []
    for document in documents:
        more = document.pop("metadata", None)
        if isinstance(more, str):
            try:
                more = json.loads(more)
            except ValueError:
                more = {"metadata": more}
        row_id = next((text for name in IDS if (text := _text(document.get(name)))), None)
        uri = next((text for name in PATHS if (text := _text(document.get(name)))), None)
        metadata = {key: value for key, value in document.items() if value is not None and key not in (*IDS, *PATHS)}
        rows.append(VectorRow(row_id, uri, metadata | (more if isinstance(more, dict) else {})))
    return rows


def _text(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return str(value).strip() or None
