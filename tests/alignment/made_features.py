"""Folders of features made from numbers: what a picture shows stands at one of its positions, what is said of it in a
turned space, and a head has to find the one to meet the other."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import numpy as np

from seemory.alignment.features import INDEX
from seemory.alignment.shards import shard_name, write_shard
from seemory.alignment.splits import split_by_content

POSITIONS, WIDTH, TEXT = 4, 24, 16


def made_features(
    folder: Path,
    *,
    count: int = 160,
    seed: int = 0,
    same: bool = False,
    name: str = "",
    val: float = 0.15,
    test: float = 0.15,
) -> Path:
    """`count` pictures of two captions each; `same`: all pictures and captions have the same features."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    meant = rng.normal(size=(1 if same else count, 6))
    meant = np.repeat(meant, count, axis=0) if same else meant
    tokens = rng.normal(size=(count, POSITIONS, WIDTH)) * 0.1
    into, out = np.random.default_rng(7).normal(size=(6, WIDTH)), np.random.default_rng(8).normal(size=(6, TEXT))
    tokens[np.arange(count), rng.integers(0, POSITIONS, count)] += meant @ into
    if same:
        tokens[:] = tokens[0]
    said = np.repeat(meant @ out, 2, axis=0) + (0 if same else rng.normal(size=(2 * count, TEXT)) * 0.1)
    said /= np.linalg.norm(said, axis=1, keepdims=True)
    contents = [sha256(f"{seed}{name}{n}".encode()).hexdigest() for n in range(count)]
    captions = [f"{name}caption {n} of {seed}" for n in range(2 * count)]
    shards = {"pictures": shard_name("pictures", "made", contents), "texts": shard_name("texts", "made", captions)}
    pooled = tokens.mean(axis=1)
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    write_shard(
        folder / shards["pictures"],
        {"tokens": tokens.astype(np.float16), "pooled": pooled.astype(np.float32)},
        contents,
        {},
    )
    lengths = np.full(2 * count, 2, np.int64)
    lengths[::3] = 3
    states = np.repeat(said, lengths, axis=0)
    write_shard(
        folder / shards["texts"],
        {"pooled": said.astype(np.float32), "tokens": states.astype(np.float16), "lengths": lengths},
        captions,
        {},
    )
    names = {f"{name}{n:04}.png": content for n, content in enumerate(contents)}
    splits = split_by_content(names, val=val, test=test)
    entries = [
        {"name": picture, "sha256": content, "split": splits[picture], "captions": captions[2 * n : 2 * n + 2]}
        for n, (picture, content) in enumerate(names.items())
    ]
    document = {
        "format": 1,
        "pictures": {"encoder": "made", "fingerprint": "made", "layer": "made", "shards": [shards["pictures"]]},
        "texts": {"encoder": "made", "fingerprint": "made", "tokens": True, "shards": [shards["texts"]]},
        "entries": entries,
        "failed": {},
    }
    (folder / INDEX).write_text(json.dumps(document))
    return folder
