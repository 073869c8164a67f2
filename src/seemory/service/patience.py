"""How long a client may take to say what it wants: uvicorn waits for the head of a request for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def patient(seconds: float, late: Callable[[], None]) -> type[H11Protocol]:
    """uvicorn's protocol, with a limit to the time in which the head of a request, all its lines, has to be there.

    The clock runs from the moment of the connection, or, for a further request, from the first byte of it: between two
    of them uvicorn has a limit of its own.

    Args:
        seconds: of patience.
        late: called for each connection that was closed for that.
    """

    class Patient(H11Protocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait_for_head()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._stop_waiting()
            elif self.conn.trailing_data[0]:  # the beginning of a head
                self._wait_for_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def _wait_for_head(self) -> None:
            if self._timer is None:
                self._timer = self.loop.call_later(seconds, self._give_up)

        def _stop_waiting(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _give_up(self) -> None:
            self._timer = None
            if not self.transport.is_closing():
                late()
                self.transport.write(_TOO_SLOW)
                self.transport.close()

    return Patient
