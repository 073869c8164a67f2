"""The decoding process, seen from inside: bytes of a picture file in, upright pixels out, nothing else within reach.

A decoder is code of strangers that strangers feed. What it may break here is this process: it has no settings in its
environment and a bound on its memory, and it can open neither files nor connections.
"""

from __future__ import annotations

import io
import os
import signal
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final

from seemory.child_process import own_streams
from seemory.errors import MediaError, MediaTooLarge
from seemory.framing import packed, read_frame

MOST_PIXELS: Final = 50_000_000
"""Of what is handed back: after shrinking, only a very long and narrow picture has more."""


def main() -> None:
    """Serve the process that started this one, until it closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C on a terminal reaches the whole group; the parent decides
    asked_of, told_to = own_streams()
    requests, answers = io.FileIO(asked_of, "rb", closefd=False), os.fdopen(told_to, "wb")
    first = read_frame(requests)
    if first is None:
        return
    from seemory.media import image  # after the first frame, so that a start costs its parent nothing

    _warm(image)
    _confine(first[0]["megabytes"])
    answers.write(packed({"ready": True}))
    answers.flush()
    while (frame := read_frame(requests)) is not None:
        document, payload = _decoded(image, frame[1], frame[0])
        answers.write(packed(document, payload))
        answers.flush()


def _decoded(image: Any, content: bytes, asked: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    try:
        picture = image.read_here(content, **asked)
        width, height = picture.image.size
        if width * height > MOST_PIXELS:
            raise MediaTooLarge(f"{width} x {height} pixels, a strip too long to be looked at; cut it into parts")
        facts = asdict(picture.facts)
        facts["taken_at"] = picture.facts.taken_at and picture.facts.taken_at.isoformat()
        pixels = picture.image.tobytes()
        return {"size": [width, height], "facts": facts, "pixels": len(pixels)}, pixels + picture.thumbnail
    except MediaError as error:
        return {"error": type(error).__name__, "message": str(error)}, b""
    except MemoryError:
        return {"error": "UnreadableMedia", "message": "decoding it needs more memory than is allowed"}, b""


def _warm(image: Any) -> None:
    """Decode something of each format: what is loaded late could not be loaded any more."""
    import pi_heif  # noqa: F401
    from PIL import Image

    Image.init()
    for kind in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "AVIF"):
        with suppress(Exception):  # a Pillow that cannot write it may read it all the same
            Image.new("RGB", (32, 32)).save(written := io.BytesIO(), kind)
            image.read_here(written.getvalue(), target=8, max_pixels=10_000)
    with suppress(Exception):  # it is no camera's file, and is tried for one all the same
        image.read_here(b"II*\x00" + bytes(512), suffix=".dng", target=8, max_pixels=10_000)


def _confine(megabytes: int) -> None:
    """Take away what decoding does not need. Windows has no such limits: there the time limit alone holds it."""
    with suppress(ImportError):
        import resource

        limits = {"RLIMIT_AS": megabytes * 1_000_000, "RLIMIT_NOFILE": 0, "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0}
        for name, most in limits.items():
            with suppress(AttributeError, ValueError, OSError):  # not every system has each of them
                kind = getattr(resource, name)
                hard = resource.getrlimit(kind)[1]
                bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
                resource.setrlimit(kind, (bound, bound))
