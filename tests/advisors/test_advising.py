"""What a library says of a photograph: which works are like it, and why."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from seemory.advisors.subjects import SUBJECTS
from seemory.errors import AdvisorNotFound, UnreadableMedia, UnsupportedMedia, UsageError
from seemory.memory import Memory


def test_the_nearest_works_with_why(memory: Memory, photos: Path, package_photographs: dict[str, Path]) -> None:
    memory.advisors.add("many", photos)
    with Image.open(photos / "cat.png") as whole:
        part = whole.convert("RGB").crop((60, 20, 400, 290))
    written = io.BytesIO()
    part.save(written, "JPEG", quality=90)
    advice = memory.advise(written.getvalue(), "many", mode="similar", limit=8, name="part of a cat")
    assert (advice.photograph, advice.works, advice.mode, advice.missing) == ("part of a cat", 8, "similar", ())
    first = advice.similar[0]
    assert first.reference.file_name == "cat.png"
    assert not first.is_same
    assert first.cosine > 0.8
    assert any("a cat" in one.label for one in first.labels)
    assert "both show" in first.reason
    cosines = [one.cosine for one in advice.similar]
    assert cosines == sorted(cosines, reverse=True)
    assert [one.likeness for one in advice.similar] == sorted((one.likeness for one in advice.similar), reverse=True)
    assert all({shared.label for shared in one.labels} <= set(SUBJECTS) for one in advice.similar)
    [said] = advice.words
    assert "“cat.png”" in said.text
    assert said.evidence["reference"] == first.reference.key

    memory.index(photos)  # the same comparison by an ordinary search
    hits = {Path(hit.uri).name: hit for hit in memory.search(image=written.getvalue(), limit=8)}
    for one in advice.similar:
        assert one.cosine == pytest.approx(hits[one.reference.file_name].cosine, abs=2e-3)
        assert one.likeness == pytest.approx(hits[one.reference.file_name].score, abs=0.02)


def test_a_work_of_the_library_is_known_as_such(memory: Memory, photos: Path) -> None:
    memory.advisors.add("many", photos)
    advice = memory.advise(photos / "coffee.png", "many", mode="similar", limit=2)
    assert [one.is_same for one in advice.similar] == [True, False]
    assert advice.similar[0].cosine == pytest.approx(1.0, abs=1e-3)
    assert "a work of the library itself" in advice.words[0].text
    assert advice.as_json()["similar"][0]["same_file"] is True


def test_a_work_that_is_gone_from_disk_is_still_compared(memory: Memory, photos: Path, tmp_path: Path) -> None:
    memory.advisors.add("many", photos)
    photograph = (photos / "cat.png").rename(tmp_path / "cat.png")
    advice = memory.advise(photograph, "many", mode="similar")
    assert advice.similar[0].is_same
    assert advice.as_json()["similar"][0]["reference"]["file_is_here"] is False
    proof = memory.advisors.proof("many", advice.similar[0].reference)
    assert proof is not None
    with Image.open(io.BytesIO(proof)) as small:
        assert small.size == (451, 300)


def test_what_cannot_be_answered(memory: Memory, photos: Path) -> None:
    memory.advisors.add("one", photos)
    memory.advisors.add("two", photos)
    cat = photos / "cat.png"
    with pytest.raises(AdvisorNotFound, match=r"no advisor 'x'; there are: one, two"):
        memory.advise(cat, "x")
    memory.advisors.remove("two", [work.key for work in memory.advisors.references("two")])
    with pytest.raises(UsageError, match="library of two is empty"):
        memory.advise(cat, "two")
    with pytest.raises(UsageError, match="no critic is configured"):
        memory.advise(cat, "one", mode="critic")
    with pytest.raises(UsageError, match="mode is one of"):
        memory.advise(cat, "one", mode="x")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="limit must be"):
        memory.advise(cat, "one", limit=0)
    (photos / "text.jpg").write_text("no picture")
    with pytest.raises(UnreadableMedia, match=r"text\.jpg: not a picture"):
        memory.advise(photos / "text.jpg", "one", mode="similar")
    with pytest.raises(UnreadableMedia, match=r"nowhere\.jpg: the file is not there"):
        memory.advise(photos / "nowhere.jpg", "one", mode="similar")
    with pytest.raises(UnsupportedMedia, match="sent: "):
        memory.advise(b"no picture", "one", mode="similar", name="sent")
