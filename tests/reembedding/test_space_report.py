"""The report before a switch: in text, as JSON and as a page, on real photographs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path
from uuid import uuid4

import pytest
from made_encoders import narrowed
from test_kills import cut_many

from seemory.errors import UsageError
from seemory.memory import Memory
from seemory.reembedding.space_page import agreement, rows_of, write_page
from seemory.reembedding.space_report import by_file, by_key, by_tag
from seemory.types import Item

NewMemory = Callable[..., Memory]


@pytest.fixture(scope="session")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(narrowed(tmp_path_factory.mktemp("encoders") / "narrowed"))


@pytest.fixture
def sorted_memory(memory: Memory, package_photographs: dict[str, Path], tmp_path: Path) -> Memory:
    """Pieces of eight photographs, each photograph's in a folder of its own, some of them another owner's."""
    pieces = tmp_path / "pieces"
    pieces.mkdir()
    cut_many(package_photographs, pieces, 80)
    made = sorted(pieces.iterdir())
    for n, name in enumerate(package_photographs):
        (tmp_path / "sorted" / f"{name} & <co>").mkdir(parents=True)
        for piece in made[n::8]:
            shutil.move(piece, tmp_path / "sorted" / f"{name} & <co>" / piece.name)
    memory.index(tmp_path / "sorted")
    return memory


def test_on_photographs_in_folders(
    sorted_memory: Memory, new_memory: NewMemory, photos: Path, narrow: str, tmp_path: Path
) -> None:
    new_memory(owner=f"{sorted_memory.owner}-ben").index(photos)
    reembedding = sorted_memory.reembedding()
    with pytest.raises(UsageError, match="nothing to compare it with"):
        reembedding.report()
    reembedding.start(narrow)
    report = reembedding.report(words=["a cat", "a rocket"])
    assert (report.owners, len(report.labels), report.words) == (2, 88, 2)
    assert {f"{name} & <co>" for name in ("cat", "rocket")} < set(report.labels)
    old, new = report.as_json()["generations"]
    assert (old["dim"], new["dim"], old["vector_bytes"], new["vector_bytes"]) == (256, 96, 520, 200)
    for side in (old, new):
        apart = side["separation"]
        assert (apart["groups"], apart["items"]) == (9, 88), "eight folders of pieces, one of whole photographs"
        assert apart["sigmas"] > 1, "pieces of one photograph are alike"
        assert apart["neighbours"] > 3 * apart["chance"]
        assert apart["silhouette"] is not None
        assert side["nearest"]["mean"] > side["random_pairs"]["mean"]
        assert side["random_pairs"]["count"] == 88 * 87 / 2
        assert side["embed_ms"] > 0
        assert side["search_ms"]["p95"] >= side["search_ms"]["p50"] > 0
        assert side["table_bytes"] > 0
    assert old["table_bytes"] >= new["table_bytes"]
    assert report.overlap_items is not None
    assert 0.3 < report.overlap_items <= 1
    assert report.overlap_words is not None

    write_page(report, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") == page.count("</svg>") == 2
    assert "cat &amp; &lt;co&gt;" in page
    assert "<co>" not in page
    assert "http://" not in page.replace("http://www.w3.org/", "").replace("http://purl.org/", "").replace(
        "http://creativecommons.org/", ""
    ), "nothing is fetched"
    assert "currentColor" in page
    assert "prefers-color-scheme: dark" in page
    HTMLParser().feed(page)
    assert all(len(cells) == 2 for _, cells in rows_of(report))
    assert len(list(agreement(report))) == 2
    with pytest.raises(UsageError, match="cannot be written"):
        write_page(report, tmp_path / "no" / "folder.html")

    before = [side["table"] for side in (old, new)]
    reembedding.switch()
    assert [side["table"] for side in reembedding.report().as_json()["generations"]] == before, "the older one first"


def test_tiny_collections_say_what_cannot_be_told(memory: Memory, photos: Path, narrow: str, tmp_path: Path) -> None:
    memory.index(photos / "cat.png")
    memory.reembedding().start(narrow)
    report = memory.reembedding().report()
    document = report.as_json()
    assert document["items"] == 1
    assert document["overlap"]["items"] is None, "there is no other item to name"
    for side in document["generations"]:
        assert side["random_pairs"] is side["nearest"] is side["separation"] is None
    assert "only 1 items" in " ".join(report.notes)
    assert "groups are not compared" in " ".join(report.notes)
    assert "save some" in " ".join(report.notes)
    write_page(report, tmp_path / "report.html")
    assert "Too few items for a map" in (tmp_path / "report.html").read_text()
    assert dict(rows_of(report))["groups: apart by"] == ["-", "-"]


def test_without_the_libraries_the_page_says_how_to_get_them(
    memory: Memory, photos: Path, narrow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.index(photos)
    memory.reembedding().start(narrow)
    for name in ("matplotlib", "sklearn.metrics", "seemory.evaluation.plots"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    report = memory.reembedding().report(
        label=lambda item: "even" if len(item.uri) % 2 else "odd", labelled_by="length"
    )
    assert all(space.figures["separation"]["silhouette"] is None for space in report.spaces)
    assert "seemory[plots]" in " ".join(report.notes)
    with pytest.raises(UsageError, match=r"seemory\[plots\]"):
        write_page(report, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def item(uri: str, tags: tuple[str, ...] = (), **metadata: object) -> Item:
    blank = {field.name: None for field in fields(Item)} | {"tags": tags, "metadata": metadata}
    return Item(**(blank | {"item_id": uuid4(), "asset_id": uuid4(), "kind": "image", "uri": uri, "missing": False}))


def test_labels(tmp_path: Path) -> None:
    assert by_tag(item("/a.jpg", ("sea", "sky"))) == "sea"
    assert by_tag(item("/a.jpg")) is None
    assert by_key("iso")(item("/a.jpg", iso=400)) == "400"
    assert by_key("iso")(item("/a.jpg", iso="")) is by_key("iso")(item("/a.jpg")) is None
    given = item("/by/id.jpg")
    (tmp_path / "labels.csv").write_text(f'/full/path.jpg,one\n"name, with comma.jpg",two\n\n{given.item_id},three\n')
    label = by_file(tmp_path / "labels.csv")
    assert label(item("/full/path.jpg")) == "one"
    assert label(item("/other/path.jpg")) is None
    assert label(item("/any/name, with comma.jpg")) == "two"
    assert label(given) == "three"
    (tmp_path / "wrong.csv").write_text("a,b\na,b,c\n")
    with pytest.raises(UsageError, match="line 2: a path and a label are expected, not 3"):
        by_file(tmp_path / "wrong.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read as CSV"):
        by_file(tmp_path / "binary.csv")
