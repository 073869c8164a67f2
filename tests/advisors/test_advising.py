"""What a library says of a photograph: which works are like it, and why."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from seemory.advisors.dimensions import measure
from seemory.advisors.profile import DIMENSIONS
from seemory.advisors.prompts import PromptPairs
from seemory.advisors.regions import most_alike
from seemory.advisors.subjects import SUBJECTS
from seemory.calibration import Calibration
from seemory.errors import AdvisorNotFound, UnreadableMedia, UnsupportedMedia, UsageError
from seemory.memory import Memory
from seemory.types import CosineStatistics


def test_the_nearest_works_with_why(many: Memory, works: Path) -> None:
    with Image.open(works / "cat.png") as whole:
        part = whole.convert("RGB").crop((60, 20, 400, 290))
    written = io.BytesIO()
    part.save(written, "JPEG", quality=90)
    advice = many.advise(written.getvalue(), "many", mode="similar", limit=8, name="part of a cat")
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
    assert "& a cat”" in said.text
    assert said.evidence["reference"] == first.reference.key

    many.index(works)  # the same comparison by an ordinary search
    hits = {Path(hit.uri).name: hit for hit in many.search(image=written.getvalue(), limit=8)}
    assert len(hits) == 7
    for one in advice.similar:
        if one.reference.file_name not in hits:
            continue
        assert one.cosine == pytest.approx(hits[one.reference.file_name].cosine, abs=2e-3)
        assert one.likeness == pytest.approx(hits[one.reference.file_name].score, abs=0.02)


def test_a_likeness_that_lies_in_one_region_is_said_to(many: Memory, works: Path) -> None:
    whole = Image.new("RGB", (800, 600), (120, 130, 120))
    with Image.open(works / "coffee.png") as cup:
        whole.paste(cup.convert("RGB").resize((400, 300)), (400, 300))
    written = io.BytesIO()
    whole.save(written, "PNG")
    found = {one.reference.file_name: one for one in many.advise(written.getvalue(), "many", limit=8).similar}
    coffee = found["coffee.png"]
    assert coffee.region is not None
    assert coffee.region.name == "lower right"
    assert coffee.region.box == (0.5, 0.5, 1.0, 1.0)
    assert coffee.region.cosine > coffee.cosine, "the cup alone is more like it than the whole"
    assert "most alike in its lower right" in coffee.reason
    without = many.advise(written.getvalue(), "many", mode="similar", limit=8, regions=False).similar
    assert {one.region for one in without} == {None}
    assert {one.reference: one.cosine for one in without} == pytest.approx(
        {one.reference: one.cosine for one in found.values()}, abs=1e-5
    )


def test_a_likeness_that_lies_all_over_is_in_no_region() -> None:
    calibration = Calibration(CosineStatistics(0.2, 0.1, 0.7, 0.1))
    work = np.eye(8, dtype=np.float32)[0]
    cosines = np.array([0.50, 0.52, 0.49, 0.51, 0.53], np.float32)
    parts = np.zeros((5, 8), np.float32)
    parts[:, 0], parts[:, 1] = cosines, np.sqrt(1 - cosines**2)
    assert most_alike(parts, work, calibration, least=1.0) is None
    parts[2, :2] = 0.6, 0.8
    assert most_alike(parts, work, calibration, least=4.1) is None, "not like it by itself"
    region = most_alike(parts, work, calibration, least=1.0)
    assert region is not None
    assert (region.name, round(region.cosine, 2), round(region.sigmas, 2)) == ("lower left", 0.6, 0.68)


def test_a_work_of_the_library_is_known_as_such(many: Memory, works: Path) -> None:
    advice = many.advise(works / "coffee.png", "many", mode="similar", limit=2)
    assert [one.is_same for one in advice.similar] == [True, False]
    assert advice.similar[0].cosine == pytest.approx(1.0, abs=1e-3)
    assert "a work of the library itself" in advice.words[0].text
    assert advice.as_json()["similar"][0]["same_file"] is True


def test_a_work_that_is_gone_from_disk_is_still_compared(many: Memory, package_photographs: dict[str, Path]) -> None:
    advice = many.advise(package_photographs["galaxies"], "many", mode="similar")
    assert advice.similar[0].is_same
    assert advice.as_json()["similar"][0]["reference"]["file_is_here"] is False
    proof = many.advisors.proof("many", advice.similar[0].reference)
    assert proof is not None
    with Image.open(io.BytesIO(proof)) as small:
        assert max(small.size) == 800


def test_eight_scores_beside_the_works(many: Memory, works: Path, tmp_path: Path) -> None:
    with Image.open(works / "rocket.jpg") as whole:
        whole.crop((0, 0, 500, 420)).filter(ImageFilter.GaussianBlur(2.5)).save(tmp_path / "soft.jpg", quality=92)
    advice = many.advise(tmp_path / "soft.jpg", "many", mode="dimensions", limit=2)
    assert advice.similar == ()
    assert advice.missing == ()
    found = advice.comparison
    assert found is not None
    assert (found.works, len(found.to_study)) == (8, 2)
    with Image.open(tmp_path / "soft.jpg") as image:
        pixels = np.asarray(image.convert("RGB"))
    vector = many.encoder.embed_images([Image.fromarray(pixels)])[0]
    measured = measure(pixels, PromptPairs(many.encoder).evidence(vector))
    assert [one.score for one in found.standings] == pytest.approx(measured.scores().tolist(), abs=0.05)
    assert found.formulas == measured.formulas
    [sharpness] = [one for one in found.standings if one.dimension == "focus_sharpness"]
    assert sharpness.place == "priority", "a blurred picture beside sharp ones"
    assert found.priorities[0].dimension == "focus_sharpness"
    first = next(one for one in advice.words if one.text.startswith("First"))
    assert "focus and sharpness" in first.text
    assert first.evidence["score"] == round(sharpness.score, 2)

    both = many.advise(tmp_path / "soft.jpg", "many", limit=2)
    assert both.comparison == found
    assert both.similar == many.advise(tmp_path / "soft.jpg", "many", mode="similar", limit=2).similar
    assert both.missing == ("critic: no critic is configured (`critic.url` or `critic.local` in the settings)",)
    document = both.as_json()
    assert json.loads(json.dumps(document)) == document
    assert [one["dimension"] for one in document["dimensions"]["scores"]] == list(DIMENSIONS)


def test_scores_are_made_once_and_kept(memory: Memory, photos: Path) -> None:
    """A library without them is told how to get them; nothing long happens inside a request."""
    for name in ("astronaut", "motorcycle", "galaxies", "temple", "flower"):
        next(photos.glob(f"{name}.*")).unlink()
    memory.advisors.add("few", photos)
    with memory.database.transaction(memory.owner) as connection:
        connection.execute("DELETE FROM seemory.dimension_profile")
    with pytest.raises(UsageError, match=r"no scores by these formulas.*advisor refresh few"):
        memory.advise(photos / "cat.png", "few", mode="dimensions")
    advice = memory.advise(photos / "cat.png", "few")
    assert advice.comparison is None
    assert [line.partition(":")[0] for line in advice.missing] == ["dimensions", "critic"]
    assert memory.advisors.refresh("few").computed == 3
    assert memory.advisors.refresh("few").computed == 0
    again = memory.advise(photos / "cat.png", "few", mode="dimensions").comparison
    assert again is not None
    assert again.works == 2, "a work is not compared with itself"
    assert all(not one.best.is_same for one in again.standings)


def test_a_library_of_this_one_picture(memory: Memory, photos: Path) -> None:
    memory.advisors.add("one", photos / "cat.png")
    with pytest.raises(UsageError, match="no other work than this one"):
        memory.advise(photos / "cat.png", "one", mode="dimensions")
    assert any("no other work" in line for line in memory.advise(photos / "cat.png", "one").missing)
    assert memory.advise(photos / "coffee.png", "one", mode="dimensions").comparison is not None


def test_what_cannot_be_answered(memory: Memory, photos: Path) -> None:
    cat = photos / "cat.png"
    memory.advisors.add("one", cat)
    memory.advisors.add("two", cat)
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
