"""A server on this machine that speaks as an OpenAI-compatible one does, and does wrong what it is told to do wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from seemory.advisors.profile import DIMENSIONS

WORDS = {
    "overall": "A quiet picture.",
    "dimensions": {name: {"score": 5, "comment": "It is so."} for name in DIMENSIONS},
    "advice": "Go nearer.",
}

Act = Callable[[BaseHTTPRequestHandler, int], None]
"""What a server does at its n-th question, from 0."""


def answer(text: str, **more: Any) -> bytes:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"} | more
    return json.dumps({"choices": [choice], "usage": {"prompt_tokens": 400, "completion_tokens": 100}}).encode()


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in ({"Content-Length": str(len(body))} | headers).items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


class Faulty:
    """A server on this machine that does what it is told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.act: Act = lambda handler, _: send(handler, 200, answer(json.dumps(WORDS)))
        self.models: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        faulty = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                faulty.paths.append(self.path)
                send(self, 200, json.dumps({"data": [{"id": name} for name in faulty.models]}).encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                faulty.paths.append(self.path)
                faulty.headers.append(dict(self.headers))
                faulty.asked.append(json.loads(body))
                try:
                    faulty.act(self, len(faulty.asked) - 1)
                except OSError:  # who asked has left
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
