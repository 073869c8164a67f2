"""Scenes in a change of encoder: their frames are fetched from the film again, and are the very ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_encoders import narrowed, turned
from made_films import moving, still, write_film

from seemory.memory import Memory
from seemory.store.films import Films
from seemory.store.generations import Generations
from seemory.types import SceneOutcome


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(turned(tmp_path_factory.mktemp("encoders") / "turned"))


@pytest.fixture(scope="session")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(narrowed(tmp_path_factory.mktemp("encoders") / "narrowed"))


@pytest.fixture
def film(tmp_path: Path, package_photographs: dict[str, Path]) -> Path:
    shots = [still(package_photographs[name]) for name in ("coffee", "rocket", "cat")]
    frames = [frame for shot, count in zip(shots, (50, 200, 40), strict=True) for frame in moving(shot, count)]
    return write_film(tmp_path / "three.mkv", frames, gop=25)


def stored(memory: Memory) -> tuple[list[int], list[SceneOutcome]]:
    """The ids of the generations, the live one first, and the scenes of the only film."""
    generations = Generations(memory.database).all(memory.collection)
    asset = next(item for item in memory.items() if item.kind == "scene").asset_id
    scenes = Films(memory.database, memory.owner).scenes(asset, generations)[2]
    return [generation.id for generation in generations], list(scenes)


def test_the_new_generation_has_the_vectors_of_the_same_frames(
    memory: Memory, film: Path, photos: Path, other: str
) -> None:
    memory.index(film, photos)
    memory.reembedding().start(other)
    (old, new), scenes = stored(memory)
    assert [len(scene.frames) for scene in scenes] == [1, 3, 1]
    for scene in scenes:
        before, after = scene.vectors[old], scene.vectors[new]
        assert before.vector is not None
        assert after.vector is not None
        assert after.vector[::-1] == pytest.approx(before.vector, abs=2e-3), "the other encoder reverses dimensions"
        for one, two in zip(before.frames, after.frames, strict=True):
            assert one is not None
            assert two is not None
            assert two[::-1] == pytest.approx(one, abs=2e-3)
        assert [record.frame_path for record in after.frame_records] == [r.frame_path for r in before.frame_records]
    memory.reembedding().switch()
    hit = memory.search("a rocket", kind="scene", limit=1)[0]
    assert (hit.start_s, hit.end_s) == (2.0, 10.0)


def test_a_film_that_comes_while_two_generations_stand_goes_to_both(
    memory: Memory, film: Path, photos: Path, narrow: str
) -> None:
    memory.index(photos)
    memory.reembedding().start(narrow)
    memory.index(film)
    (old, new), scenes = stored(memory)
    for scene in scenes:
        assert {len(frame) for frame in scene.vectors[new].frames if frame is not None} == {96}
        assert {len(frame) for frame in scene.vectors[old].frames if frame is not None} == {256}
        assert np.linalg.norm(scene.vectors[new].vector) == pytest.approx(1.0, abs=1e-3)
    assert memory.reembedding().start(narrow).embedded == 0


def test_a_film_that_is_gone_or_has_changed_gives_its_reason(
    memory: Memory, film: Path, photos: Path, other: str, new_memory: Callable[..., Memory]
) -> None:
    memory.index(film, photos)
    whole = film.read_bytes()
    film.unlink()
    report = memory.reembedding().start(other)
    assert report.as_json()["failed"] == 3
    (_, new), scenes = stored(memory)
    assert {scene.vectors[new].vector is None for scene in scenes} == {True}
    assert all("not there" in (scene.vectors[new].record.error or "") for scene in scenes)
    film.write_bytes(whole + b"more")
    memory.backfill(retry=True)
    _, scenes = stored(memory)
    assert all("has changed" in (scene.vectors[new].record.error or "") for scene in scenes)
