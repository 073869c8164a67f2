from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from seemory.errors import UnreadableMedia, UsageError
from seemory.media.files import find_files, hash_file


def touch(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "photos"
    for name in ("b.jpg", "a.JPG", "z/1.png", "z/y/2.heic", "notes.txt", ".hidden.jpg", ".git/c.jpg", "Thumbs.db"):
        touch(top / name, name.encode())
    for name in ("@eaDir/b.jpg", "__MACOSX/a.jpg", "z/@eaDir/1.png"):
        touch(top / name)
    return top


def names(found: object, top: Path) -> list[str]:
    return [file.path.relative_to(top).as_posix() for file in found]  # type: ignore[attr-defined]


def test_walk_is_ordered_and_skips_what_nobody_made(tree: Path) -> None:
    expected = ["a.JPG", "b.jpg", "z/1.png", "z/y/2.heic"]
    assert names(find_files([tree]), tree) == expected
    assert names(find_files([tree], recursive=False), tree) == ["a.JPG", "b.jpg"]
    first = next(iter(find_files([tree])))
    assert (first.size, first.mtime_ns) == (5, (tree / "a.JPG").stat().st_mtime_ns)
    assert names(find_files([tree], suffixes=frozenset({".txt"})), tree) == ["notes.txt"]


def test_each_file_comes_once(tree: Path) -> None:
    assert names(find_files([tree / "z", tree, tree / "b.jpg"]), tree) == ["z/1.png", "z/y/2.heic", "a.JPG", "b.jpg"]


def test_a_named_file_comes_whatever_it_is_called(tree: Path) -> None:
    assert names(find_files([tree / "notes.txt", tree / ".hidden.jpg"]), tree) == ["notes.txt", ".hidden.jpg"]


def test_relative_names_become_absolute(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    assert [file.path for file in find_files([Path("z/../b.jpg")])] == [tree / "b.jpg"]


def test_a_missing_root_is_wrong_use_at_once(tree: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere.*no such"):
        find_files([tree, tree / "nowhere"])


def test_links(tree: Path, tmp_path: Path) -> None:
    outside = touch(tmp_path / "outside" / "o.jpg")
    (tree / "file.jpg").symlink_to(outside)
    (tree / "loop").symlink_to(tree)
    (tree / "away").symlink_to(outside.parent)
    (tree / "broken.jpg").symlink_to(tree / "nothing")
    assert names(find_files([tree]), tree) == ["a.JPG", "b.jpg", "file.jpg", "away/o.jpg", "z/1.png", "z/y/2.heic"]


def test_pipes_are_left_out(tree: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes here")
    os.mkfifo(tree / "pipe.jpg")
    assert "pipe.jpg" not in names(find_files([tree]), tree)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_folders_are_told(tree: Path) -> None:
    (tree / "z").chmod(0)
    told: list[Path] = []
    try:
        assert names(find_files([tree], on_error=lambda path, error: told.append(path)), tree) == ["a.JPG", "b.jpg"]
    finally:
        (tree / "z").chmod(0o755)
    assert told == [tree / "z"]


def test_a_folder_that_vanishes_is_told(tree: Path) -> None:
    told: list[Path] = []
    walk = find_files([tree], on_error=lambda path, error: told.append(path))
    assert next(walk).path.name == "a.JPG"
    (tree / "z").rename(tree / "elsewhere")
    assert names(walk, tree) == ["b.jpg"]
    assert told == [tree / "z"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_undecodable_names_survive(tree: Path) -> None:
    raw = os.fsencode(tree) + b"/caf\xe9.jpg"
    Path(os.fsdecode(raw)).write_bytes(b"latin")
    found = [file.path for file in find_files([tree]) if os.fsencode(file.path) == raw]
    assert hash_file(found[0]) == hashlib.sha256(b"latin").digest()


def test_hash(tmp_path: Path) -> None:
    path = touch(tmp_path / "a", b"abc" * 1_000_000)
    assert hash_file(path) == hashlib.sha256(path.read_bytes()).digest()
    with pytest.raises(UnreadableMedia):
        hash_file(tmp_path / "gone")
    with pytest.raises(UnreadableMedia):
        hash_file(tmp_path)
