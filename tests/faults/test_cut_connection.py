"""The connection cut in the middle of COPY and around COMMIT, by a proxy of the test's own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from seemory.errors import DatabaseUnreachable
from seemory.memory import Memory
from seemory.settings import read_settings
from seemory.store.connect import open_database

from .conftest import Folder, orphans, tell, until

FILES = 48


class Cutter:
    """A proxy on TCP before the embedded server's socket, which cuts all its connections at a chosen byte."""

    def __init__(self, unix_socket: str) -> None:
        self._unix_socket = unix_socket
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._marks: list[bytes] = []
        self._left = 0
        self._armed = self._deaf = False
        self._who: socket.socket | None = None
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, *marks: bytes, after: int) -> None:
        """Cut so many bytes after one connection said the marks, one after the other; up to there all arrives."""
        self._left, self._marks, self._armed, self._who = after, list(marks), True, None

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._unix_socket)
                self._open += [client, server]
                threading.Thread(target=self._up, args=(client, server), daemon=True).start()
                threading.Thread(target=self._down, args=(server, client), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                with self._lock:
                    passing, cut = self._pass(client, data)
                    self._deaf |= cut  # no answer to the last of it comes back
                server.sendall(passing)
                if cut:
                    self._cut()
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)

    def _pass(self, client: socket.socket, data: bytes) -> tuple[bytes, bool]:
        """(what goes on to the server, whether that was all)."""
        start = 0
        if not self._armed or self._who not in (None, client):
            return data, False
        while self._marks:
            at = data.find(self._marks[0], start)
            if at < 0:
                return data, False
            start = at + len(self._marks.pop(0))
            self._who = client
        if len(data) - start < self._left:
            self._left -= len(data) - start
            return data, False
        self._armed = False
        return data[: start + self._left], True

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if not self._deaf:
                    client.sendall(data)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    def _cut(self) -> None:
        self.cuts += 1
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
                end.close()
        self._open.clear()
        self._deaf = False

    def close(self) -> None:
        self._listener.close()
        self._cut()


@pytest.fixture
def cutter(folder: Folder) -> Iterator[Cutter]:
    with open_database(None, home=folder.home):
        cutter = Cutter(str(folder.home / "postgres" / ".s.PGSQL.5432"))
        yield cutter
        cutter.close()


def through(cutter: Cutter, folder: Folder, batch: int) -> Memory:
    url = f"postgresql://seemory@127.0.0.1:{cutter.port}/seemory"
    return Memory(read_settings(home=folder.home, database_url=url, index={"batch_size": batch}), model="seemory-mini")


def stored(folder: Folder) -> set[str]:
    """The files that are stored, each with its item and vector."""
    with folder.memory() as memory, folder.eye() as eye:
        stats = memory.stats()
        assert stats["assets"] == stats["items"] == stats["embedded"]
        if stats["generation"]:
            assert orphans(eye, str(stats["generation"])) == (0, 0, 0)
        return {item.uri for item in memory.items()}


CUTS = [0, 1, 19, 100, 1000, 5000, 10_000, 20_000, 40_000, 60_000]


def test_cut_in_the_middle_of_copy(folder: Folder, cutter: Cutter) -> None:
    files = sorted(folder.pictures.iterdir())[:FILES]
    said = ""
    for n, after in enumerate(CUTS):
        with through(cutter, folder, batch=FILES) as memory:
            cutter.arm(b"COPY pg_temp.incoming ", after=after)
            with pytest.raises(DatabaseUnreachable) as caught:
                memory.index(*files)
        said = str(caught.value)
        assert cutter.cuts == n + 1
        assert f"a connection broke: postgresql://seemory@127.0.0.1:{cutter.port}/seemory" in said
        assert stored(folder) == set(), "a batch was written by half"
    with through(cutter, folder, batch=FILES) as memory:
        assert memory.index(*files).indexed == FILES
        assert dict(memory.index(*files).counts) == {"unchanged": FILES}
    assert stored(folder) == {str(file) for file in files}
    tell(
        f"connection cut {CUTS[0]} to {CUTS[-1]:,} bytes into COPY",
        len(CUTS),
        "nothing, no half batch",
        f"DatabaseUnreachable: {said.splitlines()[0][:70]}…",
    )


def test_cut_between_commit_and_its_answer(folder: Folder, cutter: Cutter) -> None:
    """The batch is committed and nobody was told: the next run finds it and does not embed it again."""
    files = sorted(folder.pictures.iterdir())[:FILES]
    for count in (16, 32, FILES):
        with through(cutter, folder, batch=16) as memory:
            reported = set()
            cutter.arm(b"COPY pg_temp.incoming ", b"COMMIT\0", after=0)
            with pytest.raises(DatabaseUnreachable):  # noqa: PT012
                for result in memory.index_each(*files[:count]):
                    if result.status == "indexed":
                        reported.add(result.uri)
        assert reported == set()
        until(lambda wanted=count: len(stored(folder)) == wanted)
    with folder.memory() as memory:
        assert dict(memory.index(*files).counts) == {"unchanged": FILES}
    tell("connection cut between COMMIT and its answer", 3, "nothing, nothing twice", "DatabaseUnreachable")
