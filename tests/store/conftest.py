"""One embedded server for all tests of the store; each test has an owner and a collection of its own in it."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
import psycopg
import pytest
from data_folders import copy_home

from seemory.store.connect import Database, open_database, stop_embedded
from seemory.store.distribution import distribute
from seemory.store.embedded.account import account_for
from seemory.store.embedded.programs import binaries
from seemory.store.generations import Generations
from seemory.store.items import Items
from seemory.store.query import Query
from seemory.types import EmbeddingRecord, FileOutcome, Generation, PictureFacts, Vector

DIM = 32


@pytest.fixture(scope="session")
def pristine(untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of the store's tests, with a stopped server."""
    return copy_home(untouched, tmp_path_factory.mktemp("pristine"))


@pytest.fixture
def home(pristine: Path) -> Iterator[Path]:
    """A data folder whose server is stopped, before the test and after it."""
    yield pristine
    stop_embedded(pristine)


@pytest.fixture(scope="session")
def shared_home(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_home(pristine, tmp_path_factory.mktemp("shared"))


CITUS_URL = os.environ.get("SEEMORY_TEST_CITUS_URL")
"""Of a superuser, in a database for tests on a Citus coordinator; nothing in it is removed."""


@pytest.fixture(scope="session", params=["embedded", *(["citus"] if CITUS_URL else [])])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """The database that all tests of the store share: the embedded one, and a cluster if there is one."""
    if request.param == "citus":
        yield from cluster(request)
        return
    with open_database(None, home=request.getfixturevalue("shared_home")) as database:
        yield database


def cluster(request: pytest.FixtureRequest) -> Iterator[Database]:
    home = request.getfixturevalue("tmp_path_factory").mktemp("no-home")
    with (
        open_database(CITUS_URL, home=home) as database,
        psycopg.connect(database.conninfo, autocommit=True) as connection,
    ):
        distribute(connection, shards=8)
    with open_database(CITUS_URL, home=home) as database:
        assert database.distributed
        yield database


@pytest.fixture
def superuser(database: Database) -> Iterator[psycopg.Connection]:
    """A connection to the same database as one whom row-level security does not bind."""
    url = database.url if database.distributed else database.url.replace("seemory@", "postgres@", 1)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def generation(database: Database) -> Generation:
    return Generations(database).create(f"photos-{uuid4()}", "visual", model="test", fingerprint="f" * 64, dim=DIM)


@pytest.fixture
def owner() -> str:
    return f"owner-{uuid4()}"


@pytest.fixture
def items(database: Database, owner: str) -> Items:
    return Items(database, owner)


@pytest.fixture
def query(database: Database, owner: str) -> Query:
    return Query(database, owner)


def unit(seed: int, dim: int = DIM) -> Vector:
    vector = np.random.default_rng(seed).normal(size=dim).astype(np.float32)
    return vector / np.linalg.norm(vector)


def outcome(
    uri: str, seed: int = 0, *, vector: Vector | None = None, sha256: bytes | None = None, **facts: object
) -> FileOutcome:
    """A picture file that was read and embedded."""
    return FileOutcome(
        uri,
        bytes=1000 + seed,
        mtime_ns=seed,
        sha256=sha256 or seed.to_bytes(32, "big"),
        facts=PictureFacts(**({"width": 640, "height": 480, "format": "JPEG"} | facts)),
        thumbnail=b"\xff\xd8" + bytes([seed % 256]),
        vector=unit(seed) if vector is None else vector,
        record=EmbeddingRecord("test", "none", DIM),
    )


@dataclass(frozen=True)
class TcpServer:
    """A server like somebody's own: on TCP, with passwords."""

    port: int
    data: Path

    def url(self, user: str, database: str = "postgres") -> str:
        return f"postgresql://{user}:se%40cret@127.0.0.1:{self.port}/{database}"

    def run(self, *statements: str, database: str = "postgres") -> None:
        with psycopg.connect(self.url("boss", database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    @contextmanager
    def pg_hba(self, lines: str) -> Iterator[None]:
        """Have lines of ours first among those that say who is let in."""
        file = self.data / "pg_hba.conf"
        before = file.read_text()
        file.write_text(lines + before)
        self.run("SELECT pg_reload_conf()")
        yield
        file.write_text(before)
        self.run("SELECT pg_reload_conf()")

    def new_database(self, *, role: str | None = None, extension: bool = True) -> str:
        """The name of a new database, owned by `role` (made, without any privilege) or by the superuser."""
        name = f"db{uuid4().hex[:8]}"
        if role:
            self.run(f"CREATE ROLE {role} LOGIN PASSWORD 'se@cret'")
        self.run(f"CREATE DATABASE {name} OWNER {role or 'boss'}")
        if extension:
            self.run("CREATE EXTENSION vector", database=name)
        return name


@pytest.fixture(scope="session", params=["pginstall18", "pginstall"])
def tcp_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TcpServer]:
    programs = binaries().parents[1] / request.param / "bin"
    if not programs.is_dir():
        pytest.skip("the wheel has only one Postgres")
    home = tmp_path_factory.mktemp("tcp")
    account = account_for(home, home / "data")
    data, password = home / "data", home / "password"
    data.mkdir(mode=0o700)
    password.write_text("se@cret")
    password.chmod(0o644)
    account.own(data)
    account.let_through(data)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def run(program: str, *arguments: str) -> None:
        with (home / "out").open("a+") as out:
            subprocess.run(
                [str(programs / program), *arguments],
                check=True,
                stdout=out,
                stderr=out,
                cwd="/",
                **account.subprocess_options(),
            )

    run("initdb", "-A", "scram-sha-256", "-U", "boss", "--pwfile", str(password), "-N", "-D", str(data))
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    run("pg_ctl", "-w", "-D", str(data), "-l", str(data / "log"), "-o", options, "start")
    yield TcpServer(port, data)
    run("pg_ctl", "-w", "-m", "immediate", "-D", str(data), "stop")
