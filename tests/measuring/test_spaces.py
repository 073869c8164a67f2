from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from seemory.errors import UsageError
from seemory.evaluation.remedies import REMEDIES
from seemory.measuring.geometry import by_column, by_name, measure, pair_up, tables, write_report
from seemory.measuring.spaces import of_array, of_file, read_texts, without_repeats
from seemory.memory import Memory


def made(rows: int, dim: int = 8, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(rows, dim)) + 0.7).astype(np.float32)


def npy(path: Path, rows: np.ndarray) -> Path:
    np.save(path, rows)
    return path


def test_the_same_vectors_come_out_of_every_form_of_file(tmp_path: Path) -> None:
    rows = made(30)
    save_file({"embeddings": rows}, tmp_path / "a.safetensors")
    columns = {"vector": list(rows), "path": [f"/p/{n % 3}/x.jpg" for n in range(30)], "kind_of": ["a", "b", None] * 10}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    expected = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    for path in (npy(tmp_path / "a.npy", rows), tmp_path / "a.safetensors", tmp_path / "a.parquet"):
        space = of_file(path)
        assert space.vectors == pytest.approx(expected, abs=1e-6)
        assert (space.of, space.dim, space.notes) == (30, 8, ())
    assert of_file(tmp_path / "a.parquet", label=by_column("kind_of")).labels[:3] == ("a", "b", None)
    assert of_file(tmp_path / "a.parquet", label=by_column("folder")).labels[:3] == ("0", "1", "2")
    labels = by_name({"a.npy#1": "by its name", "2": "by its number", "/p/0/x.jpg": "by its path"})
    assert of_file(tmp_path / "a.npy", label=labels).labels[:3] == (None, "by its name", "by its number")
    assert of_file(tmp_path / "a.parquet", label=labels).labels[0] == "by its path"


@given(st.integers(2, 60), st.integers(2, 40), st.integers(0, 99))
def test_a_sample_is_of_the_rows_it_says_and_the_same_of_two_files(rows: int, sample: int, seed: int) -> None:
    first, second = (of_array("x", made(rows, seed=seed + n), sample=sample) for n in (0, 1))
    assert len(first.vectors) == min(rows, sample)
    assert first.rows.tolist() == second.rows.tolist() == sorted(set(first.rows.tolist()))
    unit = made(rows, seed=seed)[first.rows]
    assert first.vectors == pytest.approx(unit / np.linalg.norm(unit, axis=1, keepdims=True), abs=1e-6)


def test_what_has_no_direction_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = made(20).astype(np.float64)
    rows[3], rows[5], rows[7], rows[9] = 0, np.nan, np.inf, rows[9] * 1e200
    space = of_file(npy(tmp_path / "a.npy", rows))
    assert space.rows.tolist() == [n for n in range(20) if n not in (3, 5, 7)]
    assert np.isfinite(space.vectors).all()
    assert "3 of 20 vectors are zero or not finite" in space.notes[0]
    with pytest.raises(UsageError, match="no vectors that could be measured"):
        of_file(npy(tmp_path / "b.npy", rows * np.nan))


def test_files_that_are_no_vectors_are_refused_and_nothing_in_them_is_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            return Path.touch, (tmp_path / "sprung",)  # type: ignore[return-value]

    np.save(tmp_path / "pickled.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    (tmp_path / "bare.npy").write_bytes(pickle.dumps(Trap()))
    (tmp_path / "sprung").unlink(missing_ok=True)
    (tmp_path / "huge.npy").write_bytes(npy(tmp_path / "x.npy", made(2)).read_bytes().replace(b"(2, 8)", b"(9, 8)"))
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "vectors.txt").write_text("1 2 3")
    npy(tmp_path / "flat.npy", np.ones(4))
    npy(tmp_path / "words.npy", np.array([["a", "b"]]))
    for name in (
        "pickled.npy",
        "bare.npy",
        "huge.npy",
        "cut.parquet",
        "vectors.txt",
        "flat.npy",
        "words.npy",
        "no.npy",
    ):
        with pytest.raises(UsageError, match=name):
            of_file(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_rows_that_are_equal_are_one_picture() -> None:
    rows = made(4)
    once, which = without_repeats(of_array("x", rows[[2, 2, 0, 2, 1, 0]]))
    assert which.tolist() == [0, 0, 1, 0, 2, 1]
    assert once.rows.tolist() == [0, 2, 4]
    assert "6 rows are 3 different vectors" in once.notes[-1]


def test_pairs_keep_to_their_rows_whatever_is_left_out() -> None:
    pictures, captions = made(40), made(40, seed=1)
    pictures[4], captions[9] = np.nan, 0
    pictures[20] = pictures[21]
    found = pair_up(of_array("p", pictures), of_array("c", captions))
    assert (len(found.pictures.vectors), len(found.captions.vectors)) == (37, 38)
    for vector, owner, row in zip(found.captions.vectors, found.owner, found.captions.rows, strict=True):
        assert vector == pytest.approx(captions[row] / np.linalg.norm(captions[row]), abs=1e-6)
        assert found.pictures.vectors[owner] == pytest.approx(pictures[row] / np.linalg.norm(pictures[row]), abs=1e-6)


def test_two_spaces_or_lengths_make_no_pairs() -> None:
    for other in (made(40, dim=9), made(41)):
        with pytest.raises(UsageError, match=r"dimensions|row by row"):
            pair_up(of_array("p", made(40)), of_array("c", other))


def test_a_report_tells_what_remedies_do(tmp_path: Path) -> None:
    pictures = made(40, dim=6)
    captions = pictures + 0.3 * made(40, dim=6, seed=1)
    pairing = pair_up(of_array("pictures", pictures, labels=["a", "b"] * 20), of_array("captions", captions))
    report = measure([pairing.pictures, pairing.captions], pairing=pairing, draws=20)
    document = report.as_json()
    first = document["spaces"][0]["remedies"]
    assert [one["remedy"] for one in first] == list(REMEDIES)
    assert first[0]["mean_cosine"] > 0.2 > abs(first[1]["mean_cosine"])
    assert first[0]["groups"]["groups"] == 2
    assert [one["remedy"] for one in document["pairs"]] == list(REMEDIES)
    assert document["pairs"][0]["recall"]["text_to_image"]["recall"]["1"] > 0.5
    assert document["pairs"][0]["matched"] > document["pairs"][0]["unmatched"]
    spaces, pairs = tables(report)
    assert len(spaces.rows) == 8
    assert "40 pictures" in pairs.title
    write_report(report, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") == 7
    assert "<script" not in page


def test_remedies_may_be_fitted_to_other_vectors() -> None:
    pairing = pair_up(of_array("p", made(50)), of_array("c", made(50, seed=1)))
    own = measure([], pairing=pairing, remedies=("centred",), draws=10)
    other = measure([], pairing=pairing, remedies=("centred",), draws=10, fitted_to=(made(9, seed=2), made(9, seed=3)))
    assert own.joined[0].gap < 0.2 < other.joined[0].gap, "nine vectors tell little of the mean"
    with pytest.raises(UsageError, match="another width"):
        measure([], pairing=pairing, fitted_to=(made(9, dim=5), made(9, dim=5)))


def test_collapsed_vectors_say_so_and_stop_nothing() -> None:
    report = measure([of_array("one point", np.ones((12, 4), np.float32)), of_array("fine", made(50, dim=4))])
    assert [shape.remedy for shape in report.spaces[0].shapes] == ["none"]
    assert len(report.spaces[1].shapes) == 4
    assert any("one point: centred: a vector is left without direction" in note for note in report.notes)


def test_a_file_of_texts_is_its_different_lines(tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("1.jpg#0\ta cat\n\n a dog \na cat\n", encoding="utf-8")
    assert read_texts(file) == ["a cat", "a dog"]
    assert len(read_texts(file, sample=1)) == 1
    for wrong in (b"only one", b"\xff\xfe\xff", b""):
        file.write_bytes(wrong)
        with pytest.raises(UsageError):
            read_texts(file)


def test_a_collection_is_measured_and_its_captions_with_it(memory: Memory, photos: Path) -> None:
    for copy in range(2):
        for path in sorted(photos.glob("*.*")):
            if not path.stem.endswith("0"):
                (photos / f"{path.stem}{copy}0{path.suffix}").write_bytes(path.read_bytes())
    memory.index(photos)
    alone = memory.geometry()
    assert alone.joined == []
    assert "have captions" in " ".join(alone.notes)
    for item in memory.items():
        memory.describe(item.item_id, caption=f"a photo of a {Path(item.uri).stem.rstrip('0')}")
    report = memory.geometry(by="caption", remedies=("none", "centred"))
    assert len(report.joined) == 2
    assert report.joined[0].gap > report.joined[1].gap
    assert report.joined[0].matched > report.joined[0].unmatched
    assert report.spaces[0].space.of == len(list(memory.items()))
    with pytest.raises(UsageError, match="empty"):
        Memory(memory.settings.model_copy(update={"collection": "nobody's"})).geometry()
