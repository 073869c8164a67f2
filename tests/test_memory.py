"""The object a user holds: searching, comparing, classifying, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seemory.errors import CollectionMismatch, ItemNotFound, ModelNotFound, UnreadableMedia, UsageError
from seemory.memory import Memory
from seemory.settings import read_settings


@pytest.fixture(scope="module")
def filled(home: Path, package_photographs: dict[str, Path]) -> Iterator[Memory]:
    """A memory of eight photographs that no test of this file changes."""
    with Memory(read_settings(home=home, owner="filled", collection="filled", model="seemory-mini")) as memory:
        report = memory.index(*package_photographs.values())
        assert report.indexed == 8
        yield memory


def names(hits: list) -> list[str]:
    return [Path(hit.uri).name for hit in hits]


def cosine_of(name: str, hits: list) -> float:
    return next(hit.cosine for hit in hits if Path(hit.uri).name == name)


def test_words_find_pictures_best_first(filled: Memory) -> None:
    hits = filled.search("a cat", limit=8)
    assert [hit.rank for hit in hits] == list(range(1, 9))
    assert [hit.cosine for hit in hits] == sorted((hit.cosine for hit in hits), reverse=True)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert "chelsea.png" in names(hits[:2])
    assert all(hit.reasons and 0 <= hit.score <= 1 for hit in hits)


def test_a_picture_finds_itself_and_an_item_finds_others(filled: Memory, package_photographs: dict[str, Path]) -> None:
    cat = package_photographs["cat"]
    assert names(filled.search(image=cat, limit=1)) == ["chelsea.png"]
    like = filled.search(like=str(cat), limit=8)
    assert len(like) == 7
    assert "chelsea.png" not in names(like)
    item = filled.get(str(cat))
    assert names(filled.similar(item.item_id, limit=8)) == names(like)
    assert names(filled.similar(str(item.item_id)[:8], limit=8)) == names(like)


def test_similar_says_that_a_file_is_neither_in_the_memory_nor_on_disk(filled: Memory, photos: Path) -> None:
    with pytest.raises(ItemNotFound, match="no such file"):
        filled.similar(photos / "nowhere.jpg")


def test_similar_takes_a_file_that_is_not_in_the_memory(filled: Memory, photos: Path) -> None:
    assert names(filled.similar(photos / "cat.png", limit=1)) == ["chelsea.png"]


def test_terms_are_added_and_taken_away(filled: Memory, package_photographs: dict[str, Path]) -> None:
    cat, coffee = (str(package_photographs[name]) for name in ("cat", "coffee"))
    assert set(names(filled.search(plus=[cat, coffee], limit=2))) == {"chelsea.png", "coffee.png"}
    without = filled.search(plus=[cat], minus=[coffee], limit=8)
    assert names(without)[0] == "chelsea.png"
    assert names(without)[-1] == "coffee.png"
    plain, moved = filled.search("a cat", limit=8), filled.search("a cat", minus=[coffee], limit=8)
    assert names(moved)[-1] == "coffee.png"
    assert cosine_of("coffee.png", moved) < cosine_of("coffee.png", plain)


def test_pages_join_without_a_gap(filled: Memory) -> None:
    whole = filled.search("a photograph", limit=8)
    assert filled.search("a photograph", limit=3) + filled.search("a photograph", limit=5, offset=3) == whole
    assert filled.search("a photograph", offset=100) == []


def test_the_least_score_cuts_the_list(filled: Memory) -> None:
    whole = filled.search("a cat", limit=8)
    border = (whole[2].score + whole[3].score) / 2
    assert filled.search("a cat", limit=8, min_score=border) == whole[:3]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (["name=chelsea.png"], {"chelsea.png"}),
        (["path~SKIMAGE", "format=jpeg"], {"rocket.jpg", "hubble_deep_field.jpg"}),
        (["width>=640", "height<430", "path~skimage"], {"rocket.jpg"}),
        (["width<100"], set()),
        (["camera~nikon"], set()),
    ],
)
def test_conditions_hold_for_every_hit(filled: Memory, where: list[str], expected: set[str]) -> None:
    found = set(names(filled.search("a photograph", limit=20, where=where)))
    assert found == expected
    assert {Path(item.uri).name for item in filled.items(where=where)} == expected


def test_only_images_are_asked_for_and_given(filled: Memory) -> None:
    assert len(filled.search("a cat", kind="image")) == 8
    assert filled.search("a cat", kind="scene") == []
    with pytest.raises(UsageError, match="image, scene, text"):
        filled.search("a cat", kind="picture")


def test_labels_are_told_apart(filled: Memory, package_photographs: dict[str, Path]) -> None:
    answers = filled.classify(package_photographs["cat"], ["cat", "rocket", "cup of coffee"])
    assert answers[0].label == "cat"
    assert sum(answer.probability for answer in answers) == pytest.approx(1.0)
    with pytest.raises(UsageError, match="two different labels"):
        filled.classify(package_photographs["cat"], ["cat", " cat "])
    with pytest.raises(UsageError, match=r"\{\}"):
        filled.classify(package_photographs["cat"], ["cat", "dog"], templates=["a photo"])


def test_duplicates_come_in_two_tiers(memory: Memory, photos: Path) -> None:
    from PIL import Image

    (photos / "again.png").write_bytes((photos / "cat.png").read_bytes())
    with Image.open(photos / "coffee.png") as picture:
        picture.convert("RGB").save(photos / "smaller.jpg", quality=80)
    memory.index(photos)
    found = memory.duplicates()
    assert [{Path(item.uri).name for item in group} for group in found.exact] == [{"cat.png", "again.png"}]
    assert {"coffee.png", "smaller.jpg"} in [{Path(item.uri).name for item in near.items} for near in found.near]
    assert not any("again.png" in {Path(i.uri).name for i in near.items} for near in found.near)
    with pytest.raises(UsageError, match="threshold"):
        memory.duplicates(threshold=3)


def test_forgotten_items_are_gone_and_their_files_are_not(memory: Memory, photos: Path) -> None:
    memory.index(photos)
    assert memory.forget([str(photos / "cat.png")]) == 1
    assert (photos / "cat.png").is_file()
    assert len(memory.search("a cat")) == 7
    with pytest.raises(ItemNotFound):
        memory.get(str(photos / "cat.png"))


def test_an_item_shows_what_its_file_says(filled: Memory, package_photographs: dict[str, Path]) -> None:
    item = filled.get(str(package_photographs["rocket"]))
    assert (item.kind, item.format, item.width, item.height) == ("image", "JPEG", 640, 427)
    assert item.bytes == package_photographs["rocket"].stat().st_size
    small = filled.thumbnail(item.item_id)
    assert small is not None
    assert small[:2] == b"\xff\xd8"


def test_an_empty_memory_says_what_to_do(memory: Memory) -> None:
    with pytest.raises(UsageError, match="seemory index PATH"):
        memory.search("a cat")
    assert memory.stats()["items"] == 0


def test_what_cannot_be_asked_is_refused(filled: Memory, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to search for"):
        filled.search("   ")
    with pytest.raises(UsageError, match="limit"):
        filled.search("a cat", limit=0)
    with pytest.raises(ItemNotFound):
        filled.search(like="00000000-0000-0000-0000-000000000000")
    (tmp_path / "bad.jpg").write_text("no picture")
    with pytest.raises(UnreadableMedia):
        filled.search(image=tmp_path / "bad.jpg")


def test_a_collection_remembers_its_encoder(new_memory: Callable[..., Memory], photos: Path, tmp_path: Path) -> None:
    first = new_memory()
    first.index(photos / "cat.png")
    again = new_memory(model="auto")
    assert again.encoder_name == "seemory-mini"
    assert names(again.search("a cat")) == ["cat.png"]
    with pytest.raises(ModelNotFound):
        new_memory(model="no-such-model").search("a cat")


def test_another_encoder_is_refused_never_mixed(
    new_memory: Callable[..., Memory], photos: Path, tmp_path: Path
) -> None:
    from seemory import models

    folder = tmp_path / "other"
    shutil.copytree(Path(models.__file__).parent / "bundled" / "seemory-mini", folder)
    rule = json.loads((folder / "visual" / "preprocess_cfg.json").read_text())
    rule["mean"] = [0.1, 0.2, 0.3]  # the same weights fed otherwise are another encoder
    (folder / "visual" / "preprocess_cfg.json").write_text(json.dumps(rule))
    new_memory().index(photos)
    with pytest.raises(CollectionMismatch, match="--collection"):
        new_memory(model=str(folder)).index(photos)


def test_a_folder_s_encoder_is_found_again_from_anywhere(
    new_memory: Callable[..., Memory], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seemory import models

    shutil.copytree(Path(models.__file__).parent / "bundled" / "seemory-mini", tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    new_memory(model="mine").index(photos / "cat.png")
    monkeypatch.chdir(photos)
    assert names(new_memory(model="auto").search("a cat")) == ["cat.png"]
    assert names(new_memory(model="seemory-mini").search("a cat")) == ["cat.png"], "the same weights by another name"


def test_the_setting_is_for_new_collections_and_the_argument_insists(
    home: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import seemory

    monkeypatch.setenv("SEEMORY_MODEL", "seemory-mini")
    with seemory.open(home=home, owner="setting", collection="setting") as memory:
        memory.index(photos / "cat.png")
    monkeypatch.setenv("SEEMORY_MODEL", "vit-b-32-openai")
    with seemory.open(home=home, owner="setting", collection="setting") as memory:
        assert names(memory.search("a cat")) == ["cat.png"]
    with (
        seemory.open(home=home, owner="setting", collection="setting", model="vit-b-32-openai") as memory,
        pytest.raises(CollectionMismatch, match="seemory-mini"),
    ):
        memory.search("a cat")


def test_auto_without_a_hub_is_the_bundled_encoder_and_says_so(
    new_memory: Callable[..., Memory], photos: Path, tmp_path: Path
) -> None:
    memory = new_memory(model="auto", home=tmp_path / "home", models={"offline": True})
    memory.index(photos / "cat.png")
    assert memory.encoder_name == "seemory-mini"
    assert memory.notice
    assert "seemory-mini" in memory.notice


def test_items_may_be_forgotten_while_they_are_listed(new_memory: Callable[..., Memory], photos: Path) -> None:
    memory = new_memory()
    memory.index(photos)
    seen = []
    for item in memory.items(batch=3):
        seen.append(item.uri)
        memory.forget([item.item_id])
    assert sorted(seen) == sorted(map(str, photos.iterdir()))
    assert memory.stats()["items"] == 0
