"""One file from a model hub to the disk: carried on where it was cut, and checked before it counts."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from seemory.errors import ModelCorrupt, ModelError, ModelUnavailable

_NO_ROOM = frozenset({errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)})
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP answers after which the same request may well succeed."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a hub, and how often to ask again. Seconds throughout."""

    attempts: int = 5
    """Tries in a row that bring nothing new; a try that brought bytes starts the count again."""
    first_pause_s: float = 0.5
    """Doubled after each fruitless try, up to eight seconds."""
    connect_s: float = 10.0
    silence_s: float = 20.0
    """How long a connection may say nothing."""
    listing_s: float = 30.0
    """Wall time for one question about a repository, name resolution included."""

    def pause(self, failures: int, wish: float | None = None) -> None:
        """Wait before the next try; `wish` is what the server asked for with Retry-After."""
        time.sleep(min(30.0, wish) if wish is not None else min(8.0, self.first_pause_s * 2 ** (failures - 1)))

    def timeouts(self) -> tuple[float, float, float, float]:
        """The same limits as the four timeouts of an HTTP client: connect, read, write, pool."""
        return (self.connect_s, self.silence_s, self.silence_s, self.connect_s)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as a hub lists it. `digest` is a sha256 (64 hex digits) or a git blob id (40 hex digits)."""

    path: str
    url: str
    size: int
    digest: str


def transport_error() -> type[BaseException]:
    """The base of everything the hub's HTTP client raises: huggingface_hub 1 stands on httpx, 2 on httpx2."""
    from huggingface_hub.errors import HfHubHTTPError

    base: type[BaseException] = next(base for base in HfHubHTTPError.__mro__ if base.__name__ == "HTTPError")
    return base


def digests(path: Path) -> tuple[str, str]:
    """The sha256 and the git blob id (sha1 over a header with the size, then the content) of a file, as hex."""
    sha256 = hashlib.sha256()
    # Git's own content address, which the hub gives for files outside LFS; it guards against accidents, not attacks.
    blob = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            sha256.update(chunk)
            blob.update(chunk)
    return sha256.hexdigest(), blob.hexdigest()


def verified(path: Path, file: RemoteFile) -> str | None:
    """The sha256 of the file on disk if it has the size and the digest that the hub promised, or else None."""
    if not path.is_file() or path.stat().st_size != file.size:
        return None
    sha256, blob = digests(path)
    return sha256 if file.digest in (sha256, blob) else None


@contextlib.contextmanager
def clear_about_room(folder: Path) -> Iterator[None]:
    """Turn "no space left" into a sentence that says where."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise ModelError(f"no room left under {folder}: free some space and run the same command again") from error
        raise


def fetch(
    file: RemoteFile, folder: Path, headers: Mapping[str, str], patience: Patience, on_bytes: Callable[[int], None]
) -> str:
    """Bring `file` under `folder` and return its sha256.

    Bytes are gathered in `NAME.part`, which a later call carries on; the name appears only when size and digest are
    right. `on_bytes` hears how many bytes of the file are on disk. A file with the wrong digest is deleted and fetched
    once more.

    Raises `ModelCorrupt` when the second copy is wrong too, `ModelUnavailable` when the hub stops answering, and
    `ModelError` when the disk is full.
    """
    target = folder / file.path
    part = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    sha256 = verified(target, file)
    for _copy in range(2):
        if sha256 is not None:
            break
        _gather(file, part, headers, patience, on_bytes)
        if (sha256 := verified(part, file)) is not None:
            part.replace(target)
        else:
            part.unlink(missing_ok=True)
    if sha256 is None:
        raise ModelCorrupt(f"{file.path} arrived twice with the wrong checksum from {file.url}: expected {file.digest}")
    on_bytes(file.size)
    return sha256


def _gather(
    file: RemoteFile, part: Path, headers: Mapping[str, str], patience: Patience, on_bytes: Callable[[int], None]
) -> None:
    """Bring `part` to the full size, through as many connections as it takes."""
    failures, furthest = 0, part.stat().st_size if part.exists() else 0
    while (have := part.stat().st_size if part.exists() else 0) < file.size:
        on_bytes(have)
        reason, wish = _one_connection(file, part, have, headers, patience, on_bytes)
        now = part.stat().st_size if part.exists() else 0
        # Only new ground counts: a server that ignores Range and always cuts at the same byte makes no progress.
        failures = 0 if now > furthest else failures + 1
        furthest = max(furthest, now)
        if now < file.size:
            if failures >= patience.attempts:
                raise ModelUnavailable(
                    f"{file.path} could not be fetched from {file.url}: {reason}; "
                    f"{now:,} of {file.size:,} bytes are kept, the same command carries on from there"
                )
            patience.pause(max(1, failures), wish)
    if not part.exists():  # an empty file needs no connection
        part.touch()


def _one_connection(
    file: RemoteFile,
    part: Path,
    have: int,
    headers: Mapping[str, str],
    patience: Patience,
    on_bytes: Callable[[int], None],
) -> tuple[str, float | None]:
    """Append what one connection gives; return why it ended, and after how many seconds the server wants the next."""
    from huggingface_hub import get_session

    # "identity": a compressed answer would make byte offsets meaningless.
    asking = {**headers, "Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with get_session().stream(
            "GET", file.url, headers=asking, timeout=patience.timeouts(), follow_redirects=True
        ) as answer:
            if answer.status_code == 416:  # the partial file is no beginning of this file
                part.unlink(missing_ok=True)
                return "the server refused to carry on (416)", None
            if answer.status_code in PASSING:
                return f"the server answered {answer.status_code}", retry_after(answer.headers)
            if answer.status_code not in (200, 206):
                hint = (
                    ": ask for access on the model's page and set HF_TOKEN" if answer.status_code in (401, 403) else ""
                )
                raise ModelUnavailable(f"{file.url} answered {answer.status_code}{hint}")
            start = have if answer.headers.get("Content-Range", "").startswith(f"bytes {have}-") and have else 0
            with clear_about_room(part.parent), part.open("ab" if start else "wb") as out:
                # In pieces as they arrive: with a chunk size, a cut would lose what is gathered of the last chunk.
                for chunk in answer.iter_raw():
                    start += len(chunk)
                    if start > file.size:
                        # Longer than promised: keep nothing beyond, the digest decides over the rest.
                        out.write(chunk[: file.size - start])
                        break
                    out.write(chunk)
                    on_bytes(start)
                out.flush()
                os.fsync(out.fileno())
    except transport_error() as error:
        return f"{type(error).__name__}: {error}".rstrip(": "), None
    return "the connection was cut", None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds a server asks to be left alone for, or None when it does not say so in seconds."""
    value = headers.get("Retry-After", "").strip()
    return float(value) if value.isdigit() else None
