"""What a job works on, kept in the data folder until it has ended: what was asked, and the files that were sent."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

from seemory.store.durable import sync_folder
from seemory.store.jobs import JobKind

_STRAY_S: Final = 3600
"""A folder without an order is of a request that is still sending, or of one that was killed: after so long, the
latter."""


@dataclass(frozen=True, slots=True)
class Order:
    """What one job is to do."""

    id: UUID
    owner: str
    collection: str
    kind: JobKind
    asked: Mapping[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    """What the client calls its files, in their order."""


class Orders:
    """The orders that are not done with: `HOME/jobs/<id>/order.json`, files beside it called by their number."""

    def __init__(self, home: Path) -> None:
        """Nothing is made on disk yet."""
        self._top = home / "jobs"

    def folder(self, job_id: UUID) -> Path:
        """Where the files of a job lie."""
        return self._top / str(job_id)

    def open(self) -> tuple[UUID, Path]:
        """A new job's id and its empty folder, for files to be put there. Raises OSError."""
        job_id = uuid4()
        folder = self.folder(job_id)
        folder.mkdir(mode=0o700, parents=True)
        return job_id, folder

    def file(self, job_id: UUID, number: int) -> Path:
        """The file of that number, from 0."""
        return self.folder(job_id) / f"{number:06d}"

    def write(self, order: Order) -> None:
        """Have the order on disk, whole, before this returns. Raises OSError."""
        folder = self.folder(order.id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = folder / "order.new"
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            json.dump(asdict(order), stream, default=str)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(folder / "order.json")
        if os.name != "nt":  # Windows opens no folders
            sync_folder(folder)

    def drop(self, job_id: UUID) -> None:
        """Nothing of it is on disk any more."""
        shutil.rmtree(self.folder(job_id), ignore_errors=True)

    def all(self) -> Iterator[tuple[Order, float]]:
        """Each order there is, and its age in seconds; what a kill has left behind half sent is removed."""
        try:
            folders = sorted(self._top.iterdir())
        except OSError:
            return
        for folder in folders:
            try:
                age = time.time() - folder.stat().st_mtime
                given = json.loads((folder / "order.json").read_text(encoding="utf-8"))
                given["names"] = tuple(given["names"])
                yield Order(**given | {"id": UUID(given["id"])}), age
            except FileNotFoundError:
                if folder.is_dir() and age > _STRAY_S:
                    shutil.rmtree(folder, ignore_errors=True)
            except (OSError, ValueError, KeyError, TypeError):
                continue
