"""What no request gets past: only this machine's names for this machine, no page of another site, a bounded body."""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seemory.metrics import Metrics
from seemory.service.admission import FROM_A_PAGE, Caller
from seemory.service.logs import REQUESTS, id_for, request_id
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


class Guard:
    """Around the application: refuses what must not reach it, counts what it answers, and says what a page may do."""

    def __init__(self, app: ASGIApp, metrics: Metrics, *, local: bool, origins: Sequence[str] = ()) -> None:
        """Around that application.

        Args:
            app: what is guarded.
            metrics: what is counted goes there.
            local: whether it answers without a key, to this machine: then to its own names alone.
            origins: whose pages may ask, with a key.
        """
        self._app = app
        self._metrics = metrics
        self._local = local
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        start, status, sent = time.perf_counter(), 0, 0
        own_id = id_for(next(iter(_all(scope, b"x-request-id")), None))
        request_id.set(own_id)  # a request has a context of its own

        async def heard(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                given = list(message.get("headers", ()))
                named = {name.lower() for name, _ in given}  # a page says itself what it needs
                ours = [one for one in (*_HEADERS, (b"cache-control", b"no-store")) if one[0] not in named]
                message = {**message, "headers": [*given, *ours, (b"x-request-id", own_id.encode())]}
            sent += len(message.get("body", b""))
            await send(message)

        try:
            self._require_allowed(scope)
            await self._app(scope, receive, heard)
        except Refused as error:
            self._metrics.count("seemory_failures_total", reason=error.kind)
            await refusal(error)(scope, receive, heard)
        except Exception:
            if status:
                raise
            self._metrics.count("seemory_failures_total", reason="InternalError")
            log.exception("a request failed")
            await failure()(scope, receive, heard)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            seconds = time.perf_counter() - start
            self._metrics.count("seemory_requests_total", route=route, status=str(status or "gone"))
            self._metrics.observe("seemory_request_seconds", seconds, route=route)
            REQUESTS.info("", extra={"told": _told(scope, route, status, seconds, sent)})

    def _require_allowed(self, scope: Scope) -> None:
        """A page that a browser shows from elsewhere can ask for this machine: by its own name that it has made mean
        this machine, which the header `Host` shows, or by this machine's name, which `Origin` and `Sec-Fetch-Site`
        show."""
        hosts = list(_all(scope, b"host"))
        if len(hosts) != 1 or (self._local and not is_loopback(_name(hosts[0]))):
            raise Refused(421, "WrongHost", "this service answers to localhost and loopback addresses only")
        own = {f"http://{hosts[0]}", f"https://{hosts[0]}"}
        others = set(_all(scope, b"origin")) - own
        if others and others <= self._origins:
            scope.setdefault("state", {})[FROM_A_PAGE] = True
            return
        if scope["method"] in _READING:
            return
        if others:
            raise Refused(403, "OtherOrigin", "pages of other origins may not change or ask anything here")
        if any(site not in ("same-origin", "none") for site in _all(scope, b"sec-fetch-site")):
            raise Refused(403, "OtherOrigin", "pages of other sites may not change or ask anything here")


def _told(scope: Scope, route: str, status: int, seconds: float, sent: int) -> dict[str, Any]:
    """What the log says of a request: its route and not its address, for that may hold what somebody looks for."""
    caller: Caller | None = scope.get("state", {}).get("caller")
    who = {} if caller is None else {"owner": caller.owner, "key": caller.key and str(caller.key)[:8]}
    return {
        "method": scope["method"],
        "route": route,
        "status": status or "gone",
        "milliseconds": round(seconds * 1000, 1),
        "bytes": sent,
        **who,
    }


def _all(scope: Scope, name: bytes) -> Iterable[str]:
    return (value.decode("latin-1") for header, value in scope["headers"] if header == name)


def _name(host: str) -> str:
    """The host without its port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0] if host.count(":") <= 1 else host
