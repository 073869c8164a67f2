"""Copies of large towers that are mapped into memory and not read: loaded in a quarter of the time, in half the room.

An ONNX file is read whole, parsed, optimised and its weights copied before the first pass. ONNX Runtime can write what
it has optimised with the weights in a file of their own, and that one it maps. The arithmetic is the same to the last
bit. A copy is of one machine and one release, since what is optimised depends on both, and may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from seemory.errors import ModelError
from seemory.models.fingerprint import Hashes, external_files, weights_of
from seemory.models.machine import machine_id
from seemory.models.session import OnnxSession

WORTH_IT = 32 << 20
"""Bytes of a tower from which a copy is kept: a smaller one loads in a tenth of a second anyhow."""

_MAKING = ".making-"
_LEFT_S = 6 * 3600
_STALE_S = 30 * 24 * 3600

Open = Callable[..., OnnxSession]
"""Opens a tower: its path, and how it is kept or was kept (`OnnxSession`'s `save` and `optimised`)."""


class MappedTowers:
    """Copies of ONNX towers in a folder, by the checksum of what they were made of."""

    def __init__(self, folder: Path, hashes: Hashes) -> None:
        self._folder = folder
        self._hashes = hashes

    def path(self, tower: Path) -> Path:
        """Where the tower's copy lies, made or not; another tower's, machine's or release's lies elsewhere."""
        return self._folder / f"{self._weights(tower)}-{machine_id()}" / "model.onnx"

    def session(self, tower: Path, open_tower: Open) -> OnnxSession:
        """The tower opened, from its copy where there is one; else a copy is kept of what was opened, if there is room.

        Whatever is wrong with a copy only costs the time that it would have saved. Raises what `open_tower` raises of
        the tower itself.
        """
        if sum(file.stat().st_size for file in (tower, *external_files(tower))) < WORTH_IT:
            return open_tower(tower)
        copy = self.path(tower)
        if copy.is_file():
            with suppress(ModelError):
                return open_tower(copy, optimised=True)
        shutil.rmtree(copy.parent, ignore_errors=True)  # what is damaged is made anew
        return self._opened_and_kept(tower, copy, open_tower)

    def _opened_and_kept(self, tower: Path, copy: Path, open_tower: Open) -> OnnxSession:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._sweep(tower)
            if shutil.disk_usage(self._folder).free < 4 * tower.stat().st_size:
                return open_tower(tower)
            making = Path(tempfile.mkdtemp(dir=self._folder, prefix=_MAKING))
        except OSError:  # a data folder that cannot be written
            return open_tower(tower)
        try:
            opened = open_tower(tower, save=making / copy.name)
            with suppress(OSError):  # no room, or another process was faster
                for file in making.iterdir():  # weights that a power cut lost would be zeros, and no error
                    _sync(file)
                making.rename(copy.parent)
            return opened
        except ModelError:
            return open_tower(tower)  # what is wrong is the copy; or else this says what is wrong with the tower
        finally:
            shutil.rmtree(making, ignore_errors=True)

    def _weights(self, tower: Path) -> str:
        return hashlib.sha256(" ".join(weights_of(tower, self._hashes)).encode()).hexdigest()[:32]

    def _sweep(self, tower: Path) -> None:
        """Remove what a killed process left half made, and old copies of this tower for other releases."""
        for pattern, age in ((f"{_MAKING}*", _LEFT_S), (f"{self._weights(tower)}-*", _STALE_S)):
            for path in self._folder.glob(pattern):
                with suppress(OSError):
                    if time.time() - path.stat().st_mtime > age:
                        shutil.rmtree(path, ignore_errors=True)


def _sync(file: Path) -> None:
    with file.open("rb+") as written:
        os.fsync(written.fileno())
