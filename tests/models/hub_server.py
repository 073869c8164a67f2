"""A model hub on this machine: the part of the public hub's HTTP protocol that downloads use, with faults on demand.

Paths, status codes and headers follow what huggingface_hub asks for and reads (`hf_api.py`, `file_download.py`): the
listing with blob ids and LFS checksums, `resolve` addresses that redirect LFS files to a storage host, Range requests.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "1f0c3e5a7b9d2f4e6a8c0b1d3f5e7a9c2b4d6f80"
LFS_FROM = 4096
"""Files at least this large are LFS files here; the public hub decides by name."""


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]

    @property
    def start(self) -> int:
        """The first byte asked for."""
        found = re.match(r"bytes=(\d+)-", self.headers.get("range", ""))
        return int(found[1]) if found else 0


@dataclass
class Hub:
    """Serves `files` as the one repository `repo`; the other fields are what goes wrong."""

    files: dict[str, bytes]
    repo: str = "anna/tiny-clip"
    token: str | None = None
    cuts: dict[str, list[int]] = field(default_factory=dict)
    """For each of a file's answers: after how many body bytes the connection is closed. Empty: no more cuts."""
    always_cut: int | None = None
    corrupt: dict[str, int] = field(default_factory=dict)
    """How many answers for a file still carry a wrong byte."""
    statuses: list[tuple[str, int, dict[str, str]]] = field(default_factory=list)
    """Answers to give first, each once, to a request whose path contains the text."""
    always: tuple[str, int] | None = None
    ignore_range: bool = False
    bytes_per_s: float | None = None
    hang_s: float = 0.0
    drip: bool = False
    """Send the answer's first line one byte every 0.3 s: never silent, never done."""
    extra_names: list[str] = field(default_factory=list)
    lie_about_size: dict[str, int] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)

    def __enter__(self) -> Hub:
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def bodies(self, path: str) -> list[Seen]:
        """The GET requests that were answered with (part of) the file's bytes."""
        sha = hashlib.sha256(self.files[path]).hexdigest()
        large = len(self.files[path]) >= LFS_FROM
        return [one for one in self.seen if one.method == "GET" and one.path.endswith(sha if large else "/" + path)]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay quiet: clients that leave or are killed are what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet: the test reads `Hub.seen`."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        hub.seen.append(Seen(self.command, path, {key.lower(): value for key, value in self.headers.items()}))
        time.sleep(hub.hang_s)
        if hub.drip:
            self._drip()
            return
        for one in hub.statuses:
            if one[0] in path:
                hub.statuses.remove(one)
                self._document({"error": "said the test"}, one[1], one[2])
                return
        if hub.always and hub.always[0] in path:
            self._document({"error": "said the test"}, hub.always[1])
            return
        routes: list[tuple[str, Callable[[re.Match[str]], None]]] = [
            (r"/api/models/(?P<repo>.+?)/revision/(?P<revision>[^/]+)", self._info),
            (r"/api/models/(?P<repo>.+?)/tree/(?P<revision>[^/]+)(/.*)?", self._tree),
            (r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)", self._resolve),
            (r"/storage/(?P<sha>[0-9a-f]{64})", self._storage),
        ]
        for pattern, route in routes:
            if match := re.fullmatch(pattern, path):
                if "repo" not in match.groupdict() or self._allowed(match):
                    route(match)
                return
        self._document({"error": "no such page"}, 404)

    def _allowed(self, match: re.Match[str]) -> bool:
        if self.hub.token and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            self._document({"error": "Invalid username or password."}, 401)
        elif match["repo"] != self.hub.repo:
            self._document({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        elif match["revision"] not in ("main", COMMIT):
            self._document({"error": "Invalid rev id"}, 404, {"X-Error-Code": "RevisionNotFound"})
        else:
            return True
        return False

    def _info(self, _: re.Match[str]) -> None:
        siblings: list[dict[str, Any]] = []
        for name, content in self.hub.files.items():
            entry: dict[str, Any] = {"rfilename": name, "size": self.hub.lie_about_size.get(name, len(content))}
            entry["blobId"] = _blob_id(content)
            if len(content) >= LFS_FROM:
                entry["lfs"] = {"sha256": _sha256(content), "size": len(content), "pointerSize": 134}
            siblings.append(entry)
        siblings += [{"rfilename": name, "size": 3, "blobId": _blob_id(b"no!")} for name in self.hub.extra_names]
        self._document({"id": self.hub.repo, "modelId": self.hub.repo, "sha": COMMIT, "siblings": siblings, "tags": []})

    def _tree(self, _: re.Match[str]) -> None:
        entries = []
        for name, content in self.hub.files.items():
            entry: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": _blob_id(content)}
            if len(content) >= LFS_FROM:
                entry["lfs"] = {"oid": _sha256(content), "size": len(content), "pointerSize": 134}
            entries.append(entry)
        self._document(entries)

    def _resolve(self, match: re.Match[str]) -> None:
        content = self.hub.files.get(match["path"])
        if content is None:
            self._document({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
        elif len(content) >= LFS_FROM:
            self.send_response(302)
            # Another host name, as the public hub's storage has: a client must not carry the token there.
            self.send_header("Location", f"http://localhost:{self.hub.port}/storage/{_sha256(content)}")
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("X-Linked-Etag", f'"{_sha256(content)}"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._body(match["path"], content, {"X-Repo-Commit": COMMIT, "ETag": f'"{_blob_id(content)}"'})

    def _storage(self, match: re.Match[str]) -> None:
        for name, content in self.hub.files.items():
            if _sha256(content) == match["sha"]:
                self._body(name, content, {"ETag": f'"{match["sha"]}"'})
                return
        self._document({"error": "gone"}, 404)

    def _body(self, name: str, content: bytes, headers: dict[str, str]) -> None:
        hub = self.hub
        if self.command == "GET" and hub.corrupt.get(name, 0):
            hub.corrupt[name] -= 1
            content = content[:-1] + bytes([content[-1] ^ 1])
        start = 0 if hub.ignore_range else Seen("GET", "", {"range": self.headers.get("Range", "")}).start
        if start >= len(content) > 0:
            self._document({"error": "range"}, 416)
            return
        self.send_response(206 if start else 200)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        cuts = hub.cuts.get(name)
        cut = cuts.pop(0) if cuts else hub.always_cut
        self._send(content[start:] if cut is None else content[start : start + cut])
        if cut is not None and start + cut < len(content):
            self.close_connection = True

    def _send(self, body: bytes) -> None:
        step = len(body) or 1
        if self.hub.bytes_per_s:
            step = max(1, int(self.hub.bytes_per_s / 50))
        try:
            for at in range(0, len(body), step):
                self.wfile.write(body[at : at + step])
                if self.hub.bytes_per_s:
                    self.wfile.flush()
                    time.sleep(step / self.hub.bytes_per_s)
        except OSError:  # the client left, or was killed
            self.close_connection = True

    def _document(self, document: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _drip(self) -> None:
        self.close_connection = True
        try:
            for letter in b"HTTP/1.1 200 OK\r\n" + b"x" * 100:
                self.wfile.write(bytes([letter]))
                self.wfile.flush()
                time.sleep(0.3)
        except OSError:
            pass


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
