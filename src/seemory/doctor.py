"""What works on this machine, what does not, and what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec as find_module
from typing import Literal

from seemory.errors import SeemoryError
from seemory.memory import Memory

LARGER = "for better answers: seemory reembed start --to vit-b-32-laion2b, then seemory reembed switch"
"""How to move up from the bundled encoder."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    mark: Literal["ok", "note", "fails"]
    says: str
    do: str | None = None


def examine(memory: Memory) -> list[Finding]:
    """Everything `seemory doctor` reports, in the order in which things depend on each other."""
    return [
        finding for look in (_machine, _home, _database, _encoder, _formats, _files) for finding in _try(look, memory)
    ]


def _try(look: Callable[[Memory], Iterator[Finding]], memory: Memory) -> list[Finding]:
    """A look's findings; an expected error becomes a finding, so that the later looks still happen."""
    found: list[Finding] = []
    try:
        found.extend(look(memory))
    except (SeemoryError, OSError) as error:
        found.append(Finding(look.__name__.strip("_"), "fails", str(error)))
    return found


def _machine(_: Memory) -> Iterator[Finding]:
    yield Finding(
        "machine",
        "ok",
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    )


def _home(memory: Memory) -> Iterator[Finding]:
    memory.home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(memory.home).free / 1e9
    if not os.access(memory.home, os.W_OK):
        yield Finding(
            "data folder", "fails", f"{memory.home} cannot be written", "set SEEMORY_HOME to a folder of yours"
        )
    elif free < 2:
        yield Finding(
            "data folder", "note", f"{memory.home}, only {free:.1f} GB free", "make room, or set SEEMORY_HOME"
        )
    else:
        yield Finding("data folder", "ok", f"{memory.home}, {free:,.0f} GB free")


def _database(memory: Memory) -> Iterator[Finding]:
    with memory.database.transaction(memory.owner) as connection:
        row = connection.execute(
            "SELECT current_setting('server_version'), (SELECT extversion FROM pg_extension WHERE extname = 'vector')"
        ).fetchone()
    assert row is not None
    says = f"PostgreSQL {row[0]} with pgvector {row[1]}"
    if memory.settings.database_url:
        yield Finding("database", "ok", f"server {says}")
        return
    from seemory.store.embedded.programs import newest
    from seemory.store.embedded.upgrade import bytes_in, kept_folders

    if int(row[0].split(".")[0]) < newest().major:
        do = f"seemory db upgrade moves it to PostgreSQL {newest().major}, before its programs go away"
        yield Finding("database", "note", f"embedded {says}", do)
    else:
        yield Finding("database", "ok", f"embedded {says}")
    for folder in kept_folders(memory.home):
        size = f"{bytes_in(folder) / 1e9:,.1f} GB"
        yield Finding("old data", "note", f"{folder}, {size}, kept by an upgrade", "seemory db upgrade --drop-old")


def _encoder(memory: Memory) -> Iterator[Finding]:
    import onnxruntime

    from seemory.models.loading import on_disk

    providers = ", ".join(onnxruntime.get_available_providers())
    yield Finding("runtime", "ok", f"ONNX Runtime {onnxruntime.__version__} ({providers})")
    name = memory.model_name
    if not on_disk(name, home=memory.home):
        yield Finding(
            "encoder", "note", f"{name}, not on disk yet", f"seemory models pull {name}, or let index fetch it"
        )
        return
    encoder = memory.encoder
    says = f"{encoder.name}, {encoder.dim} wide, fingerprint {encoder.fingerprint[:12]}"
    if encoder.name == "seemory-mini":
        yield Finding(
            "encoder",
            "note",
            f"{says}: the small bundled encoder",
            LARGER,
        )
    else:
        yield Finding("encoder", "ok", says)


def _formats(_: Memory) -> Iterator[Finding]:
    from PIL import features

    have = [name for name in ("jpg", "webp", "avif") if features.check(name)]
    have += ["heic"] if find_module("pi_heif") else []
    yield Finding("formats", "ok", "png, gif, tiff, bmp, " + ", ".join(have))
    if find_module("rawpy") is None:
        yield Finding("camera RAW", "note", "not installed", "pip install 'seemory[raw]'")


def _files(memory: Memory) -> Iterator[Finding]:
    bad = memory.errors(limit=3)
    if bad:
        examples = "; ".join(f"{uri}: {reason}" for uri, reason, _ in bad)
        yield Finding(
            "files",
            "note",
            f"some could not be used, for example {examples}",
            "mend them, then seemory index --retry-failed PATH",
        )
