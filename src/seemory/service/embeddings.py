"""Vectors by themselves, as clients of OpenAI's API ask for them: of texts, and of pictures as data URLs."""

from __future__ import annotations

import base64
import binascii
import re
import time
from typing import Annotated, Any, Final, Literal

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from seemory.memory import Memory
from seemory.service.desk import Desk
from seemory.service.refusals import Refused, document
from seemory.service.requests import REFUSALS, read_json
from seemory.settings import ServiceSettings

_PICTURE: Final = re.compile(r"data:(?:image/[a-z0-9.+-]+|application/octet-stream);base64,", re.IGNORECASE)
_STARTED: Final = int(time.time())


class EmbeddingsAsked(BaseModel):
    """What OpenAI's clients send; `user` is taken and not used."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[str, Field(min_length=1, max_length=4096, description="The collection's encoder: GET /v1/models.")]
    input: Annotated[
        Annotated[str, Field(min_length=1)]
        | Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=256)],
        Field(description="Texts; what begins with `data:image/…;base64,` is a picture."),
    ]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1, le=16_000, description="Only the encoder's own width.")] | None = None
    user: str | None = None


class Embedding(BaseModel):
    """One vector, of norm 1."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str = Field(description="As numbers, or base64 of little-endian float32.")


class Usage(BaseModel):
    """Tokens of the texts; pictures have none."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(BaseModel):
    """The vectors in the order of the input."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage


class Model(BaseModel):
    """An encoder."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class Models(BaseModel):
    """The encoders that make vectors here: the collection's."""

    object: Literal["list"]
    data: list[Model]


def add_embedding_routes(app: FastAPI, options: ServiceSettings, desk: Desk) -> None:
    """Have these routes; nothing of what they are sent is kept."""

    @app.post(
        "/v1/embeddings",
        response_model=Embeddings,
        responses=REFUSALS,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": EmbeddingsAsked.model_json_schema()}},
            }
        },
    )
    async def embeddings(request: Request) -> Response:
        """The vectors of texts and pictures by the collection's encoder."""
        async with desk.place(request) as place:
            asked = read_json(EmbeddingsAsked, request, await place.body(options.max_upload_bytes))
            return document(await place.do(lambda: _vectors(place.memory, asked)))

    @app.get("/v1/models", response_model=Models, responses=REFUSALS)
    async def models(request: Request) -> Response:
        """The encoder that `POST /v1/embeddings` takes for a model."""
        name = await desk.ask(request, lambda memory: memory.encoder_name)
        told = {"id": name, "object": "model", "created": _STARTED, "owned_by": "seemory"}
        return document({"object": "list", "data": [told]})


def _vectors(memory: Memory, asked: EmbeddingsAsked) -> dict[str, Any]:
    encoder = memory.encoder
    if asked.model != encoder.name:
        raise Refused(404, "ModelNotFound", f"the encoder here is {encoder.name}, not {asked.model[:200]!r}")
    if asked.dimensions not in (None, encoder.dim):
        raise Refused(400, "Dimensions", f"{encoder.name} makes vectors of {encoder.dim} dimensions, and of no others")
    things = [_thing(one) for one in ([asked.input] if isinstance(asked.input, str) else asked.input)]
    vectors = memory.embed(things)
    tokens = encoder.count_tokens([one for one in things if isinstance(one, str)])
    data = [
        {"object": "embedding", "index": index, "embedding": _written(vector, asked.encoding_format)}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": encoder.name, "usage": usage}


def _thing(given: str) -> str | bytes:
    """A text, or the bytes of a picture that a data URL holds. No other URL is more than a text."""
    found = _PICTURE.match(given)
    if found is None:
        if given[:5].lower() == "data:":
            raise Refused(422, "Invalid", "input: a picture is written as data:image/…;base64,…")
        return given
    try:
        return base64.b64decode(given[found.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise Refused(422, "Invalid", "input: what follows `base64,` is no base64") from None


def _written(vector: Any, form: str) -> list[float] | str:
    if form == "base64":
        return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode()
    return [float(number) for number in vector]
