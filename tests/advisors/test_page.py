"""The page: whole in one file, told in words as well as in pictures, whatever the works are called."""

from __future__ import annotations

import shutil
from html import escape
from pathlib import Path

import pytest
from reading_pages import BIOGRAPHY, Read

from seemory.advisors.profile import DIMENSIONS
from seemory.advisors.wording import NAMES
from seemory.cli import main
from seemory.errors import UsageError
from seemory.memory import Memory


def test_a_page_is_whole_and_told_in_words(many: Memory, works: Path, tmp_path: Path) -> None:
    photograph = tmp_path / "mine & <yours>.jpg"
    shutil.copy(works / "temple.jpg", photograph)
    with photograph.open("ab") as stream:
        stream.write(b"another file")
    advice = many.advise(photograph, "many", limit=8)
    text = many.advisors.page(advice, photograph)
    page = Read(text)
    assert page.open == []
    assert not {"script", "iframe", "object", "link", "form"} & set(page.tags)
    assert all(link.startswith("data:image/") for link in page.links)
    assert "http" not in text.replace(escape(BIOGRAPHY), "").replace("http-equiv", "")
    assert BIOGRAPHY in page.words
    assert len(page.images) >= 1 + 4 + 8
    assert all(image.get("alt") for image in page.images)
    assert "mine & <yours>.jpg" in page.words
    assert "<script>alert(1)</script> & a cat" in page.words, "as words, and no tag"
    assert "(file gone)" in page.words
    assert "The file of galaxies.jpg is gone" in page.words
    assert "no critic is configured" in page.words
    for name in NAMES.values():
        assert name in page.words.lower()
    assert advice.comparison is not None
    for one in advice.comparison.standings:
        assert one.measured.comment in page.words
    for statement in advice.words:
        assert statement.text in page.words
    assert page.tags.count("circle") == 2 * len(DIMENSIONS)


def test_a_page_of_the_nearest_works_alone(many: Memory, works: Path) -> None:
    advice = many.advise(works / "temple.jpg", "many", mode="similar")
    page = Read(many.advisors.page(advice, works / "temple.jpg"))
    assert len(page.images) == 1 + 3
    assert "svg" not in page.tags
    with pytest.raises(UsageError, match="not the photograph that this advice is about"):
        many.advisors.page(advice, works / "coffee.png")


def test_the_command_writes_it(
    many: Memory, works: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for setting in ("home", "owner", "collection"):
        monkeypatch.setenv(f"SEEMORY_{setting.upper()}", str(getattr(many, setting)))
    line = ["advise", str(works / "temple.jpg"), "--advisor", "many", "--model", "seemory-mini"]
    with pytest.raises(SystemExit) as left:
        main([*line, "--html", str(tmp_path / "page.html")])
    assert left.value.code == 0
    assert capfd.readouterr().out.strip() == f"{tmp_path / 'page.html'} written"
    assert "Eight dimensions" in (tmp_path / "page.html").read_text(encoding="utf-8")
    with pytest.raises(SystemExit) as left:
        main([*line, "--html", str(tmp_path)])
    assert left.value.code == 2
