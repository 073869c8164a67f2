"""The demo and its contact sheet: what is judged, what is said, and that the page stands alone."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from uuid import NAMESPACE_URL, UUID, uuid5

import pytest
from PIL import Image

from seemory.contact_sheet import Frame, Sheet, Strip, render
from seemory.demo import DemoMemory, run_demo
from seemory.demo_photographs import GENERAL_QUERIES, PHOTOGRAPHS, QUERIES
from seemory.errors import UsageError
from seemory.memory import Memory
from seemory.types import Hit


class Page(HTMLParser):
    """What a browser would see of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append(data.strip())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def assert_stands_alone(text: str) -> Page:
    page = Page(text)
    assert "script" not in {tag for tag, _ in page.tags}
    assert "link" not in {tag for tag, _ in page.tags}
    assert "url(" not in text
    assert "@import" not in text
    assert "http" not in text
    for image in page.all("img"):
        assert (image["src"] or "").startswith("data:image/jpeg;base64,")
        assert image["alt"], "every picture has words for those who cannot see it"
    for link in page.all("a"):
        assert (link["href"] or "").startswith("#search-")
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    return page


def jpeg(colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20), colour).save(buffer, "JPEG")
    return buffer.getvalue()


# -- the page -----------------------------------------------------------------------------------------------------


def test_names_and_words_cannot_break_out_of_the_page() -> None:
    evil = '"><img src=x onerror=alert(1)><script>'
    frame = Frame(jpeg(), (30, 20), evil, evil + "\udcff", 0.5, 0.2, right=True)
    sheet = Sheet(evil, evil, ((evil, evil),), (Strip(evil, (frame,), evil, right=True),), (frame,), (evil,))
    page = assert_stands_alone(render(sheet))
    assert len(page.all("img")) == 2
    assert page.all("img")[0]["alt"] == evil
    render(sheet).encode("utf-8")


def test_marks_say_which_is_right() -> None:
    def strip(*right: bool) -> Strip:
        frames = tuple(Frame(jpeg(), (30, 20), "alt", f"f{n}", 0.9, 0.3, right=r) for n, r in enumerate(right))
        return Strip("words", frames, "verdict", right[0])

    text = render(Sheet("t", "l", (), (strip(True, False, False), strip(False, True, False), strip(False, False))))
    assert text.count('class="ring"') == 2
    assert text.count('class="cross"') == 2
    assert [item["class"] for item in Page(text).all("li") if "class" in item] == ["is-right", "is-wrong", "is-wrong"]


def test_odd_frames_are_held_in_bounds() -> None:
    thin = Frame(None, (50_000, 1), "a line", "line", float("nan"), 0.1)
    text = render(Sheet("t", "l", (), (Strip("a", (thin,)), Strip("b", ()))))
    assert "--ratio:3.000" in text
    assert "--score:0.000" in text
    assert "Nothing was found." in text
    assert 'aria-label="a line"' in text
    assert "tally" not in {item.get("class") for item in Page(text).all("ul")}


# -- the demo, with made hits over the real photographs -------------------------------------------------------------


class Ranked:
    """A memory whose ranking is given: the demo's judging is under test here, not the seeing."""

    encoder_name = "made"

    def __init__(self, home: Path, place: Callable[[str], int]) -> None:
        self.home = home
        self._place = place
        self._folder: Path | None = None

    def index(self, *paths: Path, **_: object) -> SimpleNamespace:
        self._folder = paths[0]
        count = len(list(paths[0].iterdir()))
        return SimpleNamespace(
            indexed=count,
            skipped=1,
            counts=Counter(indexed=count, known_bad=1),
            errors=[("bad.jpg", "an empty file; copy it again")],
        )

    def thumbnail(self, item_id: UUID) -> bytes | None:
        return jpeg()

    def search(self, words: str, *, limit: int = 3, weights: dict[str, float] | None = None) -> list[Hit]:
        assert self._folder is not None
        assert weights == {"visual": 1.0, "text": 0.0, "words": 0.0}, "names and captions must not help"
        paths = sorted(str(path) for path in self._folder.iterdir())
        if words in dict(QUERIES):
            names = [photograph.name for photograph in PHOTOGRAPHS]
            right = paths.pop(names.index(dict(QUERIES)[words]))
            paths.insert(self._place(words) - 1, right)
        scores = [0.9 / n for n in range(1, limit + 1)]
        return [
            Hit(uuid5(NAMESPACE_URL, path), "image", path, score, score / 3, n)
            for n, (path, score) in enumerate(zip(paths[:limit], scores, strict=False), 1)
        ]


def test_every_photograph_is_there_and_every_query_has_one() -> None:
    assert [photograph.name for photograph in PHOTOGRAPHS if photograph.find() is None] == []
    assert {expected for _, expected in QUERIES} <= {photograph.name for photograph in PHOTOGRAPHS}
    assert len(QUERIES) == 10


def test_right_and_wrong_are_said_plainly(tmp_path: Path) -> None:
    memory = Ranked(tmp_path / "home", lambda words: {"a cat": 2, "a flower": 12}.get(words, 1))
    said: list[str] = []
    result = run_demo(memory, None, tmp_path / "demo.html", said.append)
    assert (result.right, result.photographs) == (8, len(PHOTOGRAPHS))
    text = "\n".join(said)
    assert "8 of 10 right by sight alone" in text
    assert "(the cat came 2nd)" in text
    assert "(the flower came 12th)" in text
    assert [line.split()[0] for line in said if "a cat " in line or "a flower " in line] == ["wrong", "wrong"]
    assert "not read: bad.jpg: an empty file" in text
    page = assert_stands_alone((tmp_path / "demo.html").read_text(encoding="utf-8"))
    assert "8 of 10 right by sight alone" in page.words
    assert "Wrong: the cat came 2nd" in page.words
    assert len(page.all("article")) == 10
    assert len(page.all("img")) == 10 * 3 + len(PHOTOGRAPHS)


def test_file_names_give_nothing_away(tmp_path: Path) -> None:
    run_demo(Ranked(tmp_path, lambda _: 1), None, tmp_path / "demo.html", lambda _: None)
    for path in (tmp_path / "demo-photographs").iterdir():
        assert path.stem.isdigit()


def test_ones_own_photographs_are_not_judged(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for name in ("<b>one.jpg", "two & three.jpg"):
        (own / name).write_bytes(jpeg("blue"))
    (own / "gone.jpg").write_bytes(b"")
    said: list[str] = []
    result = run_demo(Ranked(tmp_path, lambda _: 1), own, tmp_path / "demo.html", said.append)
    assert [answer.rank for answer in result.answers] == [None] * len(GENERAL_QUERIES)
    text = (tmp_path / "demo.html").read_text(encoding="utf-8")
    page = assert_stands_alone(text)
    assert "two & three.jpg" in page.words
    assert 'class="ring"' not in text
    assert 'class="cross"' not in text
    assert "right by sight" not in "\n".join(said) + text


def test_refusals(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    memory = Ranked(tmp_path, lambda _: 1)
    with pytest.raises(UsageError, match="no picture"):
        run_demo(memory, tmp_path / "none", tmp_path / "demo.html", lambda _: None)
    with pytest.raises(UsageError, match="cannot be written"):
        run_demo(memory, None, tmp_path / "no" / "such" / "demo.html", lambda _: None)


# -- the demo as it is ----------------------------------------------------------------------------------------------


def test_with_a_real_memory(memory: Memory, tmp_path: Path) -> None:
    promised: DemoMemory = memory
    said: list[str] = []
    result = run_demo(promised, None, tmp_path / "demo.html", said.append)
    assert result.photographs == len(PHOTOGRAPHS)
    assert len(result.answers) == len(QUERIES)
    assert all(answer.rank is not None for answer in result.answers), "all of so few are ranked"
    assert f"{result.right} of 10 right by sight alone" in said
    assert_stands_alone((tmp_path / "demo.html").read_text(encoding="utf-8"))
    again = run_demo(promised, None, tmp_path / "demo.html", said.append)
    assert again.index_seconds is None
    assert again.right == result.right
