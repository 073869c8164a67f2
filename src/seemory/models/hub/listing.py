"""What a hub says of a repository: the commit behind a revision, and the wanted files with their checksums."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from typing import Any, TypeVar
from urllib.parse import quote

from seemory.errors import ModelCorrupt, ModelError, ModelNotFound, ModelUnavailable, UsageError
from seemory.models.catalog import ModelFile, ModelSpec
from seemory.models.hub.transfer import PASSING, Patience, RemoteFile, retry_after, transport_error

_SAFE_NAME = re.compile(r"[\w.+\- ]+(/[\w.+\- ]+)*")
_SENTENCE_FILES = re.compile(
    r"config\.json|modules\.json|sentence_bert_config\.json|config_sentence_transformers\.json|tokenizer\.json"
    r"|tokenizer_config\.json|special_tokens_map\.json|\d+_\w+/config\.json|onnx/model\.onnx(_data|\.data)?"
)
# Large graphs keep tensors in files of any name beside them; deeper folders are other runtimes' and precisions'.
_IMMICH_FILES = re.compile(r"config\.json|(visual|textual)/[^/]+")
_LEFT_OUT = re.compile(
    r"\.(armnn|rknn|safetensors|bin|pt|pth|h5|msgpack|tflite|engine|md)$|/(?!model\.onnx)[^/]*\.onnx|/\.", re.IGNORECASE
)

T = TypeVar("T")


def listing(spec: ModelSpec, base: str, patience: Patience) -> tuple[str, list[RemoteFile]]:
    """The commit behind the specification's revision, and the files that are wanted of it, small ones first.

    Raises `ModelUnavailable` when the hub does not answer or refuses, `ModelNotFound` when it knows no such repository
    or revision, and `ModelCorrupt` when the listing is hostile, lacks a file, or contradicts a pinned checksum.
    """
    document = _ask(spec, base, patience)
    commit, siblings = document.get("sha"), document.get("siblings")
    if not isinstance(commit, str) or not re.fullmatch(r"[0-9a-f]{7,64}", commit) or not isinstance(siblings, list):
        raise ModelCorrupt(f"{base} gave no listing of {spec.repo} that can be read: is it a model hub?")
    listed = {str(one["rfilename"]): one for one in siblings if isinstance(one, dict) and "rfilename" in one}
    for name in listed:
        if name.startswith("/") or "\\" in name or ".." in PurePosixPath(name).parts:
            raise ModelCorrupt(f"{spec.repo} lists a file outside its own folder ({name!r}); nothing of it was fetched")
    return commit, [_file(spec, base, commit, name, listed[name]) for name in wanted(spec, listed)]


def wanted(spec: ModelSpec, names: Iterable[str]) -> list[str]:
    """Those of a repository's file names that the layout needs, small files first.

    These are the specification's own files and whatever else belongs to the layout: tensors that a large graph keeps
    beside it, more tokenizer files. Other runtimes' weights (ARM NN, RKNN), other precisions and other frameworks'
    checkpoints are left out. Raises `ModelCorrupt` when the model could not work with what is there.
    """
    listed = {file.path for file in spec.files}
    belongs = _SENTENCE_FILES.fullmatch if spec.layout == "sentence-transformers" else _IMMICH_FILES.fullmatch
    chosen = [name for name in names if name in listed or (belongs(name) and not _LEFT_OUT.search(name))]
    graphs = {"onnx/model.onnx"} if spec.layout == "sentence-transformers" else set()
    if spec.layout == "immich":
        graphs = {"visual/model.onnx"} if "image" in spec.towers else set()
        graphs |= {"textual/model.onnx"} if "text" in spec.towers else set()
    if lacking := (graphs | {file.path for file in spec.files if file.sha256}) - set(chosen):
        raise ModelCorrupt(
            f"{spec.repo} at {spec.revision} has no {', '.join(sorted(lacking))}: not the {spec.layout} layout"
        )
    if hostile := [name for name in chosen if not _SAFE_NAME.fullmatch(name)]:
        raise ModelCorrupt(f"{spec.repo} lists a name that no disk should hold: {hostile[0]!r}")
    return sorted(chosen, key=lambda name: (".onnx" in name, name))


def _file(spec: ModelSpec, base: str, commit: str, name: str, entry: dict[str, Any]) -> RemoteFile:
    pinned = next((file for file in spec.files if file.path == name), ModelFile(name))
    lfs = entry.get("lfs") or {}
    size, digest = entry.get("size"), lfs.get("sha256") or entry.get("blobId")
    if pinned.sha256 and lfs.get("sha256", pinned.sha256) != pinned.sha256:
        raise ModelCorrupt(
            f"{name} of {spec.repo} on {base} is not the file that the catalogue pins "
            f"(sha256 {lfs['sha256']} instead of {pinned.sha256})"
        )
    digest = pinned.sha256 or digest
    if not isinstance(size, int) or size < 0 or not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", str(digest)):
        raise ModelCorrupt(f"{base} gave no size or no checksum for {name} of {spec.repo}: it could not be verified")
    return RemoteFile(name, f"{base}/{quote(str(spec.repo))}/resolve/{commit}/{quote(name)}", size, str(digest))


def _ask(spec: ModelSpec, base: str, patience: Patience) -> dict[str, Any]:
    """The hub's document on a repository at a revision, with sizes and checksums."""
    from huggingface_hub import get_session
    from huggingface_hub.errors import OfflineModeIsEnabled

    def once() -> Any:
        return get_session().get(
            listing_url(base, spec),
            params={"blobs": True},
            headers=headers_for(base),
            timeout=patience.timeouts(),
            follow_redirects=True,
        )

    for attempt in range(1, patience.attempts + 1):
        wish = None
        try:
            answer = within(patience.listing_s, once)
        except OfflineModeIsEnabled as error:
            raise ModelUnavailable(f"{spec.name} is not on disk and HF_HUB_OFFLINE is set") from error
        except (transport_error(), TimeoutError) as error:
            reason = f"{type(error).__name__}: {error}".rstrip(": ")
        else:
            if answer.status_code == 200:
                try:
                    document = answer.json()
                except ValueError as error:
                    raise ModelCorrupt(f"{base} answered for {spec.repo} with something that is not JSON") from error
                return document if isinstance(document, dict) else {}
            if answer.status_code not in PASSING:
                raise _refusal(spec, base, answer.status_code, answer.headers.get("X-Error-Code", ""))
            reason, wish = f"the hub answered {answer.status_code}", retry_after(answer.headers)
        if attempt < patience.attempts:
            patience.pause(attempt, wish)
    raise ModelUnavailable(
        f"{spec.name} is not on disk and {base} cannot be reached ({reason}): check the network or HF_ENDPOINT, or use "
        f"a model that is on disk (`seemory models list`)"
    )


def _refusal(spec: ModelSpec, base: str, status: int, code: str) -> ModelError:
    if code == "RevisionNotFound":
        return ModelNotFound(f"{spec.repo} on {base} has no revision {spec.revision!r}")
    if status == 403 or code == "GatedRepo":
        return ModelUnavailable(
            f"{base} does not let you have {spec.repo}: ask for access on its page, then set HF_TOKEN"
        )
    if status == 401:
        return ModelUnavailable(
            f"{base} asks who you are for {spec.repo}: it is private or does not exist; set HF_TOKEN"
        )
    if status in (404, 410):
        return ModelNotFound(f"{base} has no repository {spec.repo} with a revision {spec.revision!r}")
    return ModelUnavailable(f"{base} answered {status} for {spec.repo}")


def listing_url(base: str, spec: ModelSpec) -> str:
    """Where the hub describes the repository at the specification's revision."""
    return f"{base}/api/models/{quote(str(spec.repo))}/revision/{quote(spec.revision, safe='')}"


def endpoint_of(endpoint: str | None) -> str:
    """The hub's address without a slash at its end: the one given, or that of HF_ENDPOINT, or the public hub's."""
    from huggingface_hub import constants

    base = (endpoint or constants.ENDPOINT).rstrip("/")
    if not base.startswith(("https://", "http://")):
        raise UsageError(f"the hub's endpoint must be an http(s) address, not {base!r}")
    return str(base)


def headers_for(base: str) -> dict[str, str]:
    """What every request to the hub carries: a plain name, and the user's token where it belongs."""
    from huggingface_hub import constants, get_token

    headers = {"User-Agent": "seemory"}
    # The token belongs to the configured hub; another endpoint is not trusted with it.
    if base == constants.ENDPOINT and not constants.HF_HUB_DISABLE_IMPLICIT_TOKEN and (token := get_token()):
        headers["Authorization"] = f"Bearer {token}"
    return headers


def within(seconds: float, work: Callable[[], T]) -> T:
    """What `work` returns or raises, or TimeoutError after `seconds`.

    Name resolution cannot be interrupted, so the work has a daemon thread, which is left behind when it hangs. A
    thread pool would not do: leaving it waits for the worker.
    """
    box: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            box.append(work())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, daemon=True, name="seemory-hub")
    thread.start()
    thread.join(seconds)
    if failure:
        raise failure[0]
    if not box:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return box[0]
