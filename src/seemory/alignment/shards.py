"""Features on disk: safetensors files that are mapped, not read, each named by what it holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seemory.errors import UsageError

Array = NDArray[Any]

_KINDS = {"F16": np.float16, "F32": np.float32, "I64": np.int64, "I32": np.int32}


@dataclass(frozen=True, slots=True)
class Shard:
    """One file: its tensors, mapped; what each row is of; and what failed, with the reason."""

    path: Path
    contents: tuple[str, ...]
    failed: Mapping[str, str]
    tensors: Mapping[str, Array]


def shard_name(kind: str, maker: str, contents: Sequence[str]) -> str:
    """The file's name for these contents as that maker (a fingerprint, a layer) makes them: another name for others."""
    told = json.dumps([kind, maker, list(contents)])
    return f"{kind}-{hashlib.sha256(told.encode('utf-8', 'surrogatepass')).hexdigest()[:20]}.safetensors"


def write_shard(path: Path, tensors: Mapping[str, Array], contents: Sequence[str], failed: Mapping[str, str]) -> None:
    """The shard, whole or not there. Raises UsageError where it cannot be written."""
    save = _safetensors("safetensors.numpy").save_file
    partial = path.with_name(f".{path.name}.partial")
    metadata = {"contents": json.dumps(list(contents)), "failed": json.dumps(dict(failed))}
    try:
        save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, str(partial), metadata)
        partial.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def open_shard(path: Path, wanted: Iterable[str]) -> Shard:
    """The shard with the tensors of these names, mapped read-only.

    Raises:
        UsageError: it is no safetensors file, is cut short, or lacks a tensor or what its rows are of.
    """
    library = _safetensors("safetensors")
    try:
        with library.safe_open(str(path), framework="numpy") as file:  # checks every offset against the file's size
            said = file.metadata() or {}
            names = set(file.keys())
        contents, failed = json.loads(said["contents"]), json.loads(said["failed"])
        if missing := sorted(set(wanted) - names):
            raise UsageError(f"{path} lacks {', '.join(missing)}: make the features again")
        tensors = {name: tensor for name, tensor in _mapped(path).items() if name in set(wanted)}
    except (OSError, KeyError, ValueError, TypeError, RecursionError, library.SafetensorError) as error:
        raise UsageError(
            f"{path} is no shard of features ({type(error).__name__}: {error}): delete it and run `seemory align "
            "features` again"
        ) from error
    if not (isinstance(contents, list) and all(isinstance(one, str) for one in contents) and isinstance(failed, dict)):
        raise UsageError(f"{path} does not say what its rows are of: delete it and make the features again")
    return Shard(path, tuple(contents), failed, tensors)


def _mapped(path: Path) -> dict[str, Array]:
    """The tensors of a file that the library has found sound: 8 bytes of length, a JSON header, the numbers."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    found = {}
    for name, told in header.items():
        if name == "__metadata__":
            continue
        kind = _KINDS.get(told["dtype"])
        if kind is None:
            raise ValueError(f"{name} is of type {told['dtype']}")
        shape = tuple(told["shape"])
        begin = 8 + length + told["data_offsets"][0]
        empty = 0 in shape  # nothing to map
        found[name] = np.empty(shape, kind) if empty else np.memmap(path, kind, "r", begin, shape)
    return found


def _safetensors(name: str) -> ModuleType:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError("safetensors is not installed: pip install 'seemory[align]'") from error
