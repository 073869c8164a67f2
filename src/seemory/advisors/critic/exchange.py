"""One HTTP exchange with a total time and a largest answer, whatever the other side does; nothing is followed."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import Timer
from typing import Final
from urllib.parse import urlsplit

from seemory.advisors.critic.asking import Deadline
from seemory.errors import UsageError

MOST: Final = 4_000_000
"""Bytes of an answer."""


class Failed(Exception):
    """The exchange did not come about, or not in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    retry_after: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is."""

    secure: bool
    host: str
    port: int | None
    path: str

    @classmethod
    def of(cls, url: str) -> Place:
        """The place that an address names. Raises UsageError, which does not repeat it: it may hold a password."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise UsageError("critic.url is no address") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise UsageError("critic.url is http://HOST:PORT/v1 or https://…, without a user, a password or a query")
        return cls(parts.scheme == "https", parts.hostname, port, parts.path.rstrip("/"))


def exchange(
    place: Place, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None, deadline: Deadline
) -> Answer:
    """What the server answers. A redirection is an answer like any other, and is not followed.

    Raises:
        Failed: no connection, no answer in time, one that is too large, or one that is no HTTP.
    """
    left = deadline.left_s
    if not left:
        raise Failed(f"no answer within {deadline.seconds:g} s")
    connection: http.client.HTTPConnection
    if place.secure:
        connection = http.client.HTTPSConnection(
            place.host, place.port, timeout=left, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(place.host, place.port, timeout=left)
    watch: Timer | None = None
    try:
        connection.connect()
        # A server that sends a byte now and then would never run into the socket's own limit. The socket is taken now:
        # the connection forgets it while the answer is still being read.
        watch = Timer(deadline.left_s, _cut, [connection.sock])
        watch.daemon = True
        watch.start()
        connection.request(method, place.path + path, body=body, headers=dict(headers))
        response = connection.getresponse()
        content = response.read(MOST + 1)
        if len(content) > MOST:
            raise Failed(f"an answer of more than {MOST:,} bytes")
        if not deadline.left_s:  # cut off, which may look like an end
            raise Failed(f"no answer within {deadline.seconds:g} s")
        return Answer(response.status, content, response.getheader("Retry-After"))
    except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:  # the last of a socket cut off
        if not deadline.left_s or isinstance(error, TimeoutError):
            raise Failed(f"no answer within {deadline.seconds:g} s") from error
        raise Failed(f"no connection ({type(error).__name__})") from error
    finally:
        if watch is not None:
            watch.cancel()
        connection.close()


def _cut(connected: socket.socket) -> None:
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)
