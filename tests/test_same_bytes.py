"""The same picture twice costs a hash: forward passes and decodes are counted where they happen."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seemory.memory import Memory
from seemory.metrics import counted
from seemory.same_bytes import UnderWay


@contextmanager
def costs(passes: int, decodes: int | None = None) -> Iterator[None]:
    """So many pictures went through the tower, and so many files were decoded."""
    before = counted()
    yield
    now = counted()
    assert now["pictures_embedded"] - before["pictures_embedded"] == passes
    assert now["pictures_decoded"] - before["pictures_decoded"] == (passes if decodes is None else decodes)


def test_counters_count_pictures_and_passes(memory: Memory, photos: Path) -> None:
    before = counted()["image_passes"]
    with costs(8):
        memory.index(photos)
    assert counted()["image_passes"] - before == 1, "eight pictures are one batch"


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_copies_within_one_run_cost_a_hash(
    new_memory: Callable[..., Memory], photos: Path, tmp_path: Path, batch_size: int
) -> None:
    """Also where the first is decoded, embedded or being written, and not yet in the store."""
    for n in range(30):
        shutil.copy(
            photos / ("cat.png" if n % 2 else "rocket.jpg"), photos / f"copy{n:02}{'.png' if n % 2 else '.jpg'}"
        )
    shutil.copytree(photos, tmp_path / "backup")
    memory = new_memory(index={"batch_size": batch_size, "workers": 2})
    with costs(8):
        report = memory.index(photos, tmp_path / "backup")
    assert dict(report.counts) == {"indexed": 8, "copied": 2 * 38 - 8}
    assert len(memory.search(like=str(photos / "cat.png"), limit=100)) == 2 * 38 - 1
    with costs(0):
        assert dict(memory.index(photos, tmp_path / "backup").counts) == {"unchanged": 2 * 38}


def test_every_copy_of_a_bad_file_fails_with_its_reason(memory: Memory, photos: Path) -> None:
    for n in range(20):
        (photos / f"bad{n}.jpg").write_bytes(b"\xff\xd8\xff no photograph")
    report = memory.index(photos)
    assert (report.indexed, report.failed) == (8, 20)
    assert len({uri for uri, _ in report.errors}) == 20


def test_over_runs_under_other_names_and_in_other_folders(memory: Memory, photos: Path, tmp_path: Path) -> None:
    with costs(8):
        memory.index(photos)
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(photos / "cat.png", other / "tiger.png")
    shutil.copy(photos / "cat.png", photos / "again.png")
    (photos / "coffee.png").rename(other / "tea.png")
    with costs(0):
        report = memory.index(photos, other)
    assert (report.counts["copied"], report.counts["moved"]) == (2, 1)


def test_what_went_from_disk_comes_back_for_a_hash_and_what_was_forgotten_does_not(
    memory: Memory, photos: Path, tmp_path: Path
) -> None:
    memory.index(photos)
    shutil.move(photos / "cat.png", tmp_path / "cat.png")
    memory.index(photos, prune=True)
    shutil.move(tmp_path / "cat.png", photos / "back.png")
    with costs(0):
        assert memory.index(photos).counts["moved"] == 1
    memory.forget([str(photos / "back.png")])
    with costs(1):
        assert memory.index(photos).indexed == 1


def test_another_owner_pays_for_itself(new_memory: Callable[..., Memory], photos: Path) -> None:
    """That a picture is known to somebody must not be seen in what it costs or how long it takes."""
    anna, ben = (new_memory(owner=name, collection="same bytes") for name in ("anna-sb", "ben-sb"))
    with costs(8):
        anna.index(photos)
    with costs(1):
        ben.index(photos / "cat.png")
    with costs(1):
        ben.search(image=photos / "rocket.jpg")
    with costs(0):
        anna.search(image=photos / "rocket.jpg")


def test_searching_by_a_picture_that_is_known_costs_a_hash(memory: Memory, photos: Path, tmp_path: Path) -> None:
    asked = tmp_path / "asked.jpg"
    shutil.copy(photos / "rocket.jpg", asked)
    memory.index(photos / "cat.png", photos / "coffee.png")
    with costs(1):
        fresh = memory.search(image=asked, limit=2)
    memory.index(photos / "rocket.jpg")
    with costs(0):
        hits = memory.search(image=asked, limit=3)
        memory.search("a cat", plus=[str(asked)], minus=[str(photos / "cat.png")])
        memory.similar(asked)
    assert Path(hits[0].uri).name == "rocket.jpg"
    # Half precision is all that the stored vector lost.
    for known, new in zip(hits[1:], fresh, strict=True):
        assert known.uri == new.uri
        assert known.cosine == pytest.approx(new.cosine, abs=1e-3)


def test_a_picture_that_is_known_needs_no_encoder(new_memory: Callable[..., Memory], photos: Path) -> None:
    from seemory.errors import SeemoryError
    from seemory.search.searcher import AbsentEncoder, Searcher

    memory = new_memory()
    memory.index(photos / "cat.png")
    rooms = memory._rooms
    searcher = Searcher(rooms.query, rooms.live(), AbsentEncoder(SeemoryError("it is gone")))
    [hit] = searcher.hits([rooms.terms.look(searcher, photos / "cat.png")])
    assert Path(hit.uri).name == "cat.png"
    with pytest.raises(SeemoryError, match="it is gone"):
        rooms.terms.look(searcher, photos / "coffee.png")


def test_a_picture_that_cannot_be_read_is_named(memory: Memory, photos: Path) -> None:
    from seemory.errors import UnreadableMedia

    memory.index(photos / "cat.png")
    with pytest.raises(UnreadableMedia, match=r"nowhere\.jpg"):
        memory.search(image=photos / "nowhere.jpg")
    (photos / "words.jpg").write_text("no photograph")
    with pytest.raises(UnreadableMedia, match=r"words\.jpg"):
        memory.search(image=photos / "words.jpg")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans())))
def test_what_is_under_way_is_what_began_and_was_not_written(steps: list[tuple[str, bool]]) -> None:
    under_way: UnderWay[str] = UnderWay()
    expected: set[bytes] = set()
    for letter, begins in steps:
        one = letter.encode()
        if begins:
            under_way.begin(one)
            expected.add(one)
        else:
            under_way.written([one])
            expected.discard(one)
        assert under_way.among([b"a", b"b", b"c"]) == expected
