"""Indexing real photographs into real Postgres: a file costs only what is new about it, and a bad one stops nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seemory.errors import UsageError
from seemory.memory import Memory
from seemory.telemetry import Progress


def counts(memory: Memory, *paths: Path, **options: bool) -> dict[str, int]:
    return dict(memory.index(*paths, **options).counts)


def stored(memory: Memory) -> dict[str, object]:
    return {Path(item.uri).name: item.item_id for item in memory.items()}


def test_the_second_run_has_nothing_to_do(memory: Memory, photos: Path) -> None:
    first = memory.index(photos)
    assert (first.indexed, first.failed, first.found) == (8, 0, 8)
    before = stored(memory)
    second = memory.index(photos)
    assert dict(second.counts) == {"unchanged": 8}
    assert stored(memory) == before


def test_a_touched_file_costs_a_hash_and_a_changed_one_a_forward_pass(memory: Memory, photos: Path) -> None:
    memory.index(photos)
    before = stored(memory)
    os.utime(photos / "cat.png", (1, 1))
    assert counts(memory, photos) == {"unchanged": 8}
    Image.open(photos / "coffee.png").rotate(180).save(photos / "cat.png")
    assert counts(memory, photos) == {"indexed": 1, "unchanged": 7}
    assert stored(memory) == before, "a changed file keeps its item"
    assert counts(memory, photos) == {"unchanged": 8}


def test_a_moved_file_keeps_its_item(memory: Memory, photos: Path) -> None:
    memory.index(photos)
    before = stored(memory)
    (photos / "new").mkdir()
    (photos / "cat.png").rename(photos / "new" / "tiger.png")
    assert counts(memory, photos) == {"moved": 1, "unchanged": 7}
    assert stored(memory)["tiger.png"] == before["cat.png"]
    assert "cat.png" not in stored(memory)


def test_two_equal_files_of_which_one_moves(memory: Memory, photos: Path) -> None:
    shutil.copy(photos / "cat.png", photos / "second.png")
    memory.index(photos)
    (photos / "second.png").rename(photos / "third.png")
    assert counts(memory, photos) == {"moved": 1, "unchanged": 8}
    assert {"cat.png", "third.png"} <= set(stored(memory))
    assert "second.png" not in stored(memory)


def test_known_bytes_under_a_new_name_are_copied_not_embedded(memory: Memory, photos: Path) -> None:
    memory.index(photos)
    shutil.copy(photos / "cat.png", photos / "copy.png")
    assert counts(memory, photos) == {"copied": 1, "unchanged": 8}
    a, b = (memory.search(like=str(photos / name), limit=1)[0] for name in ("cat.png", "copy.png"))
    assert Path(a.uri).name == "copy.png"
    assert Path(b.uri).name == "cat.png"
    assert a.cosine == pytest.approx(1.0, abs=1e-3)


def test_bad_files_are_stored_with_their_reason_and_stop_nothing(memory: Memory, photos: Path) -> None:
    (photos / "empty.jpg").touch()
    (photos / "words.jpg").write_text("this is not a photograph")
    whole = (photos / "rocket.jpg").read_bytes()
    (photos / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    report = memory.index(photos)
    assert (report.indexed, report.failed) == (8, 3)
    assert {Path(uri).name for uri, _ in report.errors} == {"empty.jpg", "words.jpg", "cut.jpg"}
    assert {Path(uri).name: attempts for uri, _, attempts in memory.errors()} == {
        "empty.jpg": 1,
        "words.jpg": 1,
        "cut.jpg": 1,
    }
    assert all(reason for _, reason, _ in memory.errors())
    assert counts(memory, photos) == {"unchanged": 8, "known_bad": 3}, "what failed is not tried again by itself"
    assert counts(memory, photos, retry_failed=True) == {"unchanged": 8, "failed": 3}
    (photos / "cut.jpg").write_bytes(whole)
    assert counts(memory, photos) == {"copied": 1, "unchanged": 8, "known_bad": 2}
    assert "cut.jpg" not in {Path(uri).name for uri, _, _ in memory.errors()}


def test_a_good_file_that_goes_bad_leaves_the_answers(memory: Memory, photos: Path) -> None:
    memory.index(photos)
    (photos / "cat.png").write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    assert counts(memory, photos) == {"failed": 1, "unchanged": 7}
    assert "cat.png" not in {Path(hit.uri).name for hit in memory.search("a cat", limit=10)}


def test_pruned_files_leave_the_answers_and_come_back(memory: Memory, photos: Path, tmp_path: Path) -> None:
    memory.index(photos)
    shutil.move(photos / "cat.png", tmp_path / "cat.png")
    assert memory.index(photos).missing == 0, "without --prune nothing is marked: the disk may only be unplugged"
    assert len(memory.search("a cat")) == 8
    assert memory.index(photos, prune=True).missing == 1
    assert len(memory.search("a cat")) == 7
    shutil.move(tmp_path / "cat.png", photos / "cat.png")
    assert counts(memory, photos) == {"unchanged": 8}
    assert len(memory.search("a cat")) == 8


def test_pruning_looks_only_under_the_given_folders(memory: Memory, photos: Path, tmp_path: Path) -> None:
    other = tmp_path / "photos-of-others"  # the same beginning as `photos`, but another folder
    shutil.copytree(photos, other)
    memory.index(photos, other)
    shutil.rmtree(other)
    assert memory.index(photos, prune=True).missing == 0


def test_not_recursive_stays_in_the_folder(memory: Memory, photos: Path) -> None:
    (photos / "deep").mkdir()
    (photos / "cat.png").rename(photos / "deep" / "cat.png")
    assert counts(memory, photos, recursive=False) == {"indexed": 7}


def test_a_root_that_is_not_there_is_wrong_use(memory: Memory, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        memory.index(tmp_path / "nowhere")


def test_odd_names_survive(memory: Memory, photos: Path) -> None:
    names = ["naïve café ☕.png", "a'; DROP TABLE seemory.item; --.png", "new\nline.png", "100%_sure.png"]
    for name in names:
        shutil.copy(photos / "coffee.png", photos / name)
    os.link(photos / "cat.png", os.fsencode(photos) + b"/not-\xff-unicode.png")
    report = memory.index(photos)
    assert report.failed == 0
    assert report.indexed == 13
    assert set(names) <= set(stored(memory))
    assert counts(memory, photos) == {"unchanged": 13}


def test_a_batch_of_equal_new_files_is_embedded_once_each_is_found(memory: Memory, photos: Path) -> None:
    for n in range(5):
        shutil.copy(photos / "cat.png", photos / f"cat{n}.png")
    assert memory.index(photos).indexed == 13
    assert len([hit for hit in memory.search(like=str(photos / "cat.png"), limit=20) if hit.cosine > 0.999]) == 5


def test_stored_vectors_are_the_encoders_own(memory: Memory, photos: Path) -> None:
    """Through decode, batch, halfvec and back: what is stored is what the encoder says of the same file."""
    from seemory.media.image import load_picture

    memory.index(photos)
    encoder = memory.encoder
    for path in photos.iterdir():
        [direct] = encoder.embed_images([load_picture(path, target=encoder.image_size).image])
        [hit] = memory.search(vector=direct, limit=1)
        assert Path(hit.uri) == path
        assert hit.cosine == pytest.approx(1.0, abs=1e-3)
        assert np.linalg.norm(direct) == pytest.approx(1.0, abs=1e-5)


def test_progress_counts_every_file_once(memory: Memory, photos: Path) -> None:
    (photos / "empty.jpg").touch()
    events: list[Progress] = []
    memory.index(photos, listen=events.append)
    assert [event.done for event in events] == list(range(1, 10))
    assert {event.total for event in events} == {9}


def test_results_can_be_taken_one_by_one(memory: Memory, photos: Path) -> None:
    seen = {Path(result.uri).name: result.status for result in memory.index_each(photos)}
    assert len(seen) == 8
    assert set(seen.values()) == {"indexed"}


def test_an_interrupted_run_keeps_what_is_finished(new_memory: Callable[..., Memory], photos: Path) -> None:
    memory = new_memory(index={"batch_size": 2})

    def stop(event: Progress) -> None:
        if event.done == 4:
            raise KeyboardInterrupt

    report = memory.index(photos, listen=stop)
    assert report.interrupted
    again = memory.index(photos)
    assert again.counts["unchanged"] >= 4
    assert again.counts["unchanged"] + again.counts["indexed"] == 8


def test_two_owners_do_not_see_each_other(new_memory: Callable[..., Memory], photos: Path) -> None:
    anna, ben = new_memory(owner="anna", collection="both"), new_memory(owner="ben", collection="both")
    anna.index(photos / "cat.png")
    ben.index(photos / "coffee.png")
    assert [Path(hit.uri).name for hit in anna.search("anything")] == ["cat.png"]
    assert [Path(hit.uri).name for hit in ben.search("anything")] == ["coffee.png"]
