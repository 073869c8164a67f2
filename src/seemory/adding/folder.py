"""Where the bytes of pictures are kept that were handed over: one file for the same bytes, each owner in a folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

from seemory.store.durable import sync_folder

_SUFFIXES: Final = {"JPEG": ".jpg", "TIFF": ".tif"}


class KeptFiles:
    """One owner's kept pictures, named by what is in them: `HOME/pictures/<owner>/<ab>/<sha256>.jpg`."""

    def __init__(self, home: Path, owner: str) -> None:
        """Nothing is made on disk yet. The owner's name may have any characters: its folder is called by a hash."""
        self._top = home / "pictures" / hashlib.sha256(owner.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def place(self, sha256: bytes, picture_format: str) -> Path:
        """Where a picture of these bytes is kept, be it there or not."""
        name = sha256.hex()
        return self._top / name[:2] / f"{name}{_SUFFIXES.get(picture_format, f'.{picture_format.lower()}')}"

    def keep(self, place: Path, content: bytes) -> None:
        """Have the bytes at that place, whole and on disk before this returns; nothing to do where they are."""
        if place.is_file():
            return
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = place.with_name(f"{place.name}.{uuid4().hex}")
        try:
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            new.replace(place)
            if os.name != "nt":  # Windows opens no folders
                sync_folder(place.parent)
        except BaseException:
            new.unlink(missing_ok=True)
            raise

    def has(self, uri: str) -> bool:
        """Whether a file is one of these, and not one of the user's own elsewhere."""
        return Path(uri).is_relative_to(self._top)

    def drop(self, uri: str, is_used: Callable[[], bool]) -> None:
        """Remove a kept file that no item uses any more.

        The same bytes may be handed over again at this very moment. So the file is set aside first and brought back if
        it is used by then; and who adds it looks, after its rows are committed, whether it is still there. Whichever
        comes last, the file of an item stays.
        """
        place = Path(uri)
        if not self.has(uri) or is_used():
            return
        aside = place.with_name(f"{place.name}.{uuid4().hex}")
        with suppress(FileNotFoundError):
            place.rename(aside)
            if is_used():
                aside.replace(place)
            else:
                aside.unlink()
