"""What the service says of itself: a JSON document a line, with the request's id on all that is said because of it."""

from __future__ import annotations

import json
import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import IO, Any, Final
from uuid import uuid4

REQUESTS: Final = logging.getLogger("seemory.service.requests")
"""A line for each request."""

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that this code runs for, also in its thread."""

_OWN_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Keys are never logged on purpose: this is for those that somebody put where they do not belong.
_SECRETS: Final = re.compile(r"smy_[A-Za-z0-9_-]{8,}|(?<=://)[^\s/@:]+:[^\s/@]+(?=@)|(?<=[Bb]earer )\S+")


def id_for(given: str | None) -> str:
    """The client's own id for its request, if it is a harmless one, or a new one."""
    return given if given and _OWN_ID.fullmatch(given) else uuid4().hex


class Lines(logging.Formatter):
    """A record as one line of JSON, without keys and passwords."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        said: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "from": record.name,
        }
        if one := request_id.get():
            said["request_id"] = one
        if message := record.getMessage():
            said["message"] = message
        said |= getattr(record, "told", {})
        if record.exc_info:
            said["trace"] = self.formatException(record.exc_info)
        return _SECRETS.sub("…", json.dumps(said, ensure_ascii=True, default=str))


def log_to(stream: IO[str] = sys.stderr, *, requests: bool) -> None:
    """Have all that is logged written there from now on; lines about each request only if asked for."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Lines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    REQUESTS.setLevel(logging.INFO if requests else logging.CRITICAL)
