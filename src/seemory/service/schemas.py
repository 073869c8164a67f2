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
    film: str | None = Field(default=None, max_length=4096, description="Only scenes of this film: path or asset id.")
    route: Literal["auto", "visual", "rerank", "words"] | None = Field(
        default=None, description="Whether sight leads, re-ranks or is left out; among scenes auto by default."
    )
    group: bool | None = Field(default=None, description="Neighbouring scenes are one hit; by default among scenes.")


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
    regions: bool = Field(
        default=False, description="Say where in the picture a likeness lies, for a pass of five more pictures."
    )
    format: Literal["json", "html"] | None = Field(
        default=None, description="A document or a page to print; by default what the header Accept asks for."
    )


class ClassifyOptions(BaseModel):
    """What stands in the address beside a picture that is to be classified."""

    model_config = ConfigDict(extra="forbid")

    label: list[Annotated[str, Field(min_length=1, max_length=1000)]] = Field(
        min_length=2, max_length=1000, description="What it may be; repeated."
    )
    template: list[Annotated[str, Field(min_length=2, max_length=1000)]] = Field(
        default=[], max_length=100, description="A prompt with {} where the label goes; repeated."
    )


class Label(BaseModel):
    """One label's share of the answer."""

    label: str
    probability: float
    cosine: float


class Labels(BaseModel):
    """What a picture is, likeliest first."""

    labels: list[Label]


class ShownItem(BaseModel):
    """All that is known of an item."""

    item_id: UUID
    asset_id: UUID
    kind: str
    uri: str
    sha256: str | None
    bytes: int | None
    width: int | None
    height: int | None
    taken_at: str | None
    camera: str | None
    format: str | None
    start_s: float | None
    end_s: float | None
    caption: str | None
    tags: list[str]
    notes: str | None
    transcript: str | None
    language: str | None
    metadata: dict[str, Any]
    missing: bool


class Listed(BaseModel):
    """A page of items."""

    items: list[ShownItem]
    limit: int
    offset: int


class NearItems(BaseModel):
    """Items that look alike, and the smallest cosine that joined two of them."""

    items: list[ShownItem]
    cosine: float


class Groups(BaseModel):
    """Duplicates in two tiers."""

    exact: list[list[ShownItem]]
    near: list[NearItems]


class Passage(BaseModel):
    """Where an item has words of the query."""

    source: Literal["transcript", "caption", "tags", "notes"]
    text: str
    marks: list[tuple[int, int]] = Field(description="From where to where the matching words stand, in characters.")
    start_s: float | None
    end_s: float | None


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
    moment_s: float | None = Field(description="Of a scene: when the frame nearest to the query is shown.")
    missing: dict[str, str] = Field(description="Of a scene: channels that could say nothing of it, and why.")
    passages: list[Passage]
    neighbours: list[Hit] = Field(description="Scenes right beside it that are hits as well.")


class Route(BaseModel):
    """What the visual channel was there for in a search among scenes, and why."""

    visual: Literal["leads", "re-ranks", "alone", "left out"]
    reason: str
    said: str | None
    shown: str | None
    pool: int | None
    seen: int | None
    share: float | None
    skipped: str | None


class Answer(BaseModel):
    """What a search gives."""

    query: dict[str, Any]
    hits: list[Hit]
    channels: dict[str, dict[str, Any]]
    fusion: str | None
    route: Route | None
    collection: str
    model: str
    milliseconds: float


class SimilarItems(BaseModel):
    """What looks like an item."""

    query: dict[str, Any]
    hits: list[Hit]


class AddedItem(BaseModel):
    """What became of an uploaded picture."""

    item_id: UUID
    new: bool = Field(description="Whether it was not in the memory before.")


class IndexAsked(BaseModel):
    """Which files and folders of this machine are to be indexed."""

    model_config = ConfigDict(extra="forbid")

    paths: list[Annotated[str, Field(min_length=1, max_length=4096)]] = Field(
        min_length=1, max_length=100, description="Absolute, in folders that the operator has allowed."
    )
    recursive: bool = True
    prune: bool = Field(default=False, description="Mark files that are gone; searches leave them out.")
    retry_failed: bool = Field(default=False, description="Try again what failed and has not changed since.")


class ShownJob(BaseModel):
    """Long work: how far it is, and what became of it."""

    id: UUID
    collection: str
    kind: Literal["index", "upload", "retry", "reembed"]
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    stage: str | None
    done: int
    total: int | None
    report: dict[str, Any] | None = Field(description="What it did, once it has ended.")
    problem: str | None = Field(description="Why it failed.")
    cancel: bool = Field(description="It was asked to end.")
    created_at: str
    seen_at: str
    ended_at: str | None


class JobList(BaseModel):
    """An owner's jobs."""

    jobs: list[ShownJob]


class Fault(BaseModel):
    """What was wrong."""

    type: str
    message: str


class Refusal(BaseModel):
    """Every answer with a status of 400 and more."""

    error: Fault
