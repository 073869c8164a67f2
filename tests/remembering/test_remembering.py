"""Memories in words: merged, linked, found beside pictures, imported, forgotten."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from seemory.errors import UsageError
from seemory.memory import Memory
from seemory.remembering.texts import read_texts
from seemory.store.memories import Saying

New = Callable[..., Memory]


def texts(memory: Memory, words: str, **asked: object) -> list[str | None]:
    return [one.text for one in memory.recall(words, kind="text", **asked)]  # type: ignore[arg-type]


def test_a_text_is_recalled_by_meaning_and_by_words_without_any_picture(memory: Memory) -> None:
    assert memory.recall("anything") == []
    wifi = memory.remember("The password of the wifi in the cabin hangs on the fridge", tags=["cabin"])
    memory.remember("The car needs new tyres before winter")
    memory.remember("Ticket XK-4711-Q is for the night train", when=datetime(2026, 5, 4, 18, 30))
    assert (wifi.new, wifi.times, wifi.waiting) == (True, 1, None)
    first = memory.recall("how do I get online in the hut? where is the password")[0]
    assert (first.hit.item_id, first.text, first.tags) == (
        wifi.item_id, "The password of the wifi in the cabin hangs on the fridge", ("cabin",),
    )  # fmt: skip
    (ticket,) = memory.recall("XK-4711-Q", limit=1)
    assert ticket.when == datetime(2026, 5, 4, 18, 30, tzinfo=UTC)
    assert texts(memory, "tyres", where=["tag=cabin"]) != texts(memory, "tyres")
    assert [one.text for one in memory.recall("train", where=["taken=2026-05"])] == [ticket.text]
    assert not memory.recall("zzyzx qwrt") or memory.recall("zzyzx qwrt")[0].hit.kind == "text"
    assert memory.stats()["by_kind"] == {"text": 3}
    item = memory.get(wifi.item_id)
    assert (item.kind, item.notes, item.uri) == ("text", first.text, f"memory:{wifi.item_id}/")


def test_a_name_made_of_an_id_is_no_word(memory: Memory) -> None:
    done = memory.remember("The car needs new tyres")
    for word in ("memory", str(done.item_id)[:8]):
        assert not [one for one in memory.recall(word) if "words:" in " ".join(one.hit.reasons)]


def test_nearly_the_same_is_one_memory_that_counts_and_keeps_its_wordings(memory: Memory) -> None:
    first = memory.remember("the car needs new tyres before winter", tags=["car"])
    again = memory.remember("The car needs new tires before the winter", tags=["todo"], when=datetime(2026, 10, 1))
    same = memory.remember("The car needs new tires before the winter")
    assert (again.item_id, again.new, again.times) == (first.item_id, False, 2)
    assert (same.item_id, same.times) == (first.item_id, 3)
    (one,) = memory.recall("tyres of the car")
    assert one.text == "The car needs new tires before the winter"
    assert (one.times, one.wordings) == (3, ("the car needs new tyres before winter",))
    assert one.tags == ("car", "todo")
    assert one.when == datetime(2026, 10, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Anna likes coffee without sugar", "Anna likes coffee with sugar"),
        ("Anna's birthday is on 3 May", "Anna's birthday is on 4 May"),
        ("The meeting is at 10:30 in room 7", "The meeting is at 10:45 in room 7"),
        ("Bert does not eat fish", "Bert does eat fish"),
    ],
)
def test_what_turns_a_sentence_is_not_merged_but_linked(new_memory: New, one: str, other: str) -> None:
    memory = new_memory(memory={"same": 0.5, "alike": 0.4})
    first, second = memory.remember(one), memory.remember(other)
    assert (second.new, second.times) == (True, 1)
    assert [item for item, _ in second.alike] == [first.item_id]
    found = {found.hit.item_id: found for found in memory.recall(one)}
    assert [item for item, _ in found[first.item_id].alike] == [second.item_id]
    assert found[first.item_id].alike[0][1] == pytest.approx(second.alike[0][1], abs=1e-3)
    assert memory.forget([second.item_id]) == 1
    assert memory.recall(one)[0].alike == ()


def test_the_same_said_by_many_at_once_is_one(memory: Memory) -> None:
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: memory.remember("The key lies under the third flower pot"), range(16)))
    assert len({one.item_id for one in done}) == 1
    assert sorted(one.times for one in done) == list(range(1, 17))
    assert [one.new for one in done].count(True) == 1


def test_pictures_and_texts_come_in_one_ranking(memory: Memory, photos: Path) -> None:
    memory.index(photos)
    memory.describe(str(photos / "rocket.jpg"), caption="Night launch, seen from the beach")
    done = memory.remember("We saw the night launch of the rocket from the beach with Anna")
    found = memory.recall("the launch seen from the beach", limit=9)
    assert len(found) == 9
    assert [one.text for one in found if one.text] == [one.text for one in found[:3] if one.text]
    assert {one.text for one in found[:3]} >= {
        "Night launch, seen from the beach",
        "We saw the night launch of the rocket from the beach with Anna",
    }
    assert [one.hit.rank for one in found] == list(range(1, 10))
    assert memory.recall("a cat", kind="image")[0].hit.uri.endswith("cat.png")
    assert memory.backfill(retry=True).without_vector == 0
    assert memory.stats()["health"]["with_vector"] == 1.0
    assert done.item_id not in {item.item_id for group in memory.duplicates().exact for item in group}


def test_owners_remember_for_themselves(new_memory: New) -> None:
    anna = new_memory(owner="anna-remembers", collection="remembers")
    bert = anna.of("bert-remembers")
    mine, theirs = anna.remember("The safe opens with 4711"), bert.remember("The safe opens with 4711")
    assert mine.new
    assert theirs.new
    assert theirs.alike == ()
    assert [one.hit.item_id for one in bert.recall("safe")] == [theirs.item_id]
    assert bert.forget([mine.item_id]) == 0


def test_what_cannot_be_remembered(memory: Memory) -> None:
    for text in ("", "  \n", "x" * 100_001):
        with pytest.raises(UsageError):
            memory.remember(text)
    assert memory.remember("a\x00b \ud800 end").new


def test_without_a_sentence_encoder_words_are_kept_and_found(new_memory: New, tmp_path: Path) -> None:
    memory = new_memory(models={"text": str(tmp_path / "absent")})
    done = memory.remember("The key lies under the flower pot")
    assert done.waiting
    assert [one.text for one in memory.recall("flower pot")] == ["The key lies under the flower pot"]
    assert memory.remember("The key lies under the flower pot").times == 2


def test_files_are_cut_into_texts(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("\ufefffirst\nline\n\n\n second \n \n", "utf-8")
    house = "# House\n\nbricks\n\n## Roof ##\nred\n```\n# no heading\n```\n"
    (tmp_path / "notes.md").write_text(f"before\n\n{house}\n# Garden\n\n### Tree\napple\n## Pond\n")
    rows = [
        {"text": "one", "tags": ["a"], "when": "2026-05-04"},
        {"text": "two"},
        {"words": "x"},
        {"text": "y", "when": "?"},
    ]
    (tmp_path / "notes.jsonl").write_text("\n".join(map(json.dumps, rows)) + '\n{"text":\n[]\n')
    assert list(read_texts(tmp_path / "notes.txt")) == [Saying("first\nline"), Saying("second")]
    assert list(read_texts(tmp_path / "notes.md")) == [
        Saying("before"),
        Saying("House\n\nbricks"),
        Saying("House / Roof\n\nred\n```\n# no heading\n```"),
        Saying("Garden / Tree\n\napple"),
    ]
    one, two, *bad = read_texts(tmp_path / "notes.jsonl")
    assert (one, two) == (Saying("one", ("a",), datetime(2026, 5, 4)), Saying("two"))
    assert [type(reason) for reason in bad] == [str] * 4
    for wrong in ("absent.txt", "notes.docx", "folder.txt"):
        (tmp_path / "folder.txt").mkdir(exist_ok=True)
        with pytest.raises(UsageError, match=wrong.partition(".")[0]):
            list(read_texts(tmp_path / wrong))


def test_import_counts_what_is_new_said_before_and_bad(memory: Memory, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(
        "The car needs new tyres\n\nThe key lies under the pot\n\nThe car needs new tyres\n"
    )
    (tmp_path / "b.jsonl").write_text('{"text": "The boat needs a new sail"}\n{"text": ""}\nno json\n')
    report = memory.remember_from(tmp_path / "a.txt", tmp_path / "b.jsonl")
    assert (report.new, report.merged, report.bad) == (3, 1, 2)
    assert [number for number, _ in report.errors] == [5, 6]
    assert memory.remember_from(tmp_path / "a.txt").merged == 3
