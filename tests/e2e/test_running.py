"""`seemory serve` as an operator runs it: several workers, a database that comes late, clients that say nothing."""

from __future__ import annotations

import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from served import Served, Start
from store.conftest import TcpServer, tcp_server  # noqa: F401 - a fixture


def once(served: Served, words: str) -> int:
    """The status of a search over a connection of its own, so that any worker may have it; 0 where none was there."""
    try:
        answer = httpx.post(f"http://127.0.0.1:{served.port}/v1/search", json={"words": words}, timeout=60)
        return answer.status_code
    except httpx.TransportError:
        return 0


def workers_of(served: Served) -> list[psutil.Process]:
    """The processes that answer, by the port that they have in common."""
    return [
        child for child in psutil.Process(served.process.pid).children() if "spawn_main" in " ".join(child.cmdline())
    ]


def test_several_workers_are_one_service(start_served: Start, package_photographs: dict[str, Path]) -> None:
    served = start_served(service__workers=2, service__stop_s=5)
    assert "by 2 workers" in served.said
    first = workers_of(served)
    assert len(first) == 2
    for path in package_photographs.values():
        assert served.upload(path.read_bytes(), "application/octet-stream").status_code == 201
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda n: once(served, f"a cat {n}"), range(40))) == {200}
    end = time.monotonic() + 20
    while (seen := served.metric("seemory_requests_total", route="/v1/search", status="200")) < 40:
        assert time.monotonic() < end, f"{seen} of 40: what one worker has counted the other does not tell"
        time.sleep(0.2)
    assert seen == 40
    assert served.metric("seemory_requests_total", route="/v1/items", status="201") == len(package_photographs)
    first[0].send_signal(signal.SIGKILL)
    first[0].wait(10)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda n: once(served, "a rocket"), range(12))) == {200}, "the other one answers"
    end = time.monotonic() + 40
    while len(now := workers_of(served)) < 2 or first[0].pid in {one.pid for one in now}:
        assert time.monotonic() < end
        time.sleep(0.1)
    code, said = served.stop()
    assert code == 0, said
    assert f"Worker {first[0].pid} has ended (-9); another takes its place" in said
    assert "Traceback" not in said
    assert not any(one.is_running() for one in [*first, *now])
    assert len(list(served.memory.items())) == len(package_photographs)


class Relay:
    """A port that is another's once it is opened: a database that comes late."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def open(self) -> None:
        self._listener.listen()
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        while True:
            here, _ = self._listener.accept()
            there = socket.create_connection(self._target)
            for one, other in ((here, there), (there, here)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        while data := one.recv(65_536):
            other.sendall(data)
        other.close()


@pytest.mark.parametrize("tcp_server", ["pginstall18"], indirect=True)
def test_a_database_that_is_absent_is_waited_for(
    start_served: Start,
    tcp_server: TcpServer,  # noqa: F811
) -> None:
    url = tcp_server.url("boss", tcp_server.new_database())
    relay = Relay(("127.0.0.1", int(httpx.URL(url).port or 5432)))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    late = start_served(port=port, database_url=url.replace(f":{httpx.URL(url).port}/", f":{relay.port}/"))
    assert "does not answer yet, and is waited for" in late.said
    assert "cret" not in late.said, "no password is told"
    ready = late.client.get("/readyz")
    assert (ready.status_code, ready.headers["Retry-After"]) == (503, "1")
    assert late.client.get("/healthz").status_code == 200
    assert late.search(words="a cat").status_code == 503
    relay.open()
    end = time.monotonic() + 60
    while late.client.get("/readyz").status_code == 503:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert late.client.get("/readyz").json() == {"status": "ready", "model": "seemory-mini"}
    assert late.client.get("/v1/items").json()["items"] == []
    code, said = late.stop()
    assert (code, "Serving" in said) == (0, True), said


def test_who_is_slow_to_say_what_it_wants_is_not_waited_for(start_served: Start) -> None:
    hasty = start_served(service__head_s=0.5)

    def silent(*pieces: bytes) -> bytes:
        """What comes back to whoever says this and nothing more, until the service closes."""
        with socket.create_connection(("127.0.0.1", hasty.port), timeout=10) as connection:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(0.2)
            told = b""
            while data := connection.recv(4096):
                told += data
            return told

    whole = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    start = time.monotonic()
    assert silent().startswith(b"HTTP/1.1 408 ")
    assert silent(b"GET /healthz HTTP/1.1\r\n").startswith(b"HTTP/1.1 408 ")
    assert silent(*[b"GET /healthz HTTP/1.1\r\n", b"a: b\r\n", b"c: d\r\n", b"e: f\r\n"]).startswith(b"HTTP/1.1 408")
    second = silent(whole, b"GET /")
    assert second.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in second, "the second head of a connection as well"
    assert time.monotonic() - start < 8
    slow_body = (
        b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
    )
    body = b'{"like": "00000000"}'
    slow = silent(slow_body + b"Content-Length: 20\r\n\r\n", body[:5], body[5:10], body[10:15], body[15:])
    assert slow.startswith(b"HTTP/1.1 400 "), "a body has its own time"
    assert b"is empty" in slow, "it was read and understood"
    assert hasty.metric("seemory_timeouts_total", reason="head") == 4
