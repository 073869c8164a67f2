"""The ways in which texts become vectors that can be compared: encoders, each pooled as it was made to or otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np

from seemory.errors import ModelError, SeemoryError, TowerMissing, UsageError
from seemory.models.catalog import Pooling
from seemory.models.encoder import Encoder
from seemory.models.fingerprint import external_files
from seemory.models.folder import ModelFolder
from seemory.models.loading import find_folder, read_name
from seemory.models.untrained import untrained_texts
from seemory.models.word_vectors import WordVectors, words_of
from seemory.telemetry import ProgressListener, ignore
from seemory.types import Vectors

POOLINGS = get_args(Pooling)
_BATCH = 256


@dataclass(frozen=True, slots=True)
class TextWay:
    """One way of turning texts into vectors."""

    name: str
    pooling: str
    width: int
    megabytes: float
    """Of its weights on disk."""
    embed: Callable[[Sequence[str]], Vectors]
    """`(n, d)` float32 of texts; a row of zeros is a text that it knows nothing of."""
    note: str | None = None

    @property
    def title(self) -> str:
        """Name and pooling."""
        return f"{self.name}, {self.pooling}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asked to have compared."""

    encoders: Sequence[str]
    """Catalogue names or folders."""
    poolings: Sequence[Pooling] = ()
    """Beside the encoders' own; empty: only that."""
    words: Sequence[Path] = ()
    """Files of word vectors, whose means are taken."""
    untrained: bool = False
    """Each encoder's network before training, too."""


def text_ways(
    asked: Asked,
    texts: Sequence[str],
    scratch: Path,
    *,
    home: Path,
    threads: int | None = None,
    offline: bool = False,
    listen: ProgressListener = ignore,
) -> Iterator[TextWay | str]:
    """Each way that was asked for, as it is made; instead of one that cannot be had, a line that says why.

    Args:
        asked: which.
        texts: all that will be embedded: of word vectors no others are read.
        scratch: a folder for networks drawn anew; it is needed for as long as the ways are.
        home: the data folder.
        threads: of a pass.
        offline: fetch nothing.
        listen: hears how far a fetch is.

    Raises:
        UsageError: nothing was asked for, or another precision than fp32.
        ModelError: a model cannot be found or is damaged, or there are no such word vectors.
    """
    if not asked.encoders and not asked.words:
        raise UsageError("name what turns the texts into vectors: --encoder MODEL, or --words FILE like GloVe's")
    needed = {word for text in texts for word in words_of(text)} if asked.words else set()
    for file in asked.words:
        yield _averages(file, needed, texts)
    for number, name in enumerate(asked.encoders):
        model, precision = read_name(name, home=home)
        if precision not in (None, "fp32"):
            raise UsageError(f"{name}: spaces are compared in fp32; leave @{precision} out")
        folder = find_folder(model, home=home, offline=offline, listen=listen)
        if folder.text_model is None:
            raise TowerMissing(f"{name} has no text tower: it cannot embed texts")
        yield from _pooled(folder, asked.poolings, threads)
        if asked.untrained:
            try:
                fresh = untrained_texts(folder, scratch / str(number))
            except ModelError as error:
                yield str(error)
                continue
            yield from _pooled(fresh, (), threads)


def _averages(file: Path, needed: set[str], texts: Sequence[str]) -> TextWay:
    read = WordVectors.read(file, needed)
    covered = read.coverage(texts)
    note = f"{file.name} knows {100 * covered:.1f} % of the words; the others are left out"
    return TextWay(file.name, "average", read.dim, file.stat().st_size / 1e6, read.embed, note)


def _pooled(folder: ModelFolder, poolings: Sequence[Pooling], threads: int | None) -> Iterator[TextWay | str]:
    """The folder's text encoder as it is, then in each of the other poolings."""
    own = Encoder(folder, threads=threads)
    assert folder.spec.text is not None
    session, _, output = own.text_tower()
    fixed = len(session.outputs[output].shape) == 2  # what the export has pooled cannot be pooled otherwise
    yield _way(own, f"{folder.spec.text.pooling}, its own")
    for pooling in poolings:
        if fixed:
            yield f"{own.name} is pooled in its export, so --pooling {pooling} cannot be had of it"
            return
        if pooling == folder.spec.text.pooling:
            continue
        rule = replace(folder.spec.text, pooling=pooling)
        yield _way(Encoder(replace(folder, spec=replace(folder.spec, text=rule)), threads=threads), pooling)


def _way(encoder: Encoder, pooling: str) -> TextWay:
    tower = encoder.folder.text_model
    assert tower is not None
    size = sum(file.stat().st_size for file in (tower, *external_files(tower)))
    return TextWay(encoder.name, pooling, encoder.dim, size / 1e6, encoder.embed_texts)


def embedded(way: TextWay, texts: Sequence[str], listen: Callable[[int], object] = lambda _done: None) -> Vectors:
    """`(n, d)` float32, in batches; `listen` hears how many are done.

    Raises:
        ModelError: with the way's name, if it cannot embed them.
    """
    parts = []
    for start in range(0, len(texts), _BATCH):
        try:
            parts.append(way.embed(list(texts[start : start + _BATCH])))
        except SeemoryError as error:
            raise ModelError(f"{way.title}: {error}") from error
        listen(min(start + _BATCH, len(texts)))
    return np.concatenate(parts) if parts else np.empty((0, way.width), np.float32)
