"""Measuring an encoder's precisions on real photographs, and what a collection makes of it afterwards."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import toys
from references import clip

from seemory.errors import CollectionMismatch, UsageError
from seemory.memory import Memory
from seemory.models.choosing import Report, read_report, save_report
from seemory.models.folder import read_folder
from seemory.models.precision import REFERENCE, Way
from seemory.precision_check import measure_ways

INT8 = Way("onnxruntime", "int8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("models") / "small-clip", "gelu").folder


@pytest.fixture
def unmeasured(home: Path) -> Iterator[Path]:
    """The data folder, with no measurements in it before or after."""

    def forget() -> None:
        for path in (home / "models" / "checked").glob("*.json"):
            path.unlink()

    forget()
    yield home
    forget()


@pytest.fixture
def captions(photos: Path, tmp_path: Path) -> Path:
    path = tmp_path / "captions.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "caption"])
        writer.writerows(
            (picture.name, f"a picture of a {picture.stem}, {n}") for picture in photos.iterdir() for n in "12"
        )
        writer.writerow(["of-nothing-there.jpg", "a ghost"])
    return path


@pytest.fixture(scope="module")
def measured_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("measured")


@pytest.fixture(scope="module")
def report(folder: Path, measured_home: Path) -> Report:
    return measure_ways(read_folder(folder), home=measured_home)


def test_every_way_is_measured_or_says_why_not(report: Report, measured_home: Path) -> None:
    assert report.material.startswith("14 photographs of the demo")
    assert report.ways[0].way == REFERENCE
    assert report.ways[0].fidelity == pytest.approx(1, abs=1e-6)
    by_way = {measured.way: measured for measured in report.ways}
    int8 = by_way[INT8]
    assert int8.pictures
    assert int8.pictures.count == 14
    assert 0.99 < int8.fidelity < 0.999999
    assert int8.bytes
    assert int8.bytes < (report.ways[0].bytes or 0)
    for measured in report.ways:
        assert (measured.missing is None) == (measured.speed > 0)
    assert read_report(report.fingerprint, measured_home) == report


def test_captions_give_the_change_of_recall(folder: Path, photos: Path, captions: Path, tmp_path: Path) -> None:
    for number in range(4):
        (photos / f"more-{number}.png").write_bytes((photos / "cat.png").read_bytes())
    (photos / "broken.jpg").write_text("no picture")
    with captions.open("a") as file:
        file.writelines(f"{path.name},another one\n" for path in photos.iterdir() if path.stem[:4] in ("more", "brok"))
    report = measure_ways(read_folder(folder), home=tmp_path, pictures=photos, captions=captions)
    assert "12 photographs" in report.material
    assert "20 captions" in report.material
    for measured in report.ways:
        if measured.missing is None:
            assert measured.recall
            assert list(measured.recall) == [1, 5, 10]
            assert sorted(measured.recall.values()) == list(measured.recall.values())


def test_material_that_cannot_be_used_is_said(folder: Path, photos: Path, captions: Path, tmp_path: Path) -> None:
    found = read_folder(folder)
    with pytest.raises(UsageError, match="8 readable pictures are too few"):
        measure_ways(found, home=tmp_path, pictures=photos)
    with pytest.raises(UsageError, match="is not a folder"):
        measure_ways(found, home=tmp_path, pictures=photos / "nowhere")
    with pytest.raises(UsageError, match="--pictures"):
        measure_ways(found, home=tmp_path, captions=captions)
    (tmp_path / "wrong.csv").write_text("file,words\na,b\n")
    with pytest.raises(UsageError, match="needs the columns image and caption, has"):
        measure_ways(found, home=tmp_path, pictures=photos, captions=tmp_path / "wrong.csv")
    (tmp_path / "strangers.csv").write_text("image,caption\nstranger.jpg,who\n")
    with pytest.raises(UsageError, match="none of its pictures is in"):
        measure_ways(found, home=tmp_path, pictures=photos, captions=tmp_path / "strangers.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read as captions"):
        measure_ways(found, home=tmp_path, pictures=photos, captions=tmp_path / "binary.csv")
    assert not (tmp_path / "models" / "checked").exists()


def test_an_encoder_of_words_needs_no_pictures(tmp_path: Path) -> None:
    report = measure_ways(read_folder(toys.folder(tmp_path / "words", picture=False)), home=tmp_path)
    assert report.ways[0].pictures is None
    assert report.ways[0].speed == report.ways[0].texts_per_s


def speak_for(way: Way, report: Report, home: Path) -> None:
    """Let the measurements say that this way is by far the fastest."""
    ways = [one if one.way != way else replace(one, pictures_per_s=1e6) for one in report.ways]
    save_report(replace(report, ways=tuple(ways)), home)


def test_a_collection_keeps_the_precision_it_was_made_with(
    unmeasured: Path, new_memory: Callable[..., Memory], folder: Path, photos: Path, report: Report
) -> None:
    before = new_memory(model=str(folder), collection="before-the-check", owner="precision")
    before.index(photos)
    speak_for(INT8, report, unmeasured)
    # A new collection gets what `auto` says now; the older one is what it was.
    made = new_memory(model=str(folder), collection="after-the-check", owner="precision")
    assert made.index(photos).indexed == 8
    assert made.encoder.way == INT8
    assert made.encoder.name == "small-clip@int8"
    again = new_memory(model=str(folder), collection="before-the-check", owner="precision")
    assert again.search("a cat")[0].cosine == pytest.approx(before.search("a cat")[0].cosine, abs=1e-6)
    assert again.encoder.way.precision == "fp32"
    # `auto` says something else later: the vectors are still in 8 bits, and so are its queries.
    speak_for(REFERENCE, report, unmeasured)
    later = new_memory(model=str(folder), collection="after-the-check", owner="precision")
    picture = photos / "cat.png"
    [hit] = later.search(image=picture, limit=1)
    assert hit.uri == str(picture)
    assert hit.cosine > 0.999
    assert later.encoder.way.precision == "int8", "by whichever runtime was measured to be faster"
    # Insisting on a precision is insisting.
    wrong = new_memory(model=f"{folder}@bf16", collection="after-the-check", owner="precision")
    with pytest.raises(CollectionMismatch, match="small-clip@int8"):
        wrong.search("a cat")
    right = new_memory(model=f"{folder}@int8", collection="after-the-check", owner="precision")
    assert right.search("a cat")


def test_a_change_of_precision_is_a_change_of_encoder(
    unmeasured: Path, new_memory: Callable[..., Memory], folder: Path, photos: Path
) -> None:
    memory = new_memory(model=str(folder), collection="change-of-precision", owner="precision")
    memory.index(photos)
    reembedding = memory.reembedding()
    with pytest.raises(UsageError, match="already"):
        reembedding.start(str(folder))
    report = reembedding.start(f"{folder}@int8")
    assert report.verification.passed
    assert report.generation.model == f"{folder}@int8"
    reembedding.switch()
    assert memory.encoder.way == INT8
    assert memory.search("a cat")
    # The one before is kept up to date in the precision that was its own.
    assert memory.index(photos.parent, recursive=True).counts.get("failed", 0) == 0
    # Going on with it needs its name only, whatever `auto` says.
    assert reembedding.start(str(folder)).generation.model == str(folder)
    reembedding.rollback()
    assert memory.encoder.way == REFERENCE


def test_imported_vectors_that_name_a_fingerprint_find_its_precision(
    unmeasured: Path, new_memory: Callable[..., Memory], folder: Path, photos: Path, tmp_path: Path
) -> None:
    """Whoever writes the model's name by hand may leave the precision out; the fingerprint says it."""
    source = new_memory(model=f"{folder}@int8", collection="export-int8", owner="precision")
    source.index(photos)
    source.export_vectors(tmp_path / "vectors.parquet")
    target = new_memory(model=str(folder), collection="import-int8", owner="precision")
    target.import_vectors(tmp_path / "vectors.parquet", model=str(folder), fingerprint=source.encoder.fingerprint)
    assert target.search("a cat")
    assert target.encoder.way == INT8


def test_sentence_vectors_keep_the_precision_they_were_made_in(
    unmeasured: Path, new_memory: Callable[..., Memory], folder: Path, photos: Path, report: Report
) -> None:
    """The channel of words has a generation of its own, which `auto` must not reach either."""

    def memory() -> Memory:
        return new_memory(
            model="seemory-mini",
            collection="sentences",
            owner="precision",
            models={"text": str(folder), "offline": True},
        )

    first = memory()
    first.index(photos)
    speak_for(INT8, report, unmeasured)
    found = memory()._rooms.encoders.find(str(folder))
    assert found[1].way == INT8, "vectors yet to be made"
    made = first._rooms.generations.create(
        "sentences", "text", model=str(folder), fingerprint=report.fingerprint, dim=found[1].dim
    )
    assert memory()._rooms.encoders.made_by(made).way.precision == "fp32"
