"""Tables of words: thousands of rows, of which the bad ones are counted and named, and a kill loses nothing."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import pytest

from seemory.memory import Memory
from seemory.store.describing import Descriptions


@pytest.fixture
def filled(memory: Memory, photos: Path) -> Memory:
    memory.index(photos)
    return memory


def test_a_table_names_items_by_path_name_or_id(filled: Memory, photos: Path) -> None:
    cat = filled.get(str(photos / "cat.png")).item_id
    table = photos / "words.csv"
    table.write_text(
        f'image,caption,tags\n{cat},by id,a;b\n{photos}/coffee.png,by path,\nrocket.jpg,"by name",\n'
        f"{UUID(int=7)},nobody,\nnone.jpg,nobody,\n,no name,\nflower.jpg,,\nflower.jpg\n"
    )
    report = filled.describe_from(table)
    assert (report.described, report.embedded, report.bad) == (3, 3, 5)
    assert sorted(line for line, _, _ in report.errors) == [5, 6, 7, 8, 9]
    assert [
        filled.get(str(photos / name)).caption for name in ("cat.png", "coffee.png", "rocket.jpg", "flower.jpg")
    ] == [*("by id", "by path", "by name", None)]
    assert filled.get(cat).tags == ("a", "b")


def test_later_rows_count_and_thousands_are_no_trouble(filled: Memory, photos: Path) -> None:
    lines = [{"path": "cat.png", "caption": f"caption {n}", "notes": f"n{n}"} for n in range(5000)]
    lines.append({"path": "cat.png", "caption": "the last"})
    (photos / "words.jsonl").write_text("\n".join(map(json.dumps, lines)))
    report = filled.describe_from(photos / "words.jsonl")
    assert report.bad == 0
    item = filled.get(str(photos / "cat.png"))
    assert (item.caption, item.notes) == ("the last", "n4999")
    assert report.embedded == 1


def test_what_was_cut_off_is_taken_up(filled: Memory, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = sorted(path.name for path in photos.iterdir())
    (photos / "words.csv").write_text("file,caption\n" + "".join(f"{name},said of {name}\n" for name in names))
    write = Descriptions.write_vectors

    def cut(self: Descriptions, *given: object) -> int:
        write(self, *given)
        raise KeyboardInterrupt

    monkeypatch.setattr("seemory.describing.sentences.BATCH", 3)
    monkeypatch.setattr(Descriptions, "write_vectors", cut)
    with pytest.raises(KeyboardInterrupt):
        filled.describe_from(photos / "words.csv")
    monkeypatch.setattr(Descriptions, "write_vectors", write)
    assert filled.search("said").channels["text"].candidates == 3
    report = filled.catch_up()
    assert report.embedded == len(names) - 3
    assert filled.search("said").channels["text"].candidates == len(names)
