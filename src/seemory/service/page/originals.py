"""The file of an item, whole or in ranges, so that a film can be played from any second."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

from starlette.responses import FileResponse, Response

from seemory.memory import Memory
from seemory.service.refusals import Refused
from seemory.store.browsing import Browsing

_TYPES: Final = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "AVIF": "image/avif",
    "HEIC": "image/heic",
    "TIFF": "image/tiff",
    "MOV": "video/mp4",
    "MATROSKA": "video/webm",  # of which WebM is a part: browsers play what they can of both
    "OGG": "video/ogg",
}
_POLICY: Final = "default-src 'none'; sandbox"


def original(memory: Memory, item_id: UUID, roots: Sequence[Path] | None) -> Response:
    """The file, if it is the very one that was indexed: what lies at its path by now may be anybody's secret.

    With `roots`, only of what was uploaded or lies in these folders.

    Raises:
        Refused: there is no such item, or that file is not here any more, or nobody here has ever read it.
        ItemNotFound: it lies elsewhere.
    """
    if roots is not None:
        memory.original(item_id, roots=roots)
    found = Browsing(memory.database, memory.owner, memory.collection).original(item_id)
    if found is None:
        raise _gone(item_id)
    path = Path(found.path)
    try:
        state = path.stat()
    except (OSError, ValueError):
        raise _gone(item_id) from None
    if not stat.S_ISREG(state.st_mode) or (state.st_size, state.st_mtime_ns) != (found.bytes, found.mtime_ns):
        raise _gone(item_id)
    return FileResponse(
        path,
        media_type=_TYPES.get(found.format or "", "application/octet-stream"),
        headers={"Cache-Control": "private, max-age=3600", "Content-Security-Policy": _POLICY},
        stat_result=state,
    )


def _gone(item_id: UUID) -> Refused:
    return Refused(404, "OriginalNotFound", f"the file of item {item_id} is not here any more, or has changed since")
