"""What no request gets past: only this machine's names for this machine, no page of another site, a bounded body."""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Iterable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seemory.errors import UsageError
from seemory.metrics import Metrics
from seemory.service.refusals import Refused, failure, refusal

log = logging.getLogger(__name__)

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


def is_loopback(host: str) -> bool:
    """Whether a name or address, without a port, means this machine and nothing else."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def require_loopback(host: str) -> None:
    """Refuse to listen where other machines could ask.

    Raises:
        UsageError: the address is not a loopback one.
    """
    if not is_loopback(host):
        raise UsageError(
            f"{host!r} is not this machine alone, and there are no keys yet that would tell who asks: "
            f"serve on 127.0.0.1, ::1 or localhost"
        )


class Guard:
    """Around the application: refuses what must not reach it, counts what it answers, and says what a page may do."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 0

        async def heard(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
            await send(message)

        try:
            _require_here(scope)
            await self._app(scope, receive, heard)
        except Refused as error:
            await refusal(error)(scope, receive, heard)
        except Exception:
            if status:
                raise
            log.exception("a request failed")
            await failure()(scope, receive, heard)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.count("seemory_requests_total", route=route, status=str(status or "gone"))
            self._metrics.observe("seemory_request_seconds", time.perf_counter() - start, route=route)


def _require_here(scope: Scope) -> None:
    """A page that a browser shows from elsewhere can ask for this machine: by its own name that it has made mean this
    machine, which the header `Host` shows, or by this machine's name, which `Origin` and `Sec-Fetch-Site` show."""
    hosts = list(_all(scope, b"host"))
    if len(hosts) != 1 or not is_loopback(_name(hosts[0])):
        raise Refused(421, "WrongHost", "this service answers to localhost and loopback addresses only")
    if scope["method"] in _READING:
        return
    own = {f"http://{hosts[0]}", f"https://{hosts[0]}"}
    if any(origin not in own for origin in _all(scope, b"origin")):
        raise Refused(403, "OtherOrigin", "pages of other origins may not change or ask anything here")
    if any(site not in ("same-origin", "none") for site in _all(scope, b"sec-fetch-site")):
        raise Refused(403, "OtherOrigin", "pages of other sites may not change or ask anything here")


def _all(scope: Scope, name: bytes) -> Iterable[str]:
    return (value.decode("latin-1") for header, value in scope["headers"] if header == name)


def _name(host: str) -> str:
    """The host without its port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0] if host.count(":") <= 1 else host
