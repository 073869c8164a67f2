"""Tables of words: what comes in, and which rows are named as bad."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seemory.describing.word_files import read_words
from seemory.errors import UsageError
from seemory.types import Description


def rows(tmp_path: Path, name: str, text: str | bytes) -> list:
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read_words(file))


def test_a_csv_with_a_header(tmp_path: Path) -> None:
    found = rows(
        tmp_path,
        "w.csv",
        '\ufeffPath,Caption,Tags,extra\n/a.jpg,"a dog, running",beach; sea,1\n\n/b.jpg,,sea,2\n/c.jpg\n,x,y,z\n'
        "/d.jpg,,,9\n",
    )
    assert [(row.line, row.item) for row in found] == [(2, "/a.jpg"), (4, "/b.jpg"), (5, ""), (6, ""), (7, "/d.jpg")]
    assert found[0].said == Description(caption="a dog, running", tags=("beach", "sea"))
    assert found[1].said == Description(tags=("sea",))
    assert [row.error and row.error.split(",")[0] for row in found] == [
        *(None, None, "1 fields", "names no item (one of item", "says nothing (caption"),
    ]


def test_json_lines(tmp_path: Path) -> None:
    lines = [
        {"item": "x", "caption": "ein Hund", "language": "german", "tags": ["See", "Strand"]},
        {"path": "/b", "caption": "", "transcript": "hello"},
        {"path": "/c", "caption": 3},
        {"path": "/d", "tags": [1]},
        ["no object"],
    ]
    text = "\n".join([*map(json.dumps, lines), "{broken", '{"path": "/e", "notes": "n"}'])
    found = rows(tmp_path, "w.jsonl", text)
    assert found[0].said == Description(caption="ein Hund", language="german", tags=("See", "Strand"))
    assert found[1].said == Description(caption="", transcript="hello")
    assert [bool(row.error) for row in found] == [False, False, True, True, True, True, False]
    assert [row.line for row in found] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("w.txt", "path,caption\n", "not in .txt"),
        ("w.csv", "", "the header needs"),
        ("w.csv", "path,title\n", "one of words"),
        ("w.csv", "name,caption\n", "names the item"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, name: str, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        rows(tmp_path, name, text)
    with pytest.raises(UsageError, match="cannot be read"):
        list(read_words(tmp_path / "absent.csv"))


def test_a_path_keeps_bytes_that_are_no_text(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, "w.csv", b"path,caption\n/a\xff.jpg,caf\xc3\xa9\n")
    assert row.item == "/a\udcff.jpg"
    assert row.said.caption == "café"


@given(st.binary(max_size=300))
def test_rubbish_is_bad_rows_and_never_an_end(tmp_path_factory, rubbish: bytes) -> None:
    folder = tmp_path_factory.mktemp("rubbish")
    after = b"\n/last.jpg,the end\n"
    found = rows(folder, "w.jsonl", rubbish + b'\n{"path": "/last.jpg", "caption": "the end"}\n')
    assert found[-1].said.caption == "the end"
    assert rows(folder, "w.csv", b"path,caption\n" + rubbish.replace(b'"', b"") + after)[-1].item == "/last.jpg"
