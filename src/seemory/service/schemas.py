"""What requests may say, and what answers look like, as the API's description has it."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

Condition = Annotated[str, Field(max_length=1000)]


class SearchOptions(BaseModel):
    """What a search by a picture may say beside it, in the address."""

    model_config = ConfigDict(extra="forbid")

    words: str | None = Field(default=None, max_length=10_000, description="What the picture shows, or was said of it.")
    limit: int = Field(default=10, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, le=1_000_000)
    min_score: float | None = Field(default=None, ge=0, le=1, description="The least calibrated score.")
    kind: Literal["image", "scene", "text"] | None = None
    where: list[Condition] = Field(default=[], max_length=50, description="Such as width>=1000 or taken=2021-05.")


class Search(SearchOptions):
    """A search by words, by an item, or by both."""

    like: str | None = Field(default=None, max_length=4096, description="An item: its id, or a beginning of it.")
    weights: dict[str, float] = Field(default={}, description="How much the channels visual, text and words count.")
    fusion: Literal["rrf", "minmax"] | None = None
    language: str | None = Field(default=None, max_length=63)


class AdviceOptions(BaseModel):
    """What stands in the address beside a picture that advice is asked about."""

    model_config = ConfigDict(extra="forbid")

    advisor: str = Field(min_length=1, max_length=200, description="Whose library.")
    mode: Literal["similar", "dimensions", "critic", "combined"] = "combined"
    limit: int = Field(default=3, ge=1, le=100, description="How many works are named as nearest.")


class Hit(BaseModel):
    """One answer of a search."""

    item_id: UUID
    kind: str
    uri: str
    score: float
    cosine: float | None
    rank: int
    start_s: float | None
    end_s: float | None
    metadata: dict[str, Any]
    reasons: list[str]


class Answer(BaseModel):
    """What a search gives."""

    query: dict[str, Any]
    hits: list[Hit]
    channels: dict[str, dict[str, Any]]
    fusion: str | None
    collection: str
    model: str
    milliseconds: float


class AddedItem(BaseModel):
    """What became of an uploaded picture."""

    item_id: UUID
    new: bool = Field(description="Whether it was not in the memory before.")


class Fault(BaseModel):
    """What was wrong."""

    type: str
    message: str


class Refusal(BaseModel):
    """Every answer with a status of 400 and more."""

    error: Fault
