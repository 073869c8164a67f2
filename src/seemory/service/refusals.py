"""What went wrong → the status and the document that a client gets."""

from __future__ import annotations

import json
from math import ceil
from typing import Any, Final

from starlette.responses import Response

from seemory import errors

_STATUS: Final[tuple[tuple[type[errors.SeemoryError], int], ...]] = (
    # The first class that fits counts, so those of one branch come before its root.
    (errors.ItemNotFound, 404),
    (errors.AdvisorNotFound, 404),
    (errors.CollectionMismatch, 500),
    (errors.TowerMissing, 400),
    (errors.UsageError, 400),
    (errors.UnsupportedMedia, 415),
    (errors.MediaTooLarge, 413),
    (errors.MediaError, 422),
    (errors.ModelUnavailable, 503),
    (errors.CriticUnreachable, 503),
    (errors.CriticError, 502),
    (errors.Busy, 429),
    (errors.TookTooLong, 503),
    (errors.ClusterUnreachable, 503),
    (errors.DatabaseUnreachable, 503),
    (errors.DatabaseBusy, 503),
    (errors.GenerationsChanged, 503),
    (errors.DiskFull, 507),
    (errors.SeemoryError, 500),
)
_OURS: Final = {
    500: "the service failed at this; its log says why",
    503: "the service cannot answer at the moment: try again soon",
    507: "the service has no room left on its disk",
}
"""What is said where the fault is the service's: its own messages name folders and databases, and go to the log."""

RETRY_S: Final = 1
"""After so many seconds whoever was refused for the moment may ask again."""


class Refused(Exception):
    """A request that is refused before the memory is asked."""

    def __init__(self, status: int, kind: str, message: str, *, retry_s: float = RETRY_S) -> None:
        super().__init__(message)
        self.status, self.kind, self.retry_s = status, kind, retry_s


def document(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer; names of files that are no Unicode keep their escaped bytes."""
    content = json.dumps(body, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace")
    return Response(content, status, headers, "application/json")


def status_of(error: errors.SeemoryError) -> int:
    """The HTTP status that an error of the library becomes."""
    return next(status for kind, status in _STATUS if isinstance(error, kind))


def said_of(error: Exception) -> str:
    """What a client is told of it."""
    if isinstance(error, Refused | errors.TookTooLong):
        return str(error)
    if not isinstance(error, errors.SeemoryError):
        return _OURS[500]
    return _OURS.get(status_of(error), str(error))


def fault(error: errors.SeemoryError | Refused) -> dict[str, str]:
    """What went wrong, as a document has it."""
    return {"type": error.kind if isinstance(error, Refused) else type(error).__name__, "message": said_of(error)}


def refusal(error: errors.SeemoryError | Refused) -> Response:
    """The answer: `{"error": {"type": …, "message": …}}`."""
    if isinstance(error, Refused):
        return _said(error.status, fault(error), error.retry_s)
    return _said(status_of(error), fault(error))


def failure() -> Response:
    """The answer where something failed that nobody had thought of."""
    return _said(500, {"type": "InternalError", "message": _OURS[500]})


def _said(status: int, found: dict[str, str], retry_s: float = RETRY_S) -> Response:
    headers = {"Retry-After": str(ceil(retry_s))} if status in (429, 503) else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return document({"error": found}, status, headers)
