"""Features as training and evaluation read them: one or several folders, mapped, as if they were one set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seemory.alignment.features import FORMAT, INDEX
from seemory.alignment.shards import Array, Shard, open_shard
from seemory.alignment.splits import SPLITS, Split
from seemory.errors import UsageError

Rows = NDArray[np.int64]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture of the set."""

    name: str
    sha256: str
    split: Split
    captions: tuple[int, ...]
    """The numbers of its captions in the set."""


@dataclass(frozen=True, slots=True)
class _Side:
    """Where the rows of pictures or of captions lie: the shard and the row in it, by number."""

    shards: tuple[Shard, ...]
    shard: Rows
    row: Rows

    def tensor(self, name: str) -> list[Array]:
        return [shard.tensors[name] for shard in self.shards]


class FeatureSet:
    """Pictures with their captions and the features of both. Nothing is read before it is asked for."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """The union of the folders.

        Raises:
            UsageError: there is none, one is no folder of features, two were made by different encoders, or a picture
                is in one split here and in another there.
        """
        if not folders:
            raise UsageError("no folder of features is named: `seemory align features` makes one")
        documents = [_document(folder) for folder in folders]
        first = documents[0]
        for folder, document in zip(folders, documents, strict=True):
            for side in ("pictures", "texts"):
                if document[side]["fingerprint"] != first[side]["fingerprint"]:
                    raise UsageError(
                        f"{folder} has {side} of another encoder or layer than {folders[0]}: they cannot be mixed"
                    )
        self.folders = tuple(folders)
        self.picture_encoder: dict[str, Any] = {k: first["pictures"][k] for k in ("encoder", "fingerprint", "layer")}
        self.text_encoder: dict[str, Any] = {k: first["texts"][k] for k in ("encoder", "fingerprint", "tokens")}
        self.captions: tuple[str, ...] = tuple(
            sorted({said for document in documents for entry in document["entries"] for said in entry["captions"]})
        )
        numbers = {said: number for number, said in enumerate(self.captions)}
        self.entries: tuple[Entry, ...] = tuple(
            Entry(told["name"], told["sha256"], told["split"], tuple(numbers[said] for said in told["captions"]))
            for document in documents
            for told in document["entries"]
        )
        _require_one_split_each(self.entries)
        self.has_tokens = first["pictures"]["layer"] is not None
        self._pictures = _side(folders, documents, "pictures", [entry.sha256 for entry in self.entries])
        self._texts = _side(folders, documents, "texts", list(self.captions))

    def rows(self, split: Split) -> Rows:
        """The numbers of the split's pictures."""
        return np.array([n for n, entry in enumerate(self.entries) if entry.split == split], np.int64)

    @property
    def picture_width(self) -> dict[str, int]:
        """How wide the pictures' features are: `tokens` (if there are any) and `pooled`."""
        return {name: int(shard.shape[-1]) for name, shard in self._pictures.shards[0].tensors.items()}

    @property
    def text_width(self) -> dict[str, int]:
        """How wide the captions' features are: `tokens` (if there are any) and `pooled`."""
        first = self._texts.shards[0].tensors
        return {name: int(first[name].shape[-1]) for name in ("tokens", "pooled") if name in first}

    def picture_tokens(self, rows: Rows) -> Floats:
        """`(n, t, d)` of these pictures. Raises UsageError where the features have no tokens."""
        if not self.has_tokens:
            raise UsageError(f"{self.folders[0]} has pooled features alone: make it with --level tokens")
        return _gathered(self._pictures, "tokens", rows)

    def picture_pooled(self, rows: Rows) -> Floats:
        """`(n, p)` of these pictures, rows of norm 1."""
        return _gathered(self._pictures, "pooled", rows)

    def text_pooled(self, rows: Rows) -> Floats:
        """`(n, p)` of these captions, rows of norm 1."""
        return _gathered(self._texts, "pooled", rows)

    def text_tokens(self, rows: Rows) -> tuple[Floats, Mask]:
        """`(n, t, d)` of these captions, as long as the longest, and `(n, t)` true where there is text."""
        if "tokens" not in self._texts.shards[0].tensors:
            raise UsageError(f"{self.folders[0]} has captions pooled alone: make it with --text-tokens")
        states, lengths = self._texts.tensor("tokens"), self._texts.tensor("lengths")
        starts = [np.concatenate([[0], np.cumsum(one)]) for one in lengths]
        places = list(zip(self._texts.shard[rows], self._texts.row[rows], strict=True))
        longest = max(int(lengths[shard][row]) for shard, row in places)
        found = np.zeros((len(places), longest, states[0].shape[-1]), np.float32)
        mask = np.zeros((len(places), longest), np.bool_)
        for number, (shard, row) in enumerate(places):
            begin, end = starts[shard][row], starts[shard][row + 1]
            found[number, : end - begin] = states[shard][begin:end]
            mask[number, : end - begin] = True
        return found, mask


def _gathered(side: _Side, name: str, rows: Rows) -> Floats:
    tensors = side.tensor(name)
    found = np.empty((len(rows), *tensors[0].shape[1:]), np.float32)
    shards = side.shard[rows]
    for shard in np.unique(shards):
        here = np.flatnonzero(shards == shard)
        order = here[np.argsort(side.row[rows[here]])]  # the disk is read forwards
        found[order] = tensors[shard][side.row[rows[order]]]
    return found


def _document(folder: Path) -> dict[str, Any]:
    path = folder / INDEX
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read ({error}): `seemory align features` makes such a folder") from error
    try:
        if document["format"] != FORMAT:
            raise UsageError(f"{path} is of form {document['format']}, and {FORMAT} is needed: make the features again")
        for side in ("pictures", "texts"):
            for key in ("encoder", "fingerprint", "shards"):
                document[side][key]
            for name in document[side]["shards"]:
                if Path(name).name != name:
                    raise UsageError(f"{path} names a shard outside its folder: {name!r}")
        document["pictures"].setdefault("layer", None)
        document["texts"].setdefault("tokens", False)
        if not document["entries"]:
            raise UsageError(f"{path} has no picture in it")
        for entry in document["entries"]:
            if not all(isinstance(said, str) for said in [entry["name"], entry["sha256"], *entry["captions"]]):
                raise UsageError(f"{path} has an entry whose name or captions are no text: make the features again")
            if entry["split"] not in SPLITS:
                raise UsageError(f"{path}: {entry['split']!r} is no split; there are {', '.join(SPLITS)}")
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is no index of features ({type(error).__name__}: {error}): make it again") from error
    return dict(document)


def _require_one_split_each(entries: Sequence[Entry]) -> None:
    seen: dict[str, Entry] = {}
    for entry in entries:
        other = seen.setdefault(entry.sha256, entry)
        if other.split != entry.split:
            raise UsageError(
                f"{entry.name} is in the split {entry.split!r}, and the same picture, {other.name}, in "
                f"{other.split!r}: make both folders of features with the same shares and reserved pictures"
            )


def _side(folders: Sequence[Path], documents: Sequence[dict[str, Any]], side: str, wanted: list[str]) -> _Side:
    shards: list[Shard] = []
    for folder, document in zip(folders, documents, strict=True):
        tensors = ["pooled"]
        if side == "pictures" and document[side]["layer"] is not None:
            tensors.append("tokens")
        if side == "texts" and document[side]["tokens"]:
            tensors += ["tokens", "lengths"]
        opened = [open_shard(folder / name, tensors) for name in document[side]["shards"]]
        for shard in opened:
            _require_sound(shard)
        shards += [shard for shard in opened if shard.contents]
    places = {content: (s, row) for s, shard in enumerate(shards) for row, content in enumerate(shard.contents)}
    try:
        found = np.array([places[content] for content in wanted], np.int64).reshape(-1, 2)
    except KeyError as error:
        raise UsageError(f"{folders[0]}: no shard has the features of {str(error)[:60]}: make them again") from error
    return _Side(tuple(shards), found[:, 0], found[:, 1])


def _require_sound(shard: Shard) -> None:
    count = len(shard.contents)
    tensors = shard.tensors
    rows = {name: len(tensor) for name, tensor in tensors.items() if not (name == "tokens" and "lengths" in tensors)}
    if any(length != count for length in rows.values()):
        raise UsageError(f"{shard.path} has {rows} rows for {count} contents: delete it and make the features again")
    if "lengths" in tensors and (
        np.any(tensors["lengths"] < 1) or int(tensors["lengths"].sum()) != len(tensors["tokens"])
    ):
        raise UsageError(f"{shard.path} has other lengths than positions: delete it and make the features again")
