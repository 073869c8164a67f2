"""What goes over the pipes between a program and a process of its own: a small JSON document, and bytes behind it."""

from __future__ import annotations

import json
import struct
from typing import Any, Protocol

_HEAD = struct.Struct("<II")

Frame = tuple[dict[str, Any], bytes]


class Readable(Protocol):
    """A raw binary stream: a read may give less than was asked for, and gives nothing at the end."""

    def read(self, size: int, /) -> bytes | None:
        """Up to `size` bytes."""


def packed(document: dict[str, Any], payload: bytes = b"") -> bytes:
    """The bytes of one frame."""
    text = json.dumps(document).encode()
    return _HEAD.pack(len(text), len(payload)) + text + payload


def read_frame(stream: Readable, most: int | None = None) -> Frame | None:
    """The next frame; None where the stream ends, also where it ends in the middle of one.

    Where a frame announces more than `most` bytes, nothing of it is read, and that is the end as well.
    """
    head = _exactly(stream, _HEAD.size)
    if head is None:
        return None
    sizes = _HEAD.unpack(head)
    if most is not None and sum(sizes) > most:
        return None
    text, payload = _exactly(stream, sizes[0]), _exactly(stream, sizes[1])
    return None if text is None or payload is None else (json.loads(text), payload)


def _exactly(stream: Readable, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        part = stream.read(size - len(parts))
        if not part:
            return None
        parts += part
    return bytes(parts)
