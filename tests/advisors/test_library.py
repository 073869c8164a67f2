"""Libraries: made once, kept by content, corrected by a catalogue, brought up to another encoder, and taken away."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from made_encoders import turned

from seemory.advisors.catalogue import read_catalogue
from seemory.errors import AdvisorNotFound, UsageError
from seemory.memory import Memory
from seemory.metrics import counted


@pytest.fixture
def folder(tmp_path: Path, package_photographs: dict[str, Path]) -> Path:
    folder = tmp_path / "works"
    (folder / "more").mkdir(parents=True)
    for name in ("cat", "coffee", "temple"):
        shutil.copy(package_photographs[name], folder)
    return folder


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    file = tmp_path / "works.csv"
    file.write_text(
        "File,Title,Year,Source,License,Price\n"
        'chelsea.png,"Chelsea, a cat",2010,scikit-image,CC0,9\n'
        "china.jpg,Temple,,scikit-learn,CC BY,\n"
        "lost.jpg,Lost,,,\n"
    )
    return file


def passes() -> int:
    return counted()["image_passes"]


def test_a_library_is_made_once(memory: Memory, folder: Path, catalogue: Path, tmp_path: Path) -> None:
    (folder / "damaged.jpg").write_bytes(b"\xff\xd8\xff damaged")
    shutil.copy(folder / "coffee.png", folder / "more" / "the-same.png")
    (tmp_path / "bio.txt").write_text("A photographer of many things.\n")
    events = []
    add = memory.advisors.add
    report = add("many", folder, biography=tmp_path / "bio.txt", catalogue=catalogue, listen=events.append)
    assert (report.found, report.added, report.known, report.computed, report.failed) == (5, 3, 1, 3, 1)
    [(path, reason)] = report.errors
    assert path.endswith("damaged.jpg")
    assert "damaged.jpg" not in reason
    assert report.unmatched == ["lost.jpg"]
    assert (events[-1].done, events[-1].total) == (5, 5)
    [advisor] = memory.advisors.all()
    assert (advisor.name, advisor.biography, advisor.references) == ("many", "A photographer of many things.", 3)
    found = {work.file_name: work for work in memory.advisors.references("many")}
    cat = found["chelsea.png"]
    assert (cat.title, cat.year, cat.source, cat.licence) == ("Chelsea, a cat", "2010", "scikit-image", "CC0")
    assert (cat.width, cat.height) == (451, 300)
    assert found["coffee.png"].name == "coffee.png"
    assert memory.stats()["items"] == 0, "works are no items: an ordinary search does not find them"

    before, made = memory.advisors.references("many"), passes()
    again = add("many", folder, catalogue=catalogue)
    assert (again.added, again.known, again.computed, again.corrected, again.failed) == (0, 4, 0, 0, 1)
    assert passes() == made
    assert memory.advisors.references("many") == before
    assert memory.advisors.all() == [advisor]


def test_another_advisor_has_the_same_works_for_nothing(memory: Memory, folder: Path) -> None:
    memory.advisors.add("one", folder)
    made = passes()
    assert memory.advisors.add("two", folder).computed == 0
    assert passes() == made
    assert memory.advisors.remove("one") == 3
    assert memory.advise(folder / "china.jpg", "two", mode="similar").works == 3, "what was made of them is still used"
    assert memory.advisors.remove("two") == 3
    assert memory.advisors.all() == []
    assert memory.advisors.add("two", folder).computed == 3, "and goes with the last of them"


def test_a_catalogue_corrects_and_a_moved_file_is_followed(memory: Memory, folder: Path, catalogue: Path) -> None:
    memory.advisors.add("many", folder)
    assert memory.advisors.add("many", folder, catalogue=catalogue).corrected == 2
    (folder / "china.jpg").rename(folder / "more" / "china.jpg")
    assert memory.advisors.add("many", folder).corrected == 1
    temple = next(work for work in memory.advisors.references("many") if work.file_name == "china.jpg")
    assert temple.uri == str(folder / "more" / "china.jpg")
    assert temple.title == "Temple", "without a catalogue the entries stay"
    (folder / "new.txt").write_text("Somebody else.")
    memory.advisors.add("many", folder, biography=folder / "new.txt")
    assert memory.advisors.find("many").biography == "Somebody else."


def test_works_are_removed_by_any_of_their_names(memory: Memory, folder: Path, catalogue: Path) -> None:
    memory.advisors.add("many", folder, catalogue=catalogue)
    with pytest.raises(AdvisorNotFound, match="no work 'nothing'"):
        memory.advisors.remove("many", ["Temple", "nothing"])
    assert memory.advisors.remove("many", ["Temple", "coffee.png", "china.jpg"]) == 2
    assert [work.file_name for work in memory.advisors.references("many")] == ["chelsea.png"]
    assert all((folder / name).is_file() for name in ("china.jpg", "coffee.png", "chelsea.png"))


def test_what_is_wrong_is_said(memory: Memory, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(UsageError, match="no picture in it"):
        memory.advisors.add("x", tmp_path / "empty")
    with pytest.raises(UsageError, match=r"none of its 1 pictures could be read.*a\.jpg"):
        memory.advisors.add("x", tmp_path / "bad")
    with pytest.raises(UsageError, match="no such file or folder"):
        memory.advisors.add("x", tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"bio\.txt: the biography cannot be read"):
        memory.advisors.add("x", folder, biography=tmp_path / "bio.txt")
    for name in ("", " ", "a/b", "a\nb", "x" * 101):
        with pytest.raises(UsageError, match="no name for an advisor"):
            memory.advisors.add(name, folder)
    assert memory.advisors.all() == [], "nothing was begun"
    with pytest.raises(AdvisorNotFound, match="there are none yet"):
        memory.advisors.find("x")


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.csv", "title,year\nx,1\n", "columns"),
        ("a.csv", "file,title\na.jpg,x\na.jpg,y\n", "two entries for a.jpg"),
        ("a.csv", 'file,title\na.jpg,"x\n', "comma-separated"),
        ("a.json", "{", "not JSON"),
        ("a.json", '"x"', "list of objects"),
        ("a.json", '[{"title": "x"}]', "entry 1 does not say"),
        ("a.txt", "", r"\.csv or a \.json"),
        ("b.csv", None, "cannot be read"),
    ],
)
def test_a_catalogue_that_is_none(tmp_path: Path, name: str, text: str | None, reason: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=reason):
        read_catalogue(tmp_path / name)


def test_a_catalogue_in_json_says_the_same_in_both_forms(tmp_path: Path) -> None:
    row = {"title": "T", "year": 1942, "license": "CC0", "tags": ["x"]}
    (tmp_path / "a.json").write_text(json.dumps({"a.jpg": row}))
    (tmp_path / "b.json").write_text(json.dumps([{"file": "a.jpg", **row}]))
    first = read_catalogue(tmp_path / "a.json")
    assert first == read_catalogue(tmp_path / "b.json")
    assert (first["a.jpg"].title, first["a.jpg"].year, first["a.jpg"].licence) == ("T", "1942", "CC0")


def test_another_encoder_needs_vectors_of_its_own(
    new_memory: Callable[..., Memory], folder: Path, tmp_path: Path
) -> None:
    """Equal width is not a shared space: nothing is compared before the works have vectors of the encoder that asks."""
    turned_folder = turned(tmp_path / "turned")
    one, other = new_memory(collection="one"), new_memory(collection="other", model=str(turned_folder))
    one.advisors.add("many", folder)
    first = one.advise(folder / "china.jpg", "many", mode="similar")
    with pytest.raises(UsageError, match=r"no vectors of turned.*advisor refresh many"):
        other.advise(folder / "china.jpg", "many", mode="similar")
    (folder / "coffee.png").unlink()
    (folder / "chelsea.png").write_bytes((folder / "china.jpg").read_bytes())
    report = one.advisors.refresh(encoder=str(turned_folder))  # before anything is switched to it
    assert (report.found, report.computed, report.failed) == (3, 1, 2)
    reasons = dict(report.errors)
    assert "not there" in reasons[str(folder / "coffee.png")]
    assert "changed since it was added" in reasons[str(folder / "chelsea.png")]
    advice = other.advise(folder / "china.jpg", "many", mode="similar")
    assert [like.reference.file_name for like in advice.similar] == ["china.jpg"]
    assert any("2 of 3 works have no vector of turned" in line for line in advice.missing)
    assert one.advise(folder / "china.jpg", "many", mode="similar") == first, "the first encoder's are still there"
