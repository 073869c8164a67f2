from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from made_encoders import turned

from seemory.errors import UsageError
from seemory.measuring.folders import captioned_folder, labelled_folder, seen
from seemory.measuring.retrieval import measure_captioned, measure_labelled, tables, write_report
from seemory.models.encoder import Encoder
from seemory.models.folder import read_folder
from seemory.models.loading import load_encoder

NAMES = ("astronaut", "cat", "coffee", "rocket", "motorcycle", "galaxies", "temple", "flower")


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_encoder("seemory-mini", home=tmp_path_factory.mktemp("models"), offline=True)


def captions(folder: Path) -> Path:
    file = folder.parent / "captions.json"
    said = [
        {"image": path.name, "captions": [f"a photo of a {path.stem}", f"a {path.stem}"]}
        for path in sorted(folder.iterdir())
    ]
    file.write_text(json.dumps(said))
    return file


def test_recall_of_a_captioned_folder_is_told_at_each_width(photos: Path, mini: Encoder, tmp_path: Path) -> None:
    file = captions(photos)
    (photos / "cat.png").write_bytes(b"\x89PNG no more")
    folder = captioned_folder(photos, file)
    report = measure_captioned(folder, ["seemory-mini"], lambda _name: mini, widths=[64], draws=50)
    found = report.found[0]
    assert (found.pictures, found.captions) == (7, 14)
    assert list(found.widths) == [256, 64]
    recall = found.widths[256].text_to_image.at
    assert recall[1] > 2 * found.widths[256].text_to_image.chance[1]
    assert recall[1] <= recall[5] <= recall[10] == 1.0
    assert found.first.mean() == pytest.approx(recall[1])
    assert "cat.png" in report.notes[0]
    table = tables(report)[0]
    assert [row[0] for row in table.rows] == ["seemory-mini", "seemory-mini", "chance"]
    write_report(report, tmp_path / "report.html")
    assert "seemory-mini" in (tmp_path / "report.html").read_text()
    json.dumps(report.as_json())


def test_an_encoder_that_is_the_same_up_to_a_turn_finds_the_same(photos: Path, mini: Encoder, tmp_path: Path) -> None:
    other = Encoder(read_folder(turned(tmp_path / "turned")))
    known = {"seemory-mini": mini, "turned": other}
    folder = captioned_folder(photos, captions(photos), every=2)
    report = measure_captioned(folder, list(known), known.__getitem__, draws=50)
    assert report.found[0].pictures == 4
    assert report.found[0].widths[256].as_json() == report.found[1].widths[256].as_json()
    assert report.differences == [("turned", "seemory-mini", 0.0, (0.0, 0.0))]
    assert "+0.0" in tables(report)[1].rows[0][2]


def test_labelled_pictures_are_told_by_more_than_one_set_of_prompts(photos: Path, mini: Encoder) -> None:
    for path in sorted(photos.iterdir()):
        (photos / path.stem).mkdir()
        path.rename(photos / path.stem / path.name)
    folder = labelled_folder(photos)
    assert sorted(folder.labels) == sorted(NAMES)
    report = measure_labelled(folder, ["seemory-mini"], lambda _name: mini, draws=50)
    assert [one.templates for one in report.told] == [1, 1, 5]
    for one in report.told:
        assert one.top.at[1] > 2 * one.top.chance[1] == 0.25
        assert one.top.at[5] >= one.top.at[1]
    assert tables(report)[0].rows[-1][0] == "chance"
    with pytest.raises(UsageError, match=r"needs \{\}"):
        measure_labelled(folder, ["seemory-mini"], lambda _name: mini, templates=["a photo"])


def test_labels_come_from_names_and_from_files_as_well(photos: Path, tmp_path: Path, monkeypatch) -> None:
    for number, path in enumerate(sorted(photos.iterdir())):
        path.rename(photos / f"n0{number}_big_{path.name}")
    by_name = labelled_folder(photos, pattern=r"n\d+_(.+)")
    assert "big cat" in by_name.labels
    (tmp_path / "labels.csv").write_text("\n".join(f"{path.name},kind {n % 2}" for n, path in enumerate(by_name.paths)))
    monkeypatch.chdir(photos)
    assert labelled_folder(Path(), labels=tmp_path / "labels.csv").labels == ("kind 0", "kind 1") * 4
    assert len(labelled_folder(photos, pattern=r"n\d+_(.+)", every=3).paths) == 3


def test_what_is_no_folder_of_either_kind_is_refused(photos: Path, tmp_path: Path) -> None:
    file = captions(photos)
    (tmp_path / "wrong.json").write_text('[{"image": "../../secret.jpg", "captions": ["x"]}]')
    (tmp_path / "labels.csv").write_text("one,two,three\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    for refused in (
        lambda: captioned_folder(empty, file),
        lambda: captioned_folder(tmp_path / "absent", file),
        lambda: captioned_folder(photos, tmp_path / "wrong.json"),
        lambda: captioned_folder(photos, tmp_path / "absent.json"),
        lambda: labelled_folder(photos),
        lambda: labelled_folder(photos, pattern="("),
        lambda: labelled_folder(photos, pattern="no group"),
        lambda: labelled_folder(photos, labels=tmp_path / "labels.csv"),
        lambda: labelled_folder(tmp_path / "absent"),
    ):
        with pytest.raises(UsageError):
            refused()


def test_encoders_that_cannot_are_said_and_the_others_measured(photos: Path, mini: Encoder, tmp_path: Path) -> None:
    from models.toys import sentence_folder

    words = Encoder(read_folder(sentence_folder(tmp_path / "words")))
    known = {"words": words, "seemory-mini": mini}
    folder = captioned_folder(photos, captions(photos))
    report = measure_captioned(folder, list(known), known.__getitem__, draws=10)
    assert [one.encoder for one in report.found] == ["seemory-mini"]
    assert "no image tower" in report.notes[0]
    with pytest.raises(UsageError, match="no image tower"):
        measure_captioned(folder, ["words"], known.__getitem__)
    with pytest.raises(UsageError, match="width of 257"):
        measure_captioned(folder, ["seemory-mini"], known.__getitem__, widths=[257])
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "x.jpg").write_bytes(b"no picture")
    with pytest.raises(UsageError, match="none of the 1 pictures"):
        seen(mini, [bad / "x.jpg"], max_pixels=1_000_000)


def test_reserved_pictures_are_found_far_above_chance(shared: Path, mini: Encoder) -> None:
    """Some of the 149 reserved pictures, which the encoder was never trained on."""
    folder = captioned_folder(shared / "flickr8k_600/images", shared / "flickr8k_600/captions.csv", every=32)
    report = measure_captioned(folder, ["seemory-mini"], lambda _name: mini, draws=50)
    both = report.found[0].widths[256]
    assert both.text_to_image.at[5] > 0.7 > both.text_to_image.chance[5]
    assert np.isfinite(both.image_to_text.mean_rank)
