"""The values that travel between the rooms: frozen, and made of nothing but data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from seemory.cues import SpokenWords
from seemory.errors import UsageError

Vector = NDArray[np.float32]
"""`(d,)` float32, of norm 1 where it is an embedding."""

Vectors = NDArray[np.float32]
"""`(n, d)` float32, rows of norm 1 where they are embeddings."""

Pixels = NDArray[np.uint8]
"""`(h, w, 3)` or `(n, h, w, 3)` uint8 RGB."""

Blob = bytes
"""The type `bytes`, for classes whose field of that name would hide it."""

Kind = Literal["image", "scene", "text"]
Channel = Literal["visual", "text"]
Modality = Literal["image", "text"]
Visual = Literal["leads", "re-ranks", "alone", "left out"]
"""What the visual channel is there for in a search."""
Operator = Literal["=", "!=", "<", "<=", ">", ">=", "~"]


@dataclass(frozen=True, slots=True)
class Preprocess:
    """How a picture becomes the square an image tower expects."""

    size: int
    resize_mode: Literal["shortest", "squash"] = "shortest"
    interpolation: Literal["bicubic", "bilinear", "lanczos"] = "bicubic"
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition on a hit: `field operator value`, all conditions must hold.

    `field` is one of `path`, `name`, `taken`, `camera`, `width`, `height`, `bytes`, `format`, `tag`, or any other word,
    which then names a key of the item's metadata (dots descend). `~` is case-insensitive "contains".
    """

    field: str
    operator: Operator
    value: str

    @classmethod
    def parse(cls, text: str) -> Filter:
        """The condition that `field operator value` writes, such as `width>=1000` or `camera~canon`.

        Raises:
            UsageError: there is no operator or no field in it.
        """
        match = re.fullmatch(r"\s*([^\s!<>=~]+)\s*(!=|<=|>=|=|<|>|~)\s*(.*?)\s*", text, re.DOTALL)
        if match is None:
            raise UsageError(f"not a condition: {text!r}; write for example width>=1000, taken=2021-05, camera~canon")
        return cls(match[1], match[2], match[3])  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class EmbeddingRecord:
    """What is kept beside one vector, or in its place when it could not be made."""

    model_name: str
    pretrained: str
    embed_dim: int
    normalized: bool = True
    device: str = "cpu"
    frame_path: str | None = None
    frame_quality: Mapping[str, Any] | None = None
    inference_time_ms: float | None = None
    created_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat().replace("+00:00", "Z"))
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The record as the metadata document that is stored with the vector."""
        return {name: getattr(self, name) for name in self.__slots__}


def error_text(error: BaseException) -> str:
    """An exception as a record's `error`: `Type: message`, at most 200 characters."""
    try:
        message = str(error)
    except Exception:  # of a stranger's class
        message = ""
    return f"{type(error).__name__}: {message}"[:200]


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What a picture file says of itself, after the EXIF turn (width and height as a person sees it)."""

    width: int
    height: int
    format: str
    taken_at: datetime | None = None
    camera: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """All that indexing learned of one file: either its item and vector, or the reason why not."""

    uri: str
    bytes: int
    mtime_ns: int
    sha256: Blob | None = None
    kind: Kind = "image"
    facts: PictureFacts | None = None
    thumbnail: Blob | None = None
    vector: Vector | None = None
    record: EmbeddingRecord | None = None
    error: str | None = None
    """Why the file gave no item: set when it could not be read at all."""
    beside: Mapping[int, tuple[Vector | None, EmbeddingRecord]] = field(default_factory=dict)
    """Vector and record for each other generation (by its id) that is kept up to date beside the live one."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What is known of it where there are no facts of a picture."""
    start_s: float | None = None
    end_s: float | None = None
    """Of a scene that came by itself, its times in its film."""


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """One frame that stands for its scene."""

    index: int
    """Its place among the film's frames, from 0."""
    time_s: float
    """When it is shown, from the film's beginning."""
    brightness: float
    sharpness: float
    quality_score: float
    """0 to 1."""
    pixels: str
    """Hexadecimal sha256 of its pixels: the same frame has the same."""
    note: str | None = None
    """Why it was taken though its quality was refused."""

    def as_json(self) -> dict[str, Any]:
        """The frame as the item's metadata has it."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class SceneVectors:
    """A scene in one generation: the mean of its frames' vectors brought to norm 1, and each frame's own."""

    vector: Vector | None
    record: EmbeddingRecord
    frames: tuple[Vector | None, ...] = ()
    """In the order of the scene's frames; None where one could not be embedded."""
    frame_records: tuple[EmbeddingRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class SceneOutcome:
    """One scene of a film."""

    start_s: float
    end_s: float
    first_frame: int
    end_frame: int
    """The first frame that is no longer of it."""
    frames: tuple[FrameFacts, ...]
    thumbnail: Blob | None
    vectors: Mapping[int, SceneVectors]
    """For each generation, by its id."""


@dataclass(frozen=True, slots=True)
class FilmOutcome:
    """All that indexing learned of one film: it is written whole or not at all."""

    uri: str
    bytes: int
    mtime_ns: int
    sha256: Blob | None
    facts: PictureFacts
    detector: str
    """Which one found the scenes."""
    scenes: tuple[SceneOutcome, ...]
    damage: str | None = None
    """What of it could not be read."""
    words: SpokenWords = field(default_factory=SpokenWords)
    """What is said in it."""


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file that the store has met before."""

    asset_id: UUID
    uri: str
    bytes: int
    mtime_ns: int
    sha256: Blob | None
    error: str | None
    missing: bool
    embedded: bool
    """Whether its items have vectors in the generation that was asked about."""
    kind: Kind = "image"
    """`scene` for a film."""
    words_from: Mapping[str, Any] | None = None
    """What the words of a film were read from; None if they never were."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One table of vectors, made by one fingerprint."""

    id: int
    collection: str
    channel: Channel
    table: str
    model: str
    fingerprint: str
    dim: int
    state: Literal["building", "ready", "live", "retired", "failed"]


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that can be found."""

    item_id: UUID
    asset_id: UUID
    kind: Kind
    uri: str
    sha256: str | None
    bytes: int | None
    width: int | None
    height: int | None
    taken_at: datetime | None
    camera: str | None
    format: str | None
    start_s: float | None
    end_s: float | None
    caption: str | None
    tags: tuple[str, ...]
    notes: str | None
    transcript: str | None
    """Whole in an item that was asked for by itself; of hits and in listings its first 1,000 characters."""
    language: str | None
    """The text search configuration of the words above."""
    metadata: Mapping[str, Any]
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Description:
    """Words for one item, as a person gives them: None leaves what is there, an empty text or no tags removes it."""

    caption: str | None = None
    tags: tuple[str, ...] | None = None
    notes: str | None = None
    transcript: str | None = None
    language: str | None = None
    """The text search configuration; None leaves the item's, which at first is the setting `search.language`."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An item and its raw cosine to a query vector, as the store answers."""

    item: Item
    cosine: float


@dataclass(frozen=True, slots=True)
class Passage:
    """Where an item has words of a query."""

    source: Literal["transcript", "caption", "tags", "notes"]
    text: str
    """The cue, or a piece of a longer text."""
    marks: tuple[tuple[int, int], ...]
    """From where to where in it the matching words stand, in characters."""
    start_s: float | None = None
    """When it is said in the film, where that is known."""
    end_s: float | None = None

    def marked(self, before: str = "*", after: str = "*") -> str:
        """The text with the matching words between these marks."""
        parts, at = [], 0
        for start, end in self.marks:
            parts += [self.text[at:start], before, self.text[start:end], after]
            at = end
        return "".join([*parts, self.text[at:]])


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer of a search."""

    item_id: UUID
    kind: Kind
    uri: str
    score: float
    """Calibrated, 0 to 1: how far the cosine lies above unrelated pairs of this encoder and direction."""
    cosine: float | None
    """To the item's picture; None where there is no vector of it, or where nothing was asked that has one."""
    rank: int
    start_s: float | None = None
    end_s: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    moment_s: float | None = None
    """Of a scene, when the frame nearest to the query is shown; None where nothing was compared with its frames."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Of a scene, the channels that could say nothing of it, with the reason."""
    neighbours: tuple[Hit, ...] = ()
    """The scenes right before and after it that are hits as well, in the film's order, where they are grouped."""
    passages: tuple[Passage, ...] = ()
    """Where words of the query stand in what was said of the item or in it."""

    def as_json(self) -> dict[str, Any]:
        """The hit as the document that `--json` prints."""
        document = {name: getattr(self, name) for name in self.__slots__}
        return document | {
            "item_id": str(self.item_id),
            "metadata": dict(self.metadata),
            "reasons": list(self.reasons),
            "missing": dict(self.missing),
            "passages": [asdict(passage) for passage in self.passages],
            "neighbours": [neighbour.as_json() for neighbour in self.neighbours],
        }


@dataclass(frozen=True, slots=True)
class ChannelAnswer:
    """What one channel had to say in a search."""

    candidates: int
    """How many items it named, at most `seemory.search.channels.POOL`; the order beyond them is by sight alone."""
    weight: float
    """What was asked for."""
    effective: float
    """What it counted: its share of 1, after the weights of the silent channels went to the others."""
    left_out: str | None = None
    """Why it counted nothing."""


@dataclass(frozen=True, slots=True)
class Route:
    """What the visual channel was there for in a search among scenes, and why."""

    visual: Visual
    reason: str
    said: str | None = None
    """What words were searched for, where words led."""
    shown: str | None = None
    """What pictures were compared with, where that is in words."""
    pool: int | None = None
    """How many items words named, of which sight was to change the order."""
    seen: int | None = None
    """How many of these have a vector; the others keep a middle place."""
    share: float | None = None
    """What sight's ranks counted in the new order, of 1."""
    skipped: str | None = None
    """Why the order of the words stayed."""


class Hits(list[Hit]):
    """The hits of a search, best first, and what each channel contributed."""

    def __init__(
        self,
        hits: Iterable[Hit] = (),
        channels: Mapping[str, ChannelAnswer] | None = None,
        fusion: str | None = None,
        route: Route | None = None,
    ) -> None:
        super().__init__(hits)
        self.channels: Mapping[str, ChannelAnswer] = channels or {}
        self.fusion = fusion
        """How the channels were fused; None where one answered alone."""
        self.route = route
        """What the visual channel was there for; None where no route was chosen."""

    def as_json(self) -> dict[str, Any]:
        """The answer as the document that `--json` prints: hits, channels, fusion, route."""
        channels = {name: asdict(answer) for name, answer in self.channels.items()}
        route = None if self.route is None else asdict(self.route)
        return {"hits": [hit.as_json() for hit in self], "channels": channels, "fusion": self.fusion, "route": route}


@dataclass(frozen=True, slots=True)
class CosineStatistics:
    """Where the cosines of unrelated pairs and of right pairs lie, for one encoder and one direction."""

    background_mean: float
    background_std: float
    match_mean: float
    match_std: float
