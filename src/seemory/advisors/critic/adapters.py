"""Adapters on disk: a folder for each owner, each adapter in one named after its content, and nothing else loaded."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

WEIGHTS: Final = "adapter_model.safetensors"
CONFIG: Final = "adapter_config.json"

_NAME: Final = re.compile(r"[a-z0-9]{1,32}-[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter that an advisor has."""

    name: str
    """Of its folder, and under which a server has it: letters of the advisor's, and the beginning of `sha256`."""
    base: str
    """The model it was made for."""
    sha256: str
    """Of its two files."""
    made_at: str
    examples: int

    def as_json(self) -> dict[str, Any]:
        """As it is stored and shown."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | None) -> Adapter | None:
        """The adapter that such a document is of; None for what is none."""
        try:
            return None if document is None else cls(**document)
        except TypeError:
            return None


class AdapterProblem(Exception):
    """An adapter cannot be used; the message says why."""


class AdapterFolders:
    """The adapters of one owner. No other folder is ever read or removed."""

    def __init__(self, home: Path, owner: str) -> None:
        """Nothing is made yet."""
        whose = hashlib.sha256(owner.encode()).hexdigest()[:24]
        self.root = home / "adapters" / whose
        """Where they lie."""
        self.work = home / "adapters" / whose / "training"
        """Where unfinished ones lie."""
        self._seen: dict[str, tuple[tuple[int, int], str]] = {}

    def folder(self, adapter: Adapter) -> Path:
        """Where its files are, which are those that were made.

        Raises:
            AdapterProblem: they are not there, lie elsewhere, or were changed.
        """
        folder = self._named(adapter.name)
        if folder.is_symlink() or not all((folder / name).is_file() for name in (WEIGHTS, CONFIG)):
            raise AdapterProblem(f"the files of the adapter {adapter.name} are not on this machine")
        if {path.name for path in folder.iterdir()} - {WEIGHTS, CONFIG, "README.md"}:
            raise AdapterProblem(f"there is more in the folder of the adapter {adapter.name} than was made")
        if any(path.is_symlink() for path in folder.iterdir()) or self._digest(folder) != adapter.sha256:
            raise AdapterProblem(f"the files of the adapter {adapter.name} were changed: train it again")
        return folder

    def keep(self, made: Path, advisor: str) -> tuple[str, str]:
        """(name, sha256) of the adapter in that folder, which is moved to its place."""
        sha256 = digest(made)
        letters = re.sub(r"[^a-z0-9]", "", advisor.lower())[:32] or "adapter"
        name = f"{letters}-{sha256[:16]}"
        place = self._named(name)
        if place.exists():  # trained before, to the same weights
            shutil.rmtree(place)
        self.root.mkdir(parents=True, exist_ok=True)
        made.rename(place)
        return name, sha256

    def remove(self, adapter: Adapter) -> None:
        """Delete its files, if they are there."""
        folder = self._named(adapter.name)
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)

    def _named(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise AdapterProblem("the adapter's name is none that was given here")
        return self.root / name

    def _digest(self, folder: Path) -> str:
        """Of its files; weights that look untouched are not read again."""
        facts = (folder / WEIGHTS).stat()
        stamp = facts.st_size, facts.st_mtime_ns
        known = self._seen.get(folder.name)
        if known is None or known[0] != stamp:
            known = self._seen[folder.name] = stamp, digest(folder)
        return known[1]


def digest(folder: Path) -> str:
    """SHA-256 over an adapter's configuration and weights."""
    total = hashlib.sha256((folder / CONFIG).read_bytes())
    with (folder / WEIGHTS).open("rb") as stream:
        while part := stream.read(1 << 20):
            total.update(part)
    return total.hexdigest()
