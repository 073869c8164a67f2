"""Signing in on the page: a key becomes a cookie that the browser shows to this service alone, and to no script."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from seemory.service.admission import COOKIE, bearer
from seemory.service.desk import Desk
from seemory.service.refusals import document

_DAYS: Final = 30


def add_signing(app: FastAPI, desk: Desk) -> None:
    """Have somebody sign in and out.

    The cookie is `HttpOnly` and `SameSite=Strict`: no script reads it, and no other site's page makes a browser send
    it; what changes anything is refused to other origins besides (`guard`). It holds the key itself, so a revoked one
    opens nothing from that moment on, in all processes, and there is no list of sessions to keep. The key comes as any
    program shows it, in the header `Authorization`.
    """

    @app.post("/page/sign-in", include_in_schema=False)
    async def sign_in(request: Request) -> Response:
        secret = bearer(request)
        caller = await desk.admit(request, "read")
        answer = document({"owner": caller.owner, "scope": caller.scope})
        answer.set_cookie(COOKIE, secret, max_age=_DAYS * 86_400, **_kept(request))
        return answer

    @app.post("/page/sign-out", include_in_schema=False)
    async def sign_out(request: Request) -> Response:
        answer = document({})
        answer.delete_cookie(COOKIE, **_kept(request))
        return answer


def _kept(request: Request) -> dict[str, Any]:
    """How a browser is to keep it: where the way here is encrypted, for such ways alone."""
    encrypted = request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
    return {"path": "/", "httponly": True, "samesite": "strict", "secure": encrypted}
