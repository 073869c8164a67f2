"""Items that somebody described → their sentence vectors, in batches that a kill cannot take back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from uuid import UUID

from seemory.errors import ModelError
from seemory.models.encoder import Encoder
from seemory.store.describing import Descriptions, Unembedded
from seemory.telemetry import Progress, ProgressListener, ignore
from seemory.types import EmbeddingRecord, Generation, Vector

BATCH = 64  # texts a forward pass


def embed_sentences(
    descriptions: Descriptions, generation: Generation, encoder: Encoder, listen: ProgressListener = ignore
) -> int:
    """How many items got their vector: all that wait for one, in the order of their ids."""
    total, done, after = descriptions.count_waiting(generation), 0, UUID(int=0)
    written = 0
    while page := descriptions.waiting(generation, after, BATCH):
        written += descriptions.write_vectors(generation, _embedded(encoder, page))
        after, done = page[-1].item_id, done + len(page)
        listen(Progress("sentences", done, max(done, total), "items"))
    return written


def _embedded(encoder: Encoder, page: Sequence[Unembedded]) -> list[tuple[Unembedded, Vector | None, EmbeddingRecord]]:
    """Each item with its vector and record; where a batch fails, its texts are tried one by one."""
    start = time.perf_counter()
    try:
        vectors = encoder.embed_texts([one.text for one in page])
    except ModelError as error:
        if len(page) > 1:
            return [result for one in page for result in _embedded(encoder, [one])]
        return [(page[0], None, encoder.record(error=f"{type(error).__name__}: {error}"[:200]))]
    record = encoder.record(inference_time_ms=round((time.perf_counter() - start) * 1000 / len(page), 2))
    return [(one, vector, record) for one, vector in zip(page, vectors, strict=True)]
