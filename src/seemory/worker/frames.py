"""What goes over the pipes between a worker and its model's process: a small JSON document, and bytes behind it."""

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


def read_frame(stream: Readable) -> Frame | None:
    """The next frame; None where the stream ends, also where it ends in the middle of one."""
    head = _exactly(stream, _HEAD.size)
    if head is None:
        return None
    sizes = _HEAD.unpack(head)
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
