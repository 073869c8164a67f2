"""The fingerprint: two encoders may share a table of vectors exactly when theirs are equal."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import re
import tempfile
from dataclasses import asdict
from pathlib import Path
from threading import Lock

from seemory.models.folder import ModelFolder
from seemory.models.precision import Precision

# Raise it when code here changes vectors that the files and rules below would call the same.
_FORMAT = 1
INT8_RECIPE = "int8-1"
"""How 8-bit copies are made. A change of it makes other vectors, so it is in the fingerprint of an encoder in int8."""
# A tensor kept outside the model file: key "location" and the file's name, as ONNX's protobuf writes them.
_LOCATION = re.compile(rb"\n\x08location\x12(.)", re.DOTALL)


class Hashes:
    """sha256 of files, remembered by path, size and time of change in one small JSON file (or not at all)."""

    def __init__(self, cache: Path | None = None) -> None:
        self._cache = cache
        self._lock = Lock()
        self._known: dict[str, list[int | str]] = {}
        if cache is not None and cache.is_file():
            try:
                document = json.loads(cache.read_text(encoding="utf-8"))
                self._known = document if isinstance(document, dict) else {}
            except (OSError, ValueError):
                self._known = {}

    def sha256(self, path: Path) -> str:
        """The file's checksum in hexadecimal."""
        stat = path.stat()
        key, state = str(path.resolve()), [stat.st_size, stat.st_mtime_ns]
        with self._lock:
            known = self._known.get(key)
            if isinstance(known, list) and len(known) == 3 and known[:2] == state:
                return str(known[2])
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        with self._lock:
            self._known[key] = [*state, found]
            self._save()
        return found

    def _save(self) -> None:
        if self._cache is None:
            return
        try:
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=self._cache.parent, prefix=".hashes-", delete=False, encoding="utf-8"
            ) as file:
                json.dump(self._known, file)
            Path(file.name).replace(self._cache)
        except OSError:
            # A data folder that cannot be written only costs the time of hashing again.
            self._cache = None


def fingerprint(folder: ModelFolder, hashes: Hashes, precision: Precision = "fp32") -> str:
    """Hexadecimal sha256 over all that changes an output: weights, preprocessing, tokenizer, text rule, precision,
    normalisation. Neither the name, nor the path, nor the calibration, nor what runs it is part of it."""
    spec = folder.spec
    parts: dict[str, object] = {
        "format": _FORMAT,
        "dim": spec.dim,
        "precision": INT8_RECIPE if precision == "int8" else precision,
        "normalised": spec.normalised,
    }
    if folder.image_model is not None and spec.preprocess is not None:
        parts["image"] = {"weights": weights_of(folder.image_model, hashes), "preprocess": asdict(spec.preprocess)}
    if folder.text_model is not None and folder.tokenizer is not None and spec.text is not None:
        rule = asdict(spec.text)
        rule.pop("tokenizer")  # the kind is a word for people; the tokenizer itself is hashed
        parts["text"] = {
            "weights": weights_of(folder.text_model, hashes),
            "tokenizer": hashes.sha256(folder.tokenizer),
            "rule": rule,
        }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def weights_of(model: Path, hashes: Hashes) -> list[str]:
    """The checksums of a tower's file and of those that hold its larger tensors."""
    return [hashes.sha256(path) for path in (model, *external_files(model))]


def external_files(model: Path) -> list[Path]:
    """The files beside an ONNX model that hold its larger tensors, in the order of their names."""
    if all(path == model or path.suffix in (".json", ".txt", ".md") for path in model.parent.iterdir()):
        return []
    names = set()
    with model.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for match in _LOCATION.finditer(data):
            length = match[1][0]
            names.add(bytes(data[match.end() : match.end() + length]))
    paths = [model.parent / os.fsdecode(name) for name in sorted(names)]
    return [path for path in paths if path.is_file()]
