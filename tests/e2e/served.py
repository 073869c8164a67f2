"""`seemory serve` as a process of its own, for tests that ask it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from seemory.memory import Memory
from seemory.settings import read_settings

Start = Callable[..., "Served"]


class Served:
    """A running server, and a client of it."""

    def __init__(self, process: subprocess.Popen[str], port: int, memory: Memory, said: str) -> None:
        self.process, self.port, self.memory = process, port, memory
        self.said = said
        """Its first line."""
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)

    def search(self, **asked: Any) -> httpx.Response:
        return self.client.post("/v1/search", json=asked)

    def upload(self, content: bytes, kind: str = "image/png") -> httpx.Response:
        return self.client.post("/v1/items", content=content, headers={"Content-Type": kind})

    def metric(self, name: str, **labels: str) -> float:
        families = text_string_to_metric_families(self.client.get("/metrics").text)
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def raw(self, head: str, body: bytes = b"") -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
            return connection.recv(65_536)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Its exit code and what it has said."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


@pytest.fixture(scope="module")
def start_served(home: Path) -> Iterator[Start]:
    with contextlib.ExitStack() as running:

        def start(log: Path | None = None, port: int = 0, **settings: object) -> Served:
            name = f"served-{uuid4().hex[:8]}"
            own = {"SEEMORY_HOME": str(home), "SEEMORY_OWNER": name, "SEEMORY_COLLECTION": name}
            own["SEEMORY_SERVICE__LOG_REQUESTS"] = str(log is not None)  # nobody reads a pipe meanwhile
            own |= {f"SEEMORY_{key.upper()}": str(value) for key, value in settings.items()}
            code = "from seemory.cli import main; main()"
            command = [sys.executable, "-c", code, "serve", "--port", str(port), "--model", "seemory-mini"]
            kept = {key: value for key, value in os.environ.items() if not key.startswith("SEEMORY_")}
            says = subprocess.PIPE if log is None else running.enter_context(log.open("wb"))
            process = subprocess.Popen(command, env=kept | own, stderr=says, text=True)
            running.callback(process.kill)
            said = _first_line(process, log)
            address = re.search(r"at http://[\d.]+:(\d+)|is waited for", said)
            assert address, said + (process.stderr.read() if process.stderr else "")
            memory = Memory(read_settings(home=home, owner=name, collection=name), model="seemory-mini")
            running.callback(memory.close)
            return Served(process, int(address[1] or port), memory, said)

        yield start


def _first_line(process: subprocess.Popen[str], log: Path | None) -> str:
    if log is None:
        assert process.stderr is not None
        return process.stderr.readline()
    end = time.monotonic() + 60
    while "\n" not in log.read_text() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    return log.read_text()
