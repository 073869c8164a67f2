"""One pass of arrays through a tower: what it declares is what it gets, what it gives becomes `(n, d)`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seemory.errors import ModelCorrupt
from seemory.metrics import WORK
from seemory.models.catalog import TextRule
from seemory.models.pooling import pool
from seemory.models.preprocess import normalise
from seemory.models.session import Array, Port, Session
from seemory.models.tokens import Tokens
from seemory.types import Modality, Pixels, Preprocess, Vectors

# More at once needs more memory and is no faster on a CPU.
_IMAGES, _TEXTS = 32, 32

_EMBEDDING = ("embedding", "embeddings", "sentence_embedding", "embeds")
_POOLED = ("pooler_output", "pooled_output")
_STATES = ("last_hidden_state", "token_embeddings", "hidden_states")


def image_vectors(session: Session, pixels: Pixels, rule: Preprocess, output: int) -> Vectors:
    """`(n, s, s, 3)` uint8 through the image tower: `(n, d)` float32, not yet normalised.

    Of an output `(n, t, d)` the first position is taken.
    """
    (found,) = image_outputs(session, pixels, rule, (output,))
    return found[:, 0] if found.ndim == 3 else found


def image_outputs(session: Session, pixels: Pixels, rule: Preprocess, outputs: Sequence[int]) -> list[Vectors]:
    """`(n, s, s, 3)` uint8 through the image tower: these of its outputs, float32."""
    picture = image_port(session)
    last = len(picture.shape) == 4 and picture.shape[3] == 3 and picture.shape[1] != 3
    parts: list[list[Vectors]] = [[] for _ in outputs]
    for start, stop, size in _chunks(len(pixels), picture.shape[0] if picture.shape else None, _IMAGES):
        batch = _filled(pixels[start:stop], size)
        planes: NDArray[Any] = batch
        if picture.dtype is not np.uint8:
            planes = normalise(batch, rule)
            if last:
                planes = planes.transpose(0, 2, 3, 1)
        elif not last:
            planes = batch.transpose(0, 3, 1, 2)
        feeds: dict[str, Array] = {picture.name: np.ascontiguousarray(planes, dtype=picture.dtype)}
        for port in session.inputs:
            if port.name != picture.name:
                feeds[port.name] = np.ones((len(batch), rule.size, rule.size), dtype=port.dtype)
        with WORK.timed("seemory_inference_seconds", tower="image"):
            found = session.run(feeds)
        WORK.count("seemory_image_passes_total")
        WORK.count("seemory_pictures_embedded_total", stop - start)
        for part, output in zip(parts, outputs, strict=True):
            part.append(found[output][: stop - start].astype(np.float32, copy=False))
    return [np.concatenate(part) for part in parts]


def text_vectors(session: Session, texts: Sequence[str], tokens: Tokens, rule: TextRule, output: int) -> Vectors:
    """The texts through the text tower: `(n, d)` float32, in their order, not yet normalised."""
    words = ids_port(session)
    rows = tokens.encode(texts)
    # Texts of like length share a pass, so that short ones are not padded to the longest of all.
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    parts = []
    for start, stop, size in _chunks(len(rows), words.shape[0] if words.shape else None, _TEXTS):
        ids, mask = (_filled(part, size) for part in tokens.pad([rows[index] for index in order[start:stop]]))
        feeds = text_feeds(session, ids, mask)
        with WORK.timed("seemory_inference_seconds", tower="text"):
            found = session.run(feeds)[output]
        WORK.count("seemory_text_passes_total")
        WORK.count("seemory_texts_embedded_total", stop - start)
        vectors = pool(found, rule.pooling, ids, mask, tokens.end_id, padded=rule.padding == "context")
        parts.append(vectors[: stop - start])
    sorted_vectors = np.concatenate(parts)
    vectors = np.empty_like(sorted_vectors)
    vectors[order] = sorted_vectors
    return vectors


def text_feeds(session: Session, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> dict[str, Array]:
    """What each input of the text tower gets for `(n, t)` ids and their mask, in the type it declares."""
    words = ids_port(session)
    return {port.name: _text_feed(port, words, ids, mask) for port in session.inputs}


def image_port(session: Session) -> Port:
    """The input that takes the picture: the only one of four dimensions."""
    ports = [port for port in session.inputs if len(port.shape) == 4]
    others = [port.name for port in session.inputs if len(port.shape) != 4 and "mask" not in port.name]
    if len(ports) != 1 or others:
        raise ModelCorrupt(f"the image tower takes {_names(session.inputs)}; expected one picture of four dimensions.")
    return ports[0]


def ids_port(session: Session) -> Port:
    """The input that takes the token ids: by name, else the only integer one that is nothing else."""
    known = [port for port in session.inputs if port.name in ("input_ids", "text", "ids", "tokens")]
    rest = known or [port for port in session.inputs if _role(port) is None and np.issubdtype(port.dtype, np.integer)]
    strange = [port for port in session.inputs if port not in rest and _role(port) is None]
    if len(rest) != 1 or strange:
        raise ModelCorrupt(
            f"the text tower takes {_names(session.inputs)}; expected token ids and, at most, their masks."
        )
    return rest[0]


def choose_output(session: Session, modality: Modality, dim: int, pooling: str | None) -> int:
    """Index of the output that holds the embedding.

    An embedding by name comes first. A `pooler_output` is the embedding of towers that end in it, but not of a sentence
    encoder that is pooled by mean or first token: BERT's pooler was trained for something else.
    """
    states_first = modality == "text" and pooling in ("mean", "cls", "max")
    second, third = (_STATES, _POOLED) if states_first else (_POOLED, _STATES)
    order = (f"{modality}_embeds", f"{modality}_embedding", f"{modality}_features", *_EMBEDDING, *second, *third)
    outputs = list(session.outputs)
    fits = [i for i, port in enumerate(outputs) if not port.shape or port.shape[-1] in (dim, None) or not dim]
    fits = [i for i in fits if len(outputs[i].shape) in (0, 2, 3)]
    if not fits:
        widths = ", ".join(f"{port.name} {port.shape}" for port in outputs)
        raise ModelCorrupt(f"the {modality} tower gives {widths}; none is {dim} wide as the specification says.")
    ranks = {name: rank for rank, name in enumerate(order)}
    return min(fits, key=lambda i: (ranks.get(outputs[i].name, len(order)), i))


def _text_feed(port: Port, words: Port, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Array:
    if port is words:
        return ids.astype(port.dtype)
    role = _role(port)
    if role == "mask":
        return mask.astype(port.dtype)
    if role == "position":
        return np.broadcast_to(np.arange(ids.shape[1]), ids.shape).astype(port.dtype)
    return np.zeros(ids.shape, dtype=port.dtype)


def _role(port: Port) -> str | None:
    for role in ("mask", "type", "position"):
        if role in port.name:
            return role
    return None


def _chunks(count: int, fixed: int | None, most: int) -> Iterator[tuple[int, int, int]]:
    """(start, stop, rows to feed) of each pass; an export of fixed batch size always gets that many rows."""
    step = fixed or most
    for start in range(0, count, step):
        stop = min(start + step, count)
        yield start, stop, fixed or stop - start


def _filled(rows: NDArray[Any], size: int) -> NDArray[Any]:
    """The rows, with the last one repeated up to `size`."""
    return rows if len(rows) == size else np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])


def _names(ports: tuple[Port, ...]) -> str:
    return ", ".join(f"{port.name} {port.shape}" for port in ports)
