"""How fast an encoder is in a way, and how near its vectors are to those of fp32: on real pictures and texts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from seemory.errors import SeemoryError
from seemory.models.encoder import Encoder
from seemory.models.precision import REFERENCE, Precision, Runtime, Way
from seemory.telemetry import Progress, ProgressListener, ignore
from seemory.types import Pixels, Vectors

QUERIES = (
    *("a cat", "a dog on a beach", "two people ride bicycles past a red house", "kitchen", "a cup of coffee"),
    *("a child laughing", "snow on a mountain at sunrise", "a crowded street at night with neon signs", "flowers"),
    *("an old man reading a newspaper on a bench", "birthday cake with candles", "a sailing boat", "a brick wall"),
    *("the handwritten menu of a small restaurant", "a portrait in black and white", "stars", "a football match"),
    *("my grandmother in the garden", "a bridge over a river in the fog", "a red car parked in front of a shop"),
    *("rocket launch", "an empty room with a large window", "a bird on a branch", "fruit on a market stall"),
    *("a bride and groom dancing", "an aerial view of fields", "rain on glass", "a train arriving at a station"),
    *("a screenshot of a spreadsheet", "a horse jumping over a fence", "hands holding a book", "a temple by a lake"),
)
"""Words for where no captions are given: such as people search with."""

RECALL_AT = (1, 5, 10)

Truth = tuple[Vectors | None, Vectors | None]
"""The pictures' and the texts' vectors in fp32."""

_BATCHES = (1, 8, 32)
_ENOUGH_S = 0.2


@dataclass(frozen=True, slots=True)
class Material:
    """What the ways are measured with."""

    pixels: Pixels | None
    """`(n, s, s, 3)` uint8: real pictures, preprocessed; None for an encoder of words only."""
    texts: tuple[str, ...]
    belongs: tuple[int, ...] | None = None
    """For each text, which picture it is a caption of; None where the texts are no captions."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Cosines of the same inputs' vectors in a way and in fp32."""

    mean: float
    p5: float
    """The 5th percentile: nineteen of twenty are at least that near."""
    count: int


@dataclass(frozen=True, slots=True)
class Measured:
    """One way of running an encoder, measured; or the reason why it was not."""

    runtime: Runtime
    precision: Precision
    missing: str | None = None
    batch: int | None = None
    """The number of pictures a pass at which it was fastest."""
    pictures_per_s: float | None = None
    pictures_per_s_alone: float | None = None
    """One picture a pass."""
    texts_per_s: float | None = None
    """One text a pass, as a search asks."""
    pictures: Agreement | None = None
    texts: Agreement | None = None
    recall: dict[int, float] | None = None
    """Share of captions whose picture is among the nearest 1, 5, 10."""
    load_s: float | None = None
    bytes: int | None = None
    """Of the towers on disk."""

    @property
    def way(self) -> Way:
        """The way that was measured."""
        return Way(self.runtime, self.precision)

    @property
    def speed(self) -> float:
        """Pictures a second; of an encoder without pictures, texts. 0 of one that was not measured."""
        return self.pictures_per_s or self.texts_per_s or 0.0

    @property
    def fidelity(self) -> float:
        """The lower of both towers' 5th percentiles of cosines to fp32; 0 of one that was not measured."""
        return min((found.p5 for found in (self.pictures, self.texts) if found is not None), default=0.0)


def measure(
    make: Callable[[Way], Encoder],
    ways: Mapping[Way, str | None],
    material: Material,
    listen: ProgressListener = ignore,
) -> list[Measured]:
    """Each way's figures, in the order given; the first is fp32 by ONNX Runtime, which the others are compared with.

    Args:
        make: gives the encoder in a way; one is in memory at a time.
        ways: each with the reason why it cannot be gone here, or None.
        material: real pictures and texts.
        listen: called with the progress.

    Raises:
        ModelError: the first cannot be loaded or run. Of the others, that is a reason why they were not measured.
    """
    found: list[Measured] = []
    truth: Truth = (None, None)
    for number, (way, missing) in enumerate(ways.items()):
        assert found or way == REFERENCE
        listen(Progress("measure", number, len(ways), "ways"))
        if missing is None:
            try:
                measured, vectors = _measured(make(way), material, truth)
                if found and way.precision != "fp32" and _equal(vectors, truth):
                    measured = Measured(way.runtime, way.precision, "it changes nothing in this encoder")
                truth = truth if found else vectors
            except SeemoryError as error:
                if not found:
                    raise
                measured = Measured(way.runtime, way.precision, str(error))
        else:
            measured = Measured(way.runtime, way.precision, missing)
        found.append(measured)
    listen(Progress("measure", len(ways), len(ways), "ways"))
    return found


def agreement(vectors: Vectors, truth: Vectors) -> Agreement:
    """How near rows of norm 1 are to the rows of the same place in `truth`."""
    cosines = np.einsum("nd,nd->n", vectors.astype(np.float64), truth.astype(np.float64))
    return Agreement(float(cosines.mean()), float(np.quantile(cosines, 0.05)), len(cosines))


def recall(texts: Vectors, pictures: Vectors, belongs: Sequence[int]) -> dict[int, float]:
    """For each k of `RECALL_AT`, the share of texts whose picture is among the k nearest; ties count against it."""
    from seemory.evaluation.recall import ranks  # whoever only searches never measures

    places = ranks(texts, pictures, belongs, range(len(pictures)))
    return {k: float((places <= k).mean()) for k in RECALL_AT}


def _measured(encoder: Encoder, material: Material, truth: Truth) -> tuple[Measured, Truth]:
    pixels = material.pixels if encoder.has_images else None
    words = list(material.texts) if encoder.has_texts else []
    few = words[:8]
    started = time.perf_counter()
    encoder.load()
    load_s = time.perf_counter() - started
    pictures = encoder.embed_pixels(pixels) if pixels is not None else None
    texts = encoder.embed_texts(words) if words else None
    rates: dict[int, float] = {}
    if pixels is not None:
        for batch in _BATCHES:
            some = np.resize(pixels, (batch, *pixels.shape[1:]))
            rates[batch] = _rate(lambda some=some: encoder.embed_pixels(some), batch)  # type: ignore[misc]
    best = max(rates, key=lambda batch: rates[batch]) if rates else None
    ranked = None
    if pictures is not None and texts is not None and material.belongs is not None:
        ranked = recall(texts, pictures, material.belongs)
    measured = Measured(
        encoder.way.runtime,
        encoder.way.precision,
        batch=best,
        pictures_per_s=rates[best] if best is not None else None,
        pictures_per_s_alone=rates.get(1),
        texts_per_s=_rate(lambda: [encoder.embed_texts([word]) for word in few], len(few)) if few else None,
        pictures=None if pictures is None else agreement(pictures, pictures if truth[0] is None else truth[0]),
        texts=None if texts is None else agreement(texts, texts if truth[1] is None else truth[1]),
        recall=ranked,
        load_s=load_s,
    )
    return measured, (pictures, texts)


def _equal(vectors: Truth, truth: Truth) -> bool:
    """Whether all vectors are the same to the last bit."""
    pairs = zip(vectors, truth, strict=True)
    return all(one is None or other is None or np.array_equal(one, other) for one, other in pairs)


def _rate(call: Callable[[], object], count: int) -> float:
    """How many a second, of the fastest of several calls: what else runs on the machine only ever slows one down."""
    call()
    fastest, until = float("inf"), time.perf_counter() + _ENOUGH_S
    for turn in range(1000):
        started = time.perf_counter()
        call()
        fastest = min(fastest, time.perf_counter() - started)
        if turn and time.perf_counter() > until:
            break
    return count / fastest
