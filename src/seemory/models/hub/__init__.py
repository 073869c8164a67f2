"""Model folders from a hub: fetched whole or not at all, resumed, verified, and only from the endpoint that was named.

The listing comes from the hub's API, the files from its plain `resolve` addresses (redirects to its storage are
followed, without the token). `huggingface_hub` gives the HTTP session, so its settings hold: HF_ENDPOINT, HF_TOKEN,
HF_HUB_OFFLINE, proxies, certificates. Nothing else of it is called, hence no usage reports and no second protocol.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seemory.errors import ModelCorrupt, ModelError, ModelNotFound, ModelUnavailable, UsageError
from seemory.models.catalog import ModelSpec
from seemory.models.hub.listing import endpoint_of, headers_for, listing, listing_url, within
from seemory.models.hub.transfer import Patience, RemoteFile, clear_about_room, digests, fetch, verified
from seemory.telemetry import Progress, ProgressListener, ignore

MANIFEST = "seemory-manifest.json"
"""Written last into a pulled folder: where it came from, and each file's size and sha256."""

_INCOMING = ".incoming"
_SPARE_BYTES = 32 << 20


def is_complete(spec: ModelSpec, folder: Path) -> bool:
    """Whether `folder` holds every file of this model and revision at its full size; reads no weights."""
    manifest = _read_manifest(folder)
    if manifest is None or (manifest.get("repo"), manifest.get("revision")) != (spec.repo, spec.revision):
        return False
    return all(_size(folder / name) == facts["size"] for name, facts in manifest["files"].items())


def damaged(folder: Path) -> list[str]:
    """The names of the files that are missing or no longer what was pulled, after reading all of them.

    Raises `ModelCorrupt` when the folder has no manifest, so that nothing can be said.
    """
    manifest = _read_manifest(folder)
    if manifest is None:
        raise ModelCorrupt(f"{folder} has no {MANIFEST}: it was not pulled, so there is nothing to compare it with")
    return [
        name
        for name, facts in manifest["files"].items()
        if not (folder / name).is_file() or digests(folder / name)[0] != facts["sha256"]
    ]


def pull(
    spec: ModelSpec,
    *,
    home: Path,
    offline: bool = False,
    endpoint: str | None = None,
    listen: ProgressListener = ignore,
    patience: Patience | None = None,
) -> Path:
    """Return `home/models/NAME`, complete and verified; fetched from the hub if it is not there yet.

    Files gather in `home/models/.incoming` and the folder is moved into place when all are right. Cut at any point,
    the next call carries on; two processes that pull the same model take turns. `listen` hears bytes.

    Raises `ModelUnavailable` (offline, no network, no access, hub down), `ModelNotFound` (no such repository or
    revision), `ModelCorrupt` (wrong checksums twice, missing or hostile file names) and `ModelError` (no disk space).
    """
    folder = home / "models" / spec.name
    if is_complete(spec, folder):
        return folder
    if spec.repo is None:
        raise ModelNotFound(f"{spec.name} comes with Seemory or is a folder of your own: no hub has it")
    if offline or _offline_by_environment():
        raise ModelUnavailable(
            f"{spec.name} is not on disk and Seemory is offline: run `seemory models pull {spec.name}` where there is "
            f"a network and copy the folder to {folder}, or unset HF_HUB_OFFLINE"
        )
    if folder.exists() and _read_manifest(folder) is None:
        raise UsageError(
            f"{folder} was not made by a pull: move it away first, or name it by its path to use it as it is"
        )
    incoming = home / "models" / _INCOMING
    with clear_about_room(home), _turn(incoming, spec.name, listen):
        if not is_complete(spec, folder):  # another process may have brought it meanwhile
            _bring(spec, folder, incoming, endpoint_of(endpoint), listen, patience or Patience())
    return folder


def answers(spec: ModelSpec, timeout_s: float = 2.0, endpoint: str | None = None) -> bool:
    """Whether the hub has this repository and says so within `timeout_s` of wall time; never raises for the network."""
    if spec.repo is None or _offline_by_environment():
        return False
    base = endpoint_of(endpoint)

    def ask() -> bool:
        from huggingface_hub import get_session

        limits = (timeout_s,) * 4
        with get_session().stream(
            "GET", listing_url(base, spec), headers=headers_for(base), timeout=limits, follow_redirects=True
        ) as answer:
            return bool(answer.status_code == 200)

    try:
        return within(timeout_s, ask)
    except Exception:  # whatever went wrong, it is no answer
        return False


def _bring(
    spec: ModelSpec, folder: Path, incoming: Path, base: str, listen: ProgressListener, patience: Patience
) -> None:
    commit, files = listing(spec, base, patience)
    staging = incoming / f"{spec.name}@{commit[:12]}"
    staging.mkdir(parents=True, exist_ok=True)
    _reuse(files, folder, staging)
    on_disk = {file.path: _size(staging / file.path) or _size(staging / (file.path + ".part")) or 0 for file in files}
    total = sum(file.size for file in files)
    missing = total - sum(on_disk.values())
    if missing + _SPARE_BYTES > (free := shutil.disk_usage(staging).free):
        raise ModelError(f"no room for {spec.name} under {incoming}: {missing:,} bytes are to come, {free:,} are free")

    sums = {}
    for file in files:

        def on_bytes(done: int, path: str = file.path) -> None:
            on_disk[path] = done
            listen(Progress(f"pull {spec.name}", sum(on_disk.values()), total, "bytes"))

        sums[file.path] = {
            "size": file.size,
            "sha256": fetch(file, staging, headers_for(base), patience, on_bytes),
        }
    _write_manifest(spec, commit, sums, staging)
    if folder.exists():
        # A folder of another revision, or with files gone: out of the way first, a rename cannot replace it.
        old = incoming / f"{spec.name}.old"
        shutil.rmtree(old, ignore_errors=True)
        folder.replace(old)
    staging.replace(folder)
    for rest in (*incoming.glob(f"{spec.name}@*"), incoming / f"{spec.name}.old"):
        shutil.rmtree(rest, ignore_errors=True)


def _offline_by_environment() -> bool:
    value = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return value.upper() in {"1", "ON", "YES", "TRUE"}


@contextmanager
def _turn(incoming: Path, name: str, listen: ProgressListener) -> Iterator[None]:
    """Hold the lock of one model's download; waits as long as another process holds it, and says so."""
    from filelock import FileLock, Timeout

    incoming.mkdir(parents=True, exist_ok=True)
    lock = FileLock(incoming / f"{name}.lock")
    while True:
        try:
            lock.acquire(timeout=1.0)
            break
        except Timeout:
            listen(Progress(f"another process is pulling {name}", 0, None, "bytes"))
    try:
        yield
    finally:
        lock.release()


def _reuse(files: Iterable[RemoteFile], folder: Path, staging: Path) -> None:
    """Copy what an incomplete or older folder already has in the right form."""
    for file in files:
        have, target = folder / file.path, staging / file.path
        if not target.exists() and verified(have, file):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(have, target)


def _write_manifest(spec: ModelSpec, commit: str, listed: Mapping[str, Any], folder: Path) -> None:
    document = {"name": spec.name, "repo": spec.repo, "revision": spec.revision, "commit": commit, "files": listed}
    with (folder / MANIFEST).open("w", encoding="utf-8") as out:
        json.dump(document, out, indent=2)
        out.flush()
        os.fsync(out.fileno())


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    try:
        document = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    sound = isinstance(document, dict) and isinstance(document.get("files"), dict) and document["files"]
    return document if sound else None


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
