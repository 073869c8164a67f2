"""Ready vectors in and out: formats, what is refused and mended, real CLIP vectors searched by real words."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seemory.errors import CollectionMismatch, TowerMissing, UsageError
from seemory.exchange.vectors import unit_rows
from seemory.memory import Memory

DIM = 16


def vectors(rows: int, seed: int = 0, dim: int = DIM) -> np.ndarray:
    made = np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def parquet(file: Path, lists: Any, **columns: list) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    values = [None if row is None else [float(x) for x in row] for row in lists]
    pq.write_table(pa.table({"embedding": pa.array(values, pa.list_(pa.float32()))} | columns), file)
    return file


def uris(memory: Memory) -> list[str]:
    return sorted(item.uri for item in memory.items())


@pytest.fixture
def blank(new_memory: Callable[..., Memory]) -> Memory:
    """A memory that insists on no encoder."""
    return new_memory(model="auto")


def test_every_format_comes_in(new_memory: Callable[..., Memory], blank: Memory, tmp_path: Path) -> None:
    made = vectors(5)
    np.save(tmp_path / "a.npy", made.astype(np.float16))
    tensors = {"embeddings": made, "other": np.eye(3, dtype=np.float32)}
    safetensors.numpy.save_file(tensors, tmp_path / "b.safetensors", {"ids": json.dumps([f"s{n}" for n in range(5)])})
    parquet(tmp_path / "c.parquet", made, id=[10, 11, 12, 13, 14], path=[f"/c/{n}.jpg" for n in range(5)])
    (tmp_path / "d" / "img_emb").mkdir(parents=True)
    for n in (0, 1):
        np.save(tmp_path / "d" / "img_emb" / f"img_emb_{n}.npy", made[:2] if n else made)
        rows = 2 if n else 5
        table = {"image_path": [f"/d/{n}/{row}.jpg" for row in range(rows)], "caption": ["a cat"] * rows}
        (tmp_path / "d" / "metadata").mkdir(exist_ok=True)
        pq.write_table(pa.table(table), tmp_path / "d" / "metadata" / f"metadata_{n}.parquet")
    files = [tmp_path / name for name in ("a.npy", "b.safetensors", "c.parquet", "d")]
    report = blank.import_vectors(*files, model="toy")
    assert (report.new, report.known, report.refused.total()) == (22, 0, 0)
    expected = [f"a.npy#{n}" for n in range(5)] + [f"id:s{n}" for n in range(5)] + [f"/c/{n}.jpg" for n in range(5)]
    assert uris(blank) == sorted([*expected, *(f"/d/0/{n}.jpg" for n in range(5)), "/d/1/0.jpg", "/d/1/1.jpg"])
    hits = blank.search(vector=made[3] * 7, limit=4)
    assert {hit.uri for hit in hits} == {"a.npy#3", "id:s3", "/c/3.jpg", "/d/0/3.jpg"}
    assert all(hit.cosine == pytest.approx(1, abs=2e-3) for hit in hits)
    assert next(hit.metadata for hit in hits if hit.uri == "/c/3.jpg")["import_id"] == "13"
    assert blank.search(vector=made[0], where=["caption=a cat"])[0].uri in ("/d/0/0.jpg", "/d/1/0.jpg")
    assert {hit.uri for hit in blank.search(like="/c/3.jpg", limit=3)} == {hit.uri for hit in hits} - {"/c/3.jpg"}
    again = blank.import_vectors(*files, model="toy")
    assert (again.new, again.known) == (0, 22)
    assert len(uris(blank)) == blank.stats()["embedded"] == 22
    assert len(blank.duplicates().near) == 5
    assert blank.encoder_name == "toy"
    for refused in (lambda: blank.search("a dog", weights={"text": 0}), lambda: blank.search(image=__file__)):
        with pytest.raises(TowerMissing, match="imported under the name toy"):
            refused()
    said = blank.search("a cat")
    assert {hit.uri for hit in said} == {*(f"/d/0/{n}.jpg" for n in range(5)), "/d/1/0.jpg", "/d/1/1.jpg"}
    assert {hit.cosine for hit in said} == {None}
    assert "imported under the name toy" in (said.channels["visual"].left_out or "")
    assert blank.get("/d/0/3.jpg").caption == "a cat"
    with pytest.raises(TowerMissing):
        blank.index(tmp_path)
    thief = new_memory(model="auto", collection=blank.collection, owner="thief")
    assert thief.search(vector=made[3]) == []


def test_bad_rows_are_counted_and_the_others_come_in(blank: Memory, tmp_path: Path) -> None:
    rows: list[Any] = [*vectors(12)]
    rows[1], rows[2], rows[3] = None, rows[2][:7], rows[3] * np.nan
    rows[4], rows[5], rows[6] = rows[4] * 0, rows[5] * np.inf, rows[6] * 1e20
    ids = ["a", "b", "c", "d", "e", "f", "g", "a", None, None, "same1", "same2"]
    paths = [None] * 8 + ["/only/path.jpg", None, "/shared.jpg", "/shared.jpg"]
    report = blank.import_vectors(parquet(tmp_path / "bad.parquet", rows, id=ids, path=paths), model="toy")
    assert dict(report.refused) == {"not_finite": 4, "zero": 1, "duplicate_id": 1, "without_id": 1}
    assert dict(+report.mended) == {"normalised": 1, "named_by_path": 1, "shared_path": 1}
    assert report.written == 5
    assert uris(blank) == sorted(["id:a", "id:g", "/only/path.jpg", "/shared.jpg", "/shared.jpg#same2"])
    assert blank.search(vector=rows[6], limit=1)[0].uri == "id:g"


def test_another_width_or_encoder_is_refused(blank: Memory, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", vectors(3))
    np.save(tmp_path / "wide.npy", vectors(3, dim=DIM + 1))
    blank.import_vectors(tmp_path / "a.npy", model="toy")
    with pytest.raises(UsageError, match="made by another encoder"):
        blank.import_vectors(tmp_path / "wide.npy", model="toy")
    with pytest.raises(UsageError, match="one width"):
        blank.import_vectors(tmp_path / "a.npy", tmp_path / "wide.npy", model="toy")
    for other in ({"model": "other"}, {"model": "toy", "fingerprint": "f" * 64}):
        with pytest.raises(CollectionMismatch):
            blank.import_vectors(tmp_path / "a.npy", **other)
    for wrong in (np.ones(DIM + 1), np.zeros(DIM), np.full(DIM, np.nan), np.ones((1, DIM))):
        with pytest.raises(UsageError, match=r"dimensions|direction"):
            blank.search(vector=wrong)
    assert len(uris(blank)) == 3


def test_files_that_are_none_are_refused(blank: Memory, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("a.npy", "a.parquet", "a.safetensors", "a.txt"):
        (tmp_path / name).write_bytes(b"not what its name says")
    np.save(tmp_path / "flat.npy", np.ones(5))
    np.save(tmp_path / "words.npy", np.array([["a", "b"]]))
    np.save(tmp_path / "objects.npy", np.array([[{}]]), allow_pickle=True)
    np.save(tmp_path / "none.npy", np.ones((0, 4)))
    pq.write_table(pa.table({"vector": ["a"], "id": [1]}), tmp_path / "words.parquet")
    pq.write_table(pa.table({"id": [1]}), tmp_path / "without.parquet")
    for file in [*tmp_path.iterdir(), tmp_path / "nowhere.npy"]:
        with pytest.raises(UsageError, match=file.name):
            blank.import_vectors(file, model="toy")
    for model, fingerprint in (("", None), (" ", None), ("toy", "imported:toy"), ("toy", "")):
        np.save(tmp_path / "good.npy", vectors(1))
        with pytest.raises(UsageError, match="needs a name"):
            blank.import_vectors(tmp_path / "good.npy", model=model, fingerprint=fingerprint)
    assert uris(blank) == []


def test_without_the_extra_the_error_says_what_to_install(
    blank: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = parquet(tmp_path / "a.parquet", vectors(1), id=["a"])
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=r"pip install 'seemory\[exchange\]'"):
        blank.import_vectors(file, model="toy")


def test_an_export_comes_back(new_memory: Callable[..., Memory], photos: Path, tmp_path: Path) -> None:
    memory = new_memory()
    memory.index(photos)
    file = tmp_path / "out.parquet"
    assert memory.export_vectors(file) == 8
    table = pq.read_table(file)
    assert table.column_names == ["item_id", "uri", "kind", "metadata", "vector"]
    assert set(table["item_id"].to_pylist()) == {str(item.item_id) for item in memory.items()}
    other = new_memory(collection=f"{memory.collection}-again")
    report = other.import_vectors(file, model="seemory-mini", fingerprint="local")
    assert (report.new, report.mended.total(), report.refused.total()) == (8, 0, 0)
    there, here = other.search("a cat", limit=8), memory.search("a cat", limit=8)
    assert [hit.uri for hit in there] == [hit.uri for hit in here]
    assert [hit.cosine for hit in there] == pytest.approx([hit.cosine for hit in here], abs=1e-3)
    assert there[0].metadata["width"] == here[0].metadata["width"]
    assert other.export_vectors(file) == 8
    with pytest.raises(UsageError, match="cannot be written"):
        memory.export_vectors(tmp_path / "nowhere" / "out.parquet")
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_scenes_come_with_their_times_and_go_with_them(
    blank: Memory, new_memory: Callable[..., Memory], tmp_path: Path
) -> None:
    made = vectors(8)
    times: dict[str, list] = {
        "start_s": [0.0, 2.0, 5.5, None, 3.0, float("nan"), -1.0, 0.0],
        "end_s": [2.0, 5.5, 9.0, None, 1.0, 2.0, 1.0, None],
    }
    names = ["a.mp4"] * 3 + ["p.jpg", "b.mp4", "c.mp4", "d.mp4", "e.mp4"]
    ids = [f"id{n}" for n in range(8)]
    report = blank.import_vectors(parquet(tmp_path / "s.parquet", made, uri=names, id=ids, **times), model="elsewhere")
    assert (report.new, report.mended["without_times"], report.mended["shared_path"]) == (8, 4, 2)
    found = {item.metadata["import_id"]: item for item in blank.items()}
    assert [(found[name].kind, found[name].start_s, found[name].end_s) for name in ids[:5]] == [
        ("scene", 0.0, 2.0), ("scene", 2.0, 5.5), ("scene", 5.5, 9.0), ("image", None, None), ("image", None, None),
    ]  # fmt: skip
    hit, *others = blank.search(vector=made[1], film="a.mp4")
    assert (hit.start_s, [one.start_s for one in hit.neighbours], others) == (2.0, [0.0, 5.5], [])
    assert (hit.moment_s, hit.missing) == (None, {})
    file = tmp_path / "again.parquet"
    assert blank.export_vectors(file) == 8
    other = new_memory(collection=f"{blank.collection}-again", model="auto")
    assert other.import_vectors(file, model="elsewhere").new == 8
    assert sorted(str((item.kind, item.start_s, item.end_s)) for item in other.items()) == sorted(
        str((item.kind, item.start_s, item.end_s)) for item in found.values()
    )
    again = other.search(vector=made[1], film="a.mp4", group=False)
    assert [one.start_s for one in again] == [
        one.start_s for one in blank.search(vector=made[1], film="a.mp4", group=False)
    ]
    assert other.forget(["a.mp4"]) == 3, "a film's path means all its scenes"


numbers = st.floats(width=32) | st.sampled_from([1e-30, 1e30, 3e38, 1e-45, 0.0, -0.0])


@settings(deadline=None)
@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=numbers))
def test_whatever_comes_rows_are_of_norm_one_or_refused(array: np.ndarray) -> None:
    unit, not_finite, zero, _ = unit_rows(array)
    assert unit.dtype == np.float32
    assert unit.shape == array.shape
    assert (not_finite == ~np.isfinite(array).all(axis=1)).all()
    assert (zero == (array == 0).all(axis=1)).all()
    norms = np.linalg.norm(unit, axis=1)
    assert norms[not_finite | zero] == pytest.approx(0)
    assert norms[~not_finite & ~zero] == pytest.approx(1, abs=1e-5)


def test_real_vectors_are_found_by_real_words(blank: Memory, shared: Path, tmp_path: Path) -> None:
    """CLIP ViT-B/32 vectors of 100 Flickr8k pictures and their 500 captions, among 986 more pictures."""
    folder = shared / "clip_vit_b32_vectors"
    if not folder.is_dir():
        pytest.skip("the real CLIP vectors are absent")
    pictures = np.load(folder / "flickr100" / "image_embeddings.npy")[::5]
    texts = np.load(folder / "flickr100" / "text_embeddings.npy")
    more = np.load(folder / "flickr1000_images" / "clip_embeddings.npy").astype(np.float32)
    apart = more[(more @ pictures.T).max(axis=1) < 0.98]  # some pictures are in both
    lists = np.concatenate([pictures, apart])
    ids = [f"p{n}" for n in range(len(pictures))] + [f"m{n}" for n in range(len(apart))]
    report = blank.import_vectors(parquet(tmp_path / "clip.parquet", lists, image_id=ids), model="ViT-B-32__openai")
    assert report.new == len(lists)
    exact = np.argsort(-(texts @ lists.T), axis=1)[:, :10]
    found = [[hit.metadata["import_id"] for hit in blank.search(vector=text, limit=10)] for text in texts[::5]]
    same = np.mean([len(set(hits) & {ids[n] for n in row}) / 10 for hits, row in zip(found, exact[::5], strict=True)])
    recall = [np.mean([f"p{n}" in hits[:k] for n, hits in enumerate(found)]) for k in (1, 10)]
    print(f"{len(lists)} pictures: overlap with float32 {same:.3f}, recall@1 {recall[0]:.3f}, @10 {recall[1]:.3f}")
    assert same > 0.98
    assert recall[1] > 0.6


IMPORTER = """
import sys
from seemory.memory import Memory
from seemory.settings import read_settings
home, owner, collection, file = sys.argv[1:]
with Memory(read_settings(home=home, owner=owner, collection=collection, model="auto")) as memory:
    memory.import_vectors(file, model="toy", listen=lambda progress: print(progress.done, flush=True))
"""


def test_killed_imports_lose_nothing_and_double_nothing(blank: Memory, tmp_path: Path) -> None:
    rows, batch = 6_000, 200
    columns = {"id": [f"n{n}" for n in range(rows)], "caption": ["a cat"] * rows}
    file = parquet(tmp_path / "many.parquet", vectors(rows), **columns)
    script = f"from seemory.exchange import files; files.BATCH = {batch}\n{IMPORTER}"
    arguments = [str(blank.home), blank.owner, blank.collection, str(file)]
    chance = random.Random()
    reported = 0
    for _ in range(4):
        run = subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, text=True)
        assert run.stdout is not None
        enough = chance.randint(1, 8)
        for _, line in zip(range(enough), run.stdout, strict=False):
            reported = max(reported, int(line))
        run.kill()  # SIGKILL: no clean-up of any kind
        assert run.wait() != 0, "every kill must hit a run that still had work to do"
        stored = blank.stats()
        assert stored["embedded"] == stored["items"] == stored["assets"] >= reported, "what was reported was lost"
    before = blank.stats()["assets"]
    assert before < rows
    report = blank.import_vectors(file, model="toy")
    assert (report.new, report.known) == (rows - before, before)
    stats = blank.stats()
    assert (stats["assets"], stats["items"], stats["embedded"]) == (rows, rows, rows)
    assert len(set(uris(blank))) == rows


def test_batches_before_a_broken_one_are_kept(blank: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seemory.exchange.files.BATCH", 10)
    wrong = [[1.0] * DIM] * 30 + [[1.0] * (DIM + 1)] * 10
    with pytest.raises(UsageError, match="16 dimensions"):
        blank.import_vectors(parquet(tmp_path / "a.parquet", wrong, id=list(range(40))), model="toy")
    assert blank.stats()["embedded"] == 30


def test_many_rows_at_once_with_words_and_odd_lists(blank: Memory, tmp_path: Path) -> None:
    rows = 2_500  # more than two batches
    made = vectors(rows)
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(made.reshape(-1)), DIM)
    columns = {"id": [str(n) for n in range(rows)], "caption": [f"cat number {n}" for n in range(rows)]}
    pq.write_table(pa.table(columns | {"vector": fixed}), tmp_path / "fixed.parquet")
    parquet(tmp_path / "lists.parquet", [*made[:4], None, *made[5:]], **columns)
    report = blank.import_vectors(tmp_path / "fixed.parquet", model="toy")
    assert (report.new, report.known, report.described) == (rows, 0, rows)
    assert blank.search(vector=made[1777], limit=1)[0].uri == "id:1777"
    again = blank.import_vectors(tmp_path / "lists.parquet", model="toy")
    assert (again.new, again.known, again.refused["not_finite"]) == (0, rows - 1, 1)
    assert blank.search(vector=made[2222], limit=1)[0].cosine == pytest.approx(1, abs=2e-3)
