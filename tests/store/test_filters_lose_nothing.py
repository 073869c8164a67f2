"""Owners and filters of every size over vectors like CLIP's: all hits there are, and nearly always the right ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from data_folders import copy_home

pytest.importorskip("benchmarks.filters", reason="the repository's root is not on the path")

from benchmarks import clip_like
from benchmarks.filters import KEEPS, Loaded, load, measure
from seemory.store.connect import open_database, stop_embedded
from seemory.types import Vectors

ROWS = 15_000


@pytest.fixture(scope="module")
def real(shared: Path) -> clip_like.Real:
    return clip_like.real(shared)


@pytest.fixture(scope="module")
def loaded(real: clip_like.Real, pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    home = copy_home(pristine, tmp_path_factory.mktemp("filters"))
    with open_database(None, home=home) as database:
        yield load(database, clip_like.blow_up(real.images, ROWS, h=0.645))
    stop_embedded(home)


def queries(real: clip_like.Real, kind: str) -> Vectors:
    if kind == "pictures":
        return real.image_queries[:6]
    return real.text_queries[: clip_like.NAMES : 201] if kind == "names" else real.text_queries[clip_like.NAMES :: 84]


@pytest.mark.parametrize("kind", ["names", "captions", "pictures"])
@pytest.mark.parametrize("owner", ["most", "1 %", "0.01 %"])
def test_every_hit_there_is_and_the_right_ones(
    loaded: Loaded, real: clip_like.Real, owner: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seemory.store.choice._OUTSIDE_ROWS", 0)  # or words would not be asked of the index
    asked = queries(real, kind)
    for keeps in KEEPS:
        for limit in (1, 10, 500):
            case = measure(loaded, owner, keeps, asked, limit)
            print({name: case[name] for name in ("filter keeps", "k", "wanted", "recall", "way")})
            assert case["fewest hits"] == case["wanted"]
            assert case["recall"] >= 0.98


def test_blown_up_vectors_have_the_real_ones_geometry(real: clip_like.Real) -> None:
    made = clip_like.blow_up(real.images, 3000, h=0.645)
    was, now = (clip_like.geometry(vectors, real.text_queries, len(real.images)) for vectors in (real.images, made))
    for name, value in was.items():
        assert now[name] == pytest.approx(value, rel=0.15), name
