"""TLS between Seemory and a server.

The wheel's Postgres is built without OpenSSL, so what stands before it here is what stands before many a server: a
proxy that ends the encryption. Our side of it, libpq's, is the real one, and so are the certificates.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import trustme

from seemory.errors import DatabaseUnreachable, StoreError
from seemory.store.backup import back_up
from seemory.store.connect import open_database, psql_command
from seemory.store.generations import Generations

from .conftest import TcpServer

_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104
_REFUSAL = b"SFATAL\0VFATAL\0C08P01\0MSSL required\0\0"  # as PgBouncer says it


class Proxy:
    """Speaks TLS to whoever comes and passes everything on in the clear; refuses those who do not ask for TLS."""

    def __init__(self, context: ssl.SSLContext, port: int) -> None:
        self._context = context
        self._behind = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=[self._listening.accept()[0]], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            while (code := struct.unpack("!ii", client.recv(8, socket.MSG_WAITALL))[1]) == _GSS_REQUEST:
                client.sendall(b"N")
            if code != _SSL_REQUEST:
                client.sendall(b"E" + struct.pack("!i", len(_REFUSAL) + 4) + _REFUSAL)
                return
            client.sendall(b"S")
            with (
                self._context.wrap_socket(client, server_side=True) as encrypted,
                socket.create_connection(("127.0.0.1", self._behind)) as server,
            ):
                threading.Thread(target=_pump, args=[server, encrypted], daemon=True).start()
                _pump(encrypted, server)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):
        while part := source.recv(65536):
            sink.sendall(part)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    return tmp_path / "authority.pem"


Url = Callable[..., str]


@pytest.fixture
def url(tcp_server: TcpServer, authority: trustme.CA) -> Iterator[Url]:
    """Makes URLs of a role of its own, which owns its database and has no privilege, through the proxy."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    role = f"app{uuid4().hex[:8]}"
    name = tcp_server.new_database(role=role)
    proxy = Proxy(context, tcp_server.port)

    def make(host: str = "localhost", **parameters: object) -> str:
        query = "&".join(f"{key}={value}" for key, value in parameters.items())
        return f"postgresql://{role}:se%40cret@{host}:{proxy.port}/{name}?{query}"

    yield make
    proxy.close()


def test_certificate_that_is_verified_in_full(url: Url, trusted: Path, tmp_path: Path) -> None:
    address = url(sslmode="verify-full", sslrootcert=trusted)
    with open_database(address, home=tmp_path) as database:
        assert database.encrypted
        assert Generations(database).create("photos", "visual", model="m", fingerprint="f", dim=8).state == "live"
        with database.transaction("anna") as connection:
            assert connection.pgconn.ssl_in_use


def test_encryption_is_taken_where_it_is_offered(url: Url, tmp_path: Path) -> None:
    with open_database(url(), home=tmp_path) as database:
        assert database.encrypted


def test_authority_that_is_not_trusted(url: Url, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    with pytest.raises(DatabaseUnreachable, match=r"certificate verify failed.*sslrootcert=FILE") as caught:
        open_database(url(sslmode="verify-full", sslrootcert=tmp_path / "other.pem"), home=tmp_path)
    assert "cret" not in str(caught.value)


def test_authority_that_is_not_named(url: Url, tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnreachable, match=r"nowhere.pem\" does not exist\s.*sslrootcert=system"):
        open_database(url(sslmode="verify-full", sslrootcert=tmp_path / "nowhere.pem"), home=tmp_path)


def test_certificate_of_another_name(url: Url, trusted: Path, tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnreachable, match=r"does not match host name.*connect by a name"):
        open_database(url(host="127.0.0.1", sslmode="verify-full", sslrootcert=trusted), home=tmp_path)


def test_server_that_demands_encryption(url: Url, tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnreachable, match=r"use sslmode=verify-full \(or sslmode=require\)") as caught:
        open_database(url(sslmode="disable"), home=tmp_path)
    assert "cret" not in str(caught.value)


def test_server_that_cannot_encrypt(tcp_server: TcpServer, tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnreachable, match=r"does not support SSL.*turn ssl on"):
        open_database(tcp_server.url("boss") + "?sslmode=require", home=tmp_path)


def test_server_of_which_every_line_demands_encryption(tcp_server: TcpServer, tmp_path: Path) -> None:
    """In Postgres' own words: a server's `hostssl` lines, and nobody else is let in."""
    name = tcp_server.new_database()
    with (
        tcp_server.pg_hba(f"hostssl {name} all 127.0.0.1/32 scram-sha-256\nhost {name} all all reject\n"),
        pytest.raises(DatabaseUnreachable, match=r"no encryption.*use sslmode=verify-full"),
    ):
        open_database(tcp_server.url("boss", name), home=tmp_path)


def test_encrypted_memory_is_not_handed_to_a_program_that_cannot_encrypt(
    url: Url, trusted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = url(sslmode="verify-full", sslrootcert=trusted)
    open_database(address, home=tmp_path).close()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StoreError, match="client programs"):
        psql_command(address, encrypted=True)
    assert psql_command(address)[0].endswith("psql")
    with pytest.raises(StoreError, match="sees one owner's rows only"):
        back_up(address, tmp_path / "backup")
