"""What is said in films: found by the second, marked, and kept in step with the files beside them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from made_films import moving, srt, still, with_subtitles, write_film

from seemory.embedding import films as films_module
from seemory.memory import Memory
from seemory.types import Item

WORDS = {"visual": 0, "text": 0}
ENGLISH = srt((0.5, 1.5, "Would you like some <i>coffee</i>?"), (2.5, 3.5, "Three engines are burning"))
GERMAN = srt((0.5, 1.5, "Möchten Sie Kaffee?"), (2.5, 3.5, "Drei Triebwerke brennen"))


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory, package_photographs: dict[str, Path]) -> Path:
    """Scenes from 0, 2 and 4 seconds on: coffee, a rocket, a cat."""
    shots = [still(package_photographs[name], (160, 120)) for name in ("coffee", "rocket", "cat")]
    frames = [frame for shot in shots for frame in moving(shot, 50)]
    return write_film(tmp_path_factory.mktemp("three") / "three.mp4", frames)


@pytest.fixture
def film(tmp_path: Path, three: Path) -> Path:
    (tmp_path / "films").mkdir()
    return Path(shutil.copy(three, tmp_path / "films" / "three.mp4"))


def scenes(memory: Memory) -> list[Item]:
    return [item for item in memory.items() if item.kind == "scene"]


def transcripts(memory: Memory) -> list[str | None]:
    return [item.transcript for item in scenes(memory)]


def counts(memory: Memory, *paths: Path, **options: bool) -> dict[str, int]:
    return dict(memory.index(*paths, **options).counts)


def beside(film: Path, ending: str, text: str) -> Path:
    path = film.with_name(f"{film.stem}.{ending}")
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def unwatched(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, no film may be decoded and no frame embedded."""

    def watched(*_: object, **__: object) -> None:
        raise AssertionError("the film was read again")

    def begin() -> None:
        monkeypatch.setattr("seemory.film_indexing.read_film", watched)
        monkeypatch.setattr(films_module, "embed", watched)

    return begin


def test_words_of_two_languages_find_their_scene_and_are_marked(memory: Memory, film: Path) -> None:
    beside(film, "en.srt", ENGLISH)
    beside(film, "de.vtt", "WEBVTT\n\n" + GERMAN.replace(",", "."))
    assert counts(memory, film.parent) == {"indexed": 1}
    assert transcripts(memory) == ["Would you like some coffee?", "Three engines are burning", None]
    for query, start, marked in (
        ("an engine", 2.0, "Three *engines* are burning"),
        ("das Triebwerk brannte", 2.0, "Drei *Triebwerke* brennen"),
        ("kaffee", 0.0, "Möchten Sie *Kaffee*?"),
        ('"some coffee"', 0.0, "Would you like some *coffee*?"),
    ):
        hit = memory.search(query, weights=WORDS)[0]
        assert (hit.start_s, hit.passages[0].marked()) == (start, marked)
        assert (hit.passages[0].start_s, hit.passages[0].end_s) == (start + 0.5, start + 1.5)
        assert json.loads(json.dumps(hit.as_json()["passages"]))[0]["text"] == marked.replace("*", "")
    told = {one["source"]: (one["language"], one["cues"]) for one in scenes(memory)[0].metadata["subtitles"]}
    assert told == {"three.en.srt": ("en", 2), "three.de.vtt": ("de", 2)}


def test_the_text_channel_has_them_as_well(memory: Memory, film: Path) -> None:
    beside(film, "en.srt", ENGLISH)
    report = memory.index(film)
    assert (report.told, report.waiting) == (1, None)
    hit = memory.search("a hot drink is offered", weights={"visual": 0, "words": 0})[0]
    assert hit.start_s == 0.0
    assert any(reason.startswith("text: cosine") for reason in hit.reasons)


def test_subtitles_that_come_change_and_go_cost_no_look_at_the_film(
    memory: Memory, film: Path, unwatched: Callable[[], None]
) -> None:
    assert counts(memory, film) == {"indexed": 1}
    before, vectors = scenes(memory), memory.search("a cat", kind="scene", weights={"words": 0, "text": 0})
    unwatched()
    path = beside(film, "srt", ENGLISH)
    assert counts(memory, film) == {"reworded": 1}
    assert counts(memory, film) == {"unchanged": 1}
    assert transcripts(memory) == ["Would you like some coffee?", "Three engines are burning", None]
    path.write_text(srt((4.5, 5, "The cat answers")), encoding="utf-8")
    assert counts(memory, film) == {"reworded": 1}
    assert transcripts(memory) == [None, None, "The cat answers"]
    assert not memory.search('"coffee"'), "what is no longer said is not found"
    assert memory.search("an answer", weights={"visual": 0, "words": 0})[0].start_s == 4.0
    os.utime(path, ns=(1, 1))
    assert counts(memory, film) == {"unchanged": 1}, "another time, the same words"
    path.unlink()
    assert [result.status for result in memory.index_each(film)] == ["reworded"]
    assert [item.transcript for item in scenes(memory)] == [None] * 3
    assert {item.language for item in scenes(memory)} == {None}
    after = memory.search("a cat", kind="scene", weights={"words": 0, "text": 0})
    assert [(hit.item_id, hit.cosine) for hit in after] == [(hit.item_id, hit.cosine) for hit in vectors]
    assert [item.metadata for item in scenes(memory)] == [item.metadata for item in before]


def test_what_a_person_says_of_a_scene_stays(memory: Memory, film: Path) -> None:
    path = beside(film, "srt", ENGLISH)
    memory.index(film)
    first, second, third = (item.item_id for item in scenes(memory))
    memory.describe(first, caption="Frühstück am Startplatz", language="german")
    memory.describe(second, transcript="Ignition!")
    path.write_text(srt((0.5, 1, "Some tea?"), (2.5, 3, "They burn"), (4.5, 5, "Meow")), encoding="utf-8")
    assert counts(memory, film) == {"reworded": 1}
    assert transcripts(memory) == ["Some tea?", "Ignition!", "Meow"]
    assert memory.get(first).caption == "Frühstück am Startplatz"
    assert memory.search("das frühe Frühstück", weights=WORDS)[0].item_id == first
    assert memory.search("teas", weights=WORDS)[0].item_id == first
    assert memory.search("ignition", weights=WORDS)[0].passages[0].start_s is None
    assert counts(memory, film, reprocess=True) == {"indexed": 1}
    assert transcripts(memory) == ["Some tea?", "Ignition!", "Meow"]
    memory.describe(second, transcript="")
    path.write_text(ENGLISH, encoding="utf-8")
    memory.index(film)
    assert transcripts(memory) == ["Would you like some coffee?", "Three engines are burning", None]
    assert memory.get(third).language is None


def test_damaged_subtitles_are_a_note_and_the_film_is_there(memory: Memory, film: Path) -> None:
    beside(film, "en.srt", ENGLISH)
    film.with_name("three.fr.srt").write_bytes(b"\x00\x01 nothing of the kind")
    report = memory.index(film)
    assert dict(report.counts) == {"partial": 1}
    assert report.errors == [(str(film), "three.fr.srt: not text")]
    told = {one["source"]: one.get("problem") for one in scenes(memory)[0].metadata["subtitles"]}
    assert told == {"three.en.srt": None, "three.fr.srt": "not text"}
    assert memory.search("coffee", weights=WORDS)[0].start_s == 0.0
    assert counts(memory, film) == {"unchanged": 1}
    film.with_name("three.fr.srt").unlink()
    assert counts(memory, film) == {"unchanged": 1}, "no word of it is another"
    assert len(scenes(memory)[0].metadata["subtitles"]) == 1


def test_streams_inside_a_film_give_way_to_a_file_beside_it(
    memory: Memory, tmp_path: Path, three: Path, unwatched: Callable[[], None]
) -> None:
    path = with_subtitles(three, tmp_path / "three.mkv", {"eng": ENGLISH, "deu": GERMAN})
    assert counts(memory, path) == {"indexed": 1}
    assert transcripts(memory)[0] == "Would you like some coffee?"
    assert memory.search("Triebwerk", weights=WORDS)[0].start_s == 2.0
    unwatched()
    better = beside(path, "en.srt", srt((0.5, 1.5, "Coffee, Madam?")))
    assert counts(memory, path) == {"reworded": 1}
    assert transcripts(memory) == ["Coffee, Madam?", "Drei Triebwerke brennen", None]
    better.unlink()
    assert counts(memory, path) == {"reworded": 1}
    assert transcripts(memory) == ["Would you like some coffee?", "Three engines are burning", None]


def test_a_moved_and_a_copied_film_take_the_subtitles_of_their_new_place(
    memory: Memory, tmp_path: Path, three: Path, unwatched: Callable[[], None]
) -> None:
    (tmp_path / "a").mkdir()
    path = with_subtitles(three, tmp_path / "a" / "three.mkv", {"deu": GERMAN})
    beside(path, "en.srt", ENGLISH)
    memory.index(path)
    unwatched()
    moved = path.rename(tmp_path / "a" / "moved.mkv")
    assert counts(memory, moved) == {"reworded": 1}
    assert transcripts(memory) == ["Möchten Sie Kaffee?", "Drei Triebwerke brennen", None]
    copied = Path(shutil.copy(moved, tmp_path / "a" / "copied.mkv"))
    beside(copied, "srt", ENGLISH)
    assert counts(memory, tmp_path / "a") == {"copied": 1, "unchanged": 1}
    assert memory.search("engines", weights=WORDS)[0].uri == str(copied)
    assert len(memory.search("Triebwerke", weights=WORDS)) == 2


def test_what_a_person_said_of_a_picture_is_marked_too(memory: Memory, photos: Path) -> None:
    memory.index(photos / "cat.png")
    item = next(iter(memory.items()))
    notes = "It was a long day. " * 30 + "Then the kittens came home. " + "It was a long night. " * 30
    memory.describe(item.item_id, caption="Chelsea the cat, <b>asleep</b>", tags=["cats", "sofa"], notes=notes)
    passages = memory.search("a cat asleep").pop().passages
    assert [(one.source, one.marked("[", "]")) for one in passages] == [
        ("caption", "Chelsea the [cat], <b>[asleep]</b>"),
        ("tags", "[cats], sofa"),
    ]
    (long,) = memory.search("kitten")[0].passages
    assert "Then the *kittens* came" in long.marked()
    assert len(long.text) < 200
    assert memory.search("flower")[0].passages == ()
