"""What a request brings: a picture as its body, JSON, options in the address; checked, or refused."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from seemory.service.refusals import Refused
from seemory.service.schemas import Refusal

REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    code: {"model": Refusal} for code in (400, 401, 403, 404, 408, 413, 415, 421, 422, 429, 500, 503, 507)
}
"""How each route may refuse, as the API's description has it."""

BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
"""Bytes, as the API's description has them."""

A_PICTURE: Final = {"image/*": BINARY, "application/octet-stream": BINARY}
"""A body that is a picture."""


def is_picture(request: Request) -> bool:
    """Whether the body is announced as a picture's bytes."""
    kind = _content_type(request)
    return kind.startswith("image/") or kind == "application/octet-stream"


def require_picture(request: Request) -> None:
    """Nothing. Raises Refused where the body is announced as something else."""
    if not is_picture(request):
        raise Refused(415, "NoPicture", "send the picture's bytes as the body, with their Content-Type")


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


_SEVERAL: Final = ("where", "label", "template")


def in_the_address(request: Request) -> dict[str, Any]:
    """What stands in the address; conditions, labels and templates may stand there several times."""
    given: dict[str, Any] = dict(request.query_params)
    return given | {name: request.query_params.getlist(name) for name in _SEVERAL if name in given}


M = TypeVar("M", bound=BaseModel)


def read(model: type[M], given: dict[str, Any]) -> M:
    """What was said, checked. Raises Refused."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise wrong(error.errors()) from None


def read_json(model: type[M], request: Request, body: bytes) -> M:
    """What a JSON body says, checked. Raises Refused."""
    if _content_type(request) != "application/json":
        raise Refused(415, "NoSearch", "send JSON as application/json, or a picture's bytes as image/jpeg or the like")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise wrong(error.errors()) from None


def wrong(found: Any) -> Refused:
    """The places that are wrong, not what was sent."""
    said = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['msg']}" for one in found[:10])
    return Refused(422, "Invalid", said)
