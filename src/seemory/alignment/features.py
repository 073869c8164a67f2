"""Frozen encoders' features of captioned pictures, made once and kept in shards.

A folder of features has `features.json` and its shards. A shard's name is a hash of what made it and what it is of, so
that a run that was stopped, or has other pictures added, makes only what is new, and never mixes two encoders.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seemory.alignment.nets import EncoderTexts, PictureNet, Tokens
from seemory.alignment.shards import Array, open_shard, shard_name, write_shard
from seemory.alignment.splits import every, split_by_content
from seemory.errors import MediaError, UsageError
from seemory.lookahead import ahead, batches
from seemory.media.captioned import Captioned, read_captions
from seemory.media.files import hash_file
from seemory.media.image import load_picture
from seemory.models.session import available_cores
from seemory.telemetry import Progress, ProgressListener, ignore
from seemory.types import Pixels

INDEX = "features.json"
FORMAT = 1
PICTURES_A_SHARD = 512
TEXTS_A_SHARD = 4096
_AT_ONCE = 32

Halves = NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class SplitRule:
    """How pictures are split; see `split_by_content`."""

    val: float = 0.1
    test: float = 0.1
    reserve_every: int = 0
    """Each so-manieth picture in the order of names, beginning with the first, is in the test; 0: none."""


@dataclass(frozen=True, slots=True)
class FeatureReport:
    """What a run made."""

    folder: Path
    pictures: int
    captions: int
    splits: dict[str, int]
    made: int
    """Pictures that went through the network in this run; the others were known."""
    failed: dict[str, str] = field(default_factory=dict)
    """Pictures that could not be used, with the reason."""


def make_features(
    images: Path,
    captions: Path,
    out: Path,
    pictures: PictureNet,
    texts: EncoderTexts,
    *,
    rule: SplitRule | None = None,
    listen: ProgressListener = ignore,
) -> FeatureReport:
    """What is now in the folder `out`. A picture that cannot be read is left out, and said.

    Args:
        images: the folder that the captions' names are below.
        captions: a file that `read_captions` takes.
        out: the folder; made if need be.
        pictures: the frozen picture network.
        texts: the frozen text network.
        rule: how pictures are split.
        listen: called with the progress.

    Raises:
        UsageError: the captions cannot be read, none of the pictures can, or the folder cannot be written.
        ModelError: a network refuses.
    """
    rule = rule or SplitRule()
    told = read_captions(captions)
    if not images.is_dir():
        raise UsageError(f"{images} is no folder: --images takes the one that the captions' names are below")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{out} cannot be made: {error}") from error
    contents, failed = _contents(images, told)
    first = {content: name for name, content in reversed(contents.items())}
    paths = {content: images / name for content, name in first.items()}
    shards, made, unreadable = _picture_shards(paths, out, pictures, listen)
    failed |= {name: unreadable[content] for name, content in contents.items() if content in unreadable}
    kept = [one for one in told if one.name not in failed]
    if not kept:
        reason = next(iter(failed.values()), "")
        raise UsageError(f"none of the {len(told)} pictures that {captions} names can be read in {images} ({reason})")
    splits = split_by_content(
        {one.name: contents[one.name] for one in kept},
        val=rule.val,
        test=rule.test,
        reserved=every([one.name for one in kept], rule.reserve_every),
    )
    said = sorted({caption for one in kept for caption in one.captions})
    text_shards = _text_shards(said, out, texts, listen)
    document = {
        "format": FORMAT,
        "pictures": {
            "encoder": pictures.name,
            "fingerprint": pictures.fingerprint,
            "layer": pictures.layer,
            "shards": shards,
        },
        "texts": {
            "encoder": texts.name,
            "fingerprint": texts.fingerprint,
            "tokens": texts.tokens,
            "shards": text_shards,
        },
        "entries": [
            {"name": one.name, "sha256": contents[one.name], "split": splits[one.name], "captions": one.captions}
            for one in kept
        ],
        "failed": failed,
    }
    _write_index(out, document)
    counted = Counter[str](splits.values())
    captions_kept = sum(len(one.captions) for one in kept)
    return FeatureReport(out, len(kept), captions_kept, dict(counted), made, failed)


def _contents(images: Path, told: Sequence[Captioned]) -> tuple[dict[str, str], dict[str, str]]:
    """Each picture's sha256 by its name; and those that cannot be read, with the reason."""
    contents: dict[str, str] = {}
    failed: dict[str, str] = {}
    for one in told:
        try:
            contents[one.name] = hash_file(images / one.name).hex()
        except MediaError as error:
            failed[one.name] = str(error)
    return contents, failed


def _picture_shards(
    paths: dict[str, Path], out: Path, net: PictureNet, listen: ProgressListener
) -> tuple[list[str], int, dict[str, str]]:
    """The shards' names, how many pictures went through the network now, and the contents that cannot be decoded."""
    names: list[str] = []
    failed: dict[str, str] = {}
    made = done = 0
    # One thread a core decodes, while the network is busy with the batch before.
    with ThreadPoolExecutor(max(1, min(4, available_cores())), "decode") as pool:
        for contents in batches(paths, PICTURES_A_SHARD):
            name = shard_name("pictures", net.fingerprint, contents)
            names.append(name)
            if (out / name).is_file():
                failed |= open_shard(out / name, ("pooled",)).failed
                done += len(contents)
                continue
            wrong: dict[str, str] = {}
            right: list[str] = []
            pooled: list[Any] = []
            tokens: list[Halves] = []
            squares = ahead(pool, lambda content: (content, _square(paths[content], net)), contents, 2 * _AT_ONCE)
            for batch in batches(squares, _AT_ONCE):
                wrong |= {content: square for content, square in batch if isinstance(square, str)}
                seen = [(content, square) for content, square in batch if not isinstance(square, str)]
                if seen:
                    shown = net.show(np.stack([square for _, square in seen]))
                    right += [content for content, _ in seen]
                    pooled.append(shown.pooled.astype(np.float32))
                    if shown.tokens is not None:
                        tokens.append(_halves(shown.tokens))
                done += len(batch)
                listen(Progress("pictures", done, len(paths), "pictures"))
            tensors: dict[str, Array] = {"pooled": np.concatenate(pooled) if pooled else np.empty((0, 0), np.float32)}
            if tokens:
                tensors["tokens"] = np.concatenate(tokens)
            write_shard(out / name, tensors, right, wrong)
            made += len(right)
            failed |= wrong
    return names, made, failed


def _text_shards(said: Sequence[str], out: Path, net: EncoderTexts, listen: ProgressListener) -> list[str]:
    names: list[str] = []
    done = 0
    for contents in batches(said, TEXTS_A_SHARD):
        name = shard_name("texts", net.fingerprint, contents)
        names.append(name)
        if not (out / name).is_file():
            pooled: list[Any] = []
            states: list[Tokens] = []
            for part in batches(contents, 8 * _AT_ONCE):
                pooled.append(net.pooled(part))
                if net.tokens:
                    states += net.states(part)
                listen(Progress("captions", done + len(part) * len(pooled), len(said), "captions"))
            tensors: dict[str, Array] = {"pooled": np.concatenate(pooled).astype(np.float32)}
            if net.tokens:
                tensors["tokens"] = _halves(np.concatenate(states))
                tensors["lengths"] = np.array([len(state) for state in states], np.int64)
            write_shard(out / name, tensors, contents, {})
        done += len(contents)
        listen(Progress("captions", done, len(said), "captions"))
    return names


def _square(path: Path, net: PictureNet) -> Pixels | str:
    try:
        return net.square(load_picture(path, target=net.side).image)
    except (OSError, MediaError) as error:
        return str(error)


def _halves(tokens: Tokens) -> Halves:
    """As float16, whose largest number is 65,504: a head normalises them anyway, and they take half the room."""
    return np.clip(tokens, -65504, 65504).astype(np.float16)


def _write_index(out: Path, document: dict[str, Any]) -> None:
    partial = out / f".{INDEX}.{os.getpid()}"
    try:
        partial.write_text(json.dumps(document, ensure_ascii=True, indent=1) + "\n", encoding="utf-8")
        partial.replace(out / INDEX)
    except OSError as error:
        raise UsageError(f"{out / INDEX} cannot be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
