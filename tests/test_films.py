"""Films in a memory: indexed among pictures, found by the second, moved, changed, damaged, read again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_films import moving, still, write_film, write_sound

from seemory.embedding import films as films_module
from seemory.errors import ItemNotFound
from seemory.media import film_opening
from seemory.memory import Memory
from seemory.store.films import Films
from seemory.telemetry import Progress
from seemory.types import Item

NAMES = ("coffee", "rocket", "cat")


@pytest.fixture
def film(tmp_path: Path, package_photographs: dict[str, Path]) -> Path:
    """Three scenes, of 2, 4.4 and 1.6 seconds: coffee, a rocket, a cat."""
    (tmp_path / "films").mkdir()
    shots = [still(package_photographs[name]) for name in NAMES]
    frames = [frame for shot, count in zip(shots, (50, 110, 40), strict=True) for frame in moving(shot, count)]
    return write_film(tmp_path / "films" / "three.mp4", frames, metadata={"title": "Breakfast at the launch pad"})


def counts(memory: Memory, *paths: Path, **options: bool) -> dict[str, int]:
    return dict(memory.index(*paths, **options).counts)


def scenes(memory: Memory) -> list[Item]:
    return [item for item in memory.items() if item.kind == "scene"]


def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures go through the encoder in each forward pass, from here on."""
    seen: list[int] = []
    embed = films_module.embed
    monkeypatch.setattr(
        films_module, "embed", lambda encoder, pixels: seen.append(len(pixels)) or embed(encoder, pixels)
    )
    return seen


def test_a_film_among_pictures_is_found_by_the_second(memory: Memory, photos: Path, film: Path) -> None:
    shutil.move(film, photos / "three.mp4")
    report = memory.index(photos)
    assert (report.indexed, report.failed, report.found) == (9, 0, 9)
    found = scenes(memory)
    assert [(item.start_s, item.end_s) for item in found] == [(0.0, 2.0), (2.0, 6.4), (6.4, 8.0)]
    assert [len(item.metadata["frames"]) for item in found] == [1, 2, 1]
    assert {(item.width, item.height, item.format) for item in found} == {(320, 240, "MOV")}
    for name, item in zip(NAMES, found, strict=True):
        hit = memory.search(f"a {name}", kind="scene", limit=1)[0]
        assert (hit.item_id, hit.start_s, hit.end_s) == (item.item_id, item.start_s, item.end_s)
        assert memory.thumbnail(item.item_id)[:3] == b"\xff\xd8\xff"  # type: ignore[index]
    both = memory.search("a cat", limit=2)
    assert {(hit.kind, Path(hit.uri).name) for hit in both} == {("image", "cat.png"), ("scene", "three.mp4")}
    assert memory.stats()["by_kind"] == {"image": 8, "scene": 3}
    assert {hit.kind for hit in memory.search("breakfast", limit=20, weights={"visual": 0, "text": 0})} == {"scene"}


def test_a_scene_finds_the_picture_it_shows(memory: Memory, photos: Path, film: Path) -> None:
    memory.index(photos, film)
    for name, item in zip(NAMES, scenes(memory), strict=True):
        alike = [Path(hit.uri).stem for hit in memory.similar(item.item_id, limit=1)]
        assert alike == [name]


def test_the_scenes_vector_is_the_mean_of_its_frames(memory: Memory, film: Path) -> None:
    memory.index(film)
    live = memory._rooms.live()
    stored = Films(memory.database, memory.owner).scenes(scenes(memory)[1].asset_id, [live])[2]
    for ordinal, scene in enumerate(stored):
        made = scene.vectors[live.id]
        frames = np.stack([vector for vector in made.frames if vector is not None])
        assert len(frames) == len(scene.frames) == len(made.frame_records)
        mean = frames.mean(axis=0)
        assert made.vector is not None
        assert made.vector == pytest.approx(mean / np.linalg.norm(mean), abs=1e-3)
        assert np.linalg.norm(frames, axis=1) == pytest.approx(np.ones(len(frames)), abs=1e-3)
        for place, (facts, record) in enumerate(zip(scene.frames, made.frame_records, strict=True)):
            assert record.frame_path == f"scene_{ordinal}_frame_{place}.jpg"
            assert record.frame_quality == {
                "quality_score": facts.quality_score,
                "brightness": facts.brightness,
                "sharpness": facts.sharpness,
                "time_s": facts.time_s,
            }
            assert record.error is None
            assert record.inference_time_ms is not None
            assert scene.start_s <= facts.time_s < scene.end_s
            assert scene.first_frame <= facts.index < scene.end_frame - 1


def test_the_second_run_has_nothing_to_do_and_reprocessing_changes_nothing(
    memory: Memory, film: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.index(film, photos)
    assert counts(memory, film, photos) == {"unchanged": 9}
    before = {item.item_id: item for item in memory.items()}
    vectors = {hit.item_id: hit.cosine for hit in memory.search("a cat", limit=50)}
    memory.describe(scenes(memory)[0].item_id, caption="the first cup")
    seen = passes(monkeypatch)
    for _ in range(2):
        assert counts(memory, film, photos, reprocess=True) == {"indexed": 9}
    assert sum(seen) == 0, "every frame of the film was known by its pixels"
    after = {item.item_id: item for item in memory.items()}
    assert after.keys() == before.keys()
    assert {item.caption for item in scenes(memory)} == {"the first cup", None}
    assert [item.metadata for item in after.values()] == [before[name].metadata for name in after]
    again = {hit.item_id: hit.cosine for hit in memory.search("a cat", limit=50, weights={"words": 0, "text": 0})}
    assert again == pytest.approx(vectors, abs=1e-3)


def test_the_same_frame_twice_in_a_film_is_embedded_once(
    memory: Memory, tmp_path: Path, package_photographs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shots = [still(package_photographs[name]) for name in ("coffee", "rocket", "coffee", "rocket")]
    path = write_film(tmp_path / "slides.mp4", [shot for shot in shots for _ in range(50)], gop=1)
    seen = passes(monkeypatch)
    memory.index(path)
    assert len(scenes(memory)) == 4
    hashes = [frame["pixels"] for item in scenes(memory) for frame in item.metadata["frames"]]
    assert len(hashes) == 4
    assert sum(seen) == len(set(hashes)) == 2


def test_a_moved_and_a_copied_film(memory: Memory, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.index(film)
    before = [item.item_id for item in scenes(memory)]
    seen = passes(monkeypatch)
    moved = film.rename(film.parent / "elsewhere.mp4")
    assert counts(memory, film.parent) == {"moved": 1}
    assert [item.item_id for item in scenes(memory)] == before
    shutil.copy(moved, film)
    assert counts(memory, film.parent) == {"copied": 1, "unchanged": 1}
    assert len(scenes(memory)) == 6
    assert seen == []
    for name in ("elsewhere.mp4", "three.mp4"):
        assert memory.search("a rocket", where=[f"name={name}"], limit=1)[0].start_s == 2.0
    found = memory.duplicates(threshold=0.9)
    assert len(found.exact) == 1, "the two films, each by its first scene"
    assert found.near == (), "their scenes are no pairs beside that, nor are scenes of one film"


def test_a_changed_film_has_other_scenes(memory: Memory, film: Path, package_photographs: dict[str, Path]) -> None:
    memory.index(film)
    before = {item.item_id for item in scenes(memory)}
    write_film(film, moving(still(package_photographs["astronaut"]), 100))
    assert counts(memory, film) == {"indexed": 1}
    assert [(item.start_s, item.end_s) for item in scenes(memory)] == [(0.0, 4.0)]
    assert not before & {item.item_id for item in scenes(memory)}


def test_a_film_that_becomes_a_picture_and_back(
    memory: Memory, film: Path, package_photographs: dict[str, Path]
) -> None:
    memory.index(film)
    whole = film.read_bytes()
    shutil.copy(package_photographs["rocket"], film)
    assert counts(memory, film) == {"indexed": 1}
    assert [(item.kind, item.start_s) for item in memory.items()] == [("image", None)]
    film.write_bytes(whole)
    assert counts(memory, film) == {"indexed": 1}
    assert [item.kind for item in memory.items()] == ["scene"] * 3


def test_bad_films_are_stored_with_their_reason_and_stop_nothing(memory: Memory, film: Path) -> None:
    folder = film.parent
    (folder / "empty.mp4").touch()
    (folder / "words.mkv").write_text("no film " * 500)
    write_sound(folder / "voice.mp4")
    whole = film.read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    report = memory.index(folder)
    assert dict(report.counts) == {"indexed": 1, "failed": 4}
    assert {Path(uri).name for uri, _ in report.errors} == {"empty.mp4", "words.mkv", "voice.mp4", "cut.mp4"}
    assert len(memory.errors()) == 4
    assert counts(memory, folder) == {"unchanged": 1, "known_bad": 4}
    assert counts(memory, folder, retry_failed=True) == {"unchanged": 1, "failed": 4}
    film.write_bytes(whole[:1000])
    assert counts(memory, film) == {"failed": 1}
    assert scenes(memory) == [], "what cannot be read any more is in no answer"


def test_a_film_that_is_damaged_in_part_gives_the_rest_and_says_so(
    memory: Memory, tmp_path: Path, package_photographs: dict[str, Path]
) -> None:
    path = write_film(
        tmp_path / "front.mp4",
        [frame for name in NAMES for frame in moving(still(package_photographs[name]), 60)],
        options={"movflags": "faststart"},
    )
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    report = memory.index(path)
    assert dict(report.counts) == {"partial": 1}
    assert "cut short" in report.errors[0][1]
    assert 1 <= len(scenes(memory)) <= 3
    assert "cut short" in scenes(memory)[0].metadata["damage"]
    assert counts(memory, path) == {"unchanged": 1}


def test_without_the_extra_pictures_go_on_and_the_film_says_what_to_install(
    memory: Memory, photos: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.move(film, photos / "three.mp4")
    with monkeypatch.context() as without:
        without.setattr(film_opening, "find_spec", lambda name: None)
        report = memory.index(photos)
        assert (report.indexed, report.failed) == (8, 1)
        assert "pip install 'seemory[video]'" in report.errors[0][1]
    assert counts(memory, photos, retry_failed=True) == {"indexed": 1, "unchanged": 8}


def test_forgetting_a_scene_and_a_film(memory: Memory, film: Path) -> None:
    memory.index(film)
    first = scenes(memory)[0]
    with pytest.raises(ItemNotFound, match=r"several items.* at 0:02"):
        memory.get(str(film))
    assert memory.forget([first.item_id]) == 1
    assert len(scenes(memory)) == 2
    assert counts(memory, film) == {"unchanged": 1}
    assert memory.forget([str(film)]) == 2
    assert memory.stats()["assets"] == 0
    assert counts(memory, film) == {"indexed": 1}
    assert len(scenes(memory)) == 3


def test_a_kill_in_the_middle_leaves_no_half_film(memory: Memory, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as trap:
        trap.setattr(films_module.FrameEmbedder, "flush", killed)
        assert memory.index(film).interrupted
    assert memory.stats()["assets"] == 0
    with monkeypatch.context() as trap:
        trap.setattr("seemory.store.films.note_words", killed)
        assert memory.index(film).interrupted
    assert memory.stats()["assets"] == 0
    assert counts(memory, film) == {"indexed": 1}


def test_progress_is_told_in_seconds_of_the_film(memory: Memory, film: Path) -> None:
    told: list[Progress] = []
    memory.index(film, listen=told.append)
    assert [event.done for event in told if event.stage == "film"] == list(range(8))
    assert {(event.total, event.unit, event.subject) for event in told if event.stage == "film"} == {
        (8, "s of film", "three.mp4")
    }


def test_a_memory_that_insists_on_another_detector(new_memory: Callable[..., Memory], film: Path) -> None:
    whole = new_memory(video={"detector": "threshold"})
    whole.index(film)
    assert [(item.start_s, item.end_s) for item in scenes(whole)] == [(0.0, 8.0)], "nothing fades: one scene"
    assert scenes(whole)[0].metadata["detector"] == "threshold"
