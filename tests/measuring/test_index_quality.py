from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seemory.errors import UsageError
from seemory.evaluation.ann import found_of, hits, truth_of
from seemory.measuring.index_quality import Plan, measure_index, tables, write_report
from seemory.memory import Memory
from seemory.store.connect import Database, open_database
from seemory.store.trial_index import IndexShape, TrialIndex
from seemory.types import Vectors

WIDE = 24


def made(rows: int, dim: int = WIDE, seed: int = 0, shift: float = 0.0) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(rows, dim)) + shift / dim**0.5
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def database(home: Path) -> Iterator[Database]:
    with open_database(None, home=home) as opened:
        yield opened


@given(st.integers(12, 60), st.integers(1, 8), st.integers(0, 99))
def test_the_truth_finds_itself_and_nothing_finds_nothing(rows: int, k: int, seed: int) -> None:
    truth = truth_of(made(5, seed=seed), made(rows, seed=seed + 1), k)
    assert hits(truth.places, truth).tolist() == [1.0] * 5
    assert hits(np.full_like(truth.places, -1), truth).tolist() == [0.0] * 5
    assert found_of(truth.places, truth, np.ones(rows, bool)) == 1.0
    assert found_of(truth.places, truth, np.zeros(rows, bool)) is None
    half = truth.places.copy()
    half[:, k // 2 :] = -1
    assert hits(half, truth) == pytest.approx(k // 2 / k)


def test_of_rows_that_are_equally_near_any_will_do() -> None:
    gallery = np.repeat(made(4), 3, axis=0)
    truth = truth_of(gallery[:1], gallery, 2)
    assert truth.places.tolist() == [[0, 1]]
    assert hits(np.array([[2, 1]]), truth).tolist() == [1.0]
    assert hits(np.array([[3, 4]]), truth).tolist() == [0.0]


@pytest.mark.parametrize(
    "shape",
    [
        IndexShape("float32"),
        IndexShape("halfvec", m=8, ef_construction=64),
        IndexShape("binary"),
        IndexShape("halfvec", prefix=12),
    ],
)
def test_an_index_answers_by_itself_and_with_effort_completely(shape: IndexShape, database: Database) -> None:
    gallery, asked = made(400), made(20, seed=1)
    truth = truth_of(asked, gallery, 10)
    with database.transaction("somebody") as connection:
        trial = TrialIndex(connection, gallery)
        seconds, size = trial.build(shape)
        assert seconds > 0
        assert size > 8192
        found = [hits(trial.nearest(asked, 10, ef).places, truth).mean() for ef in (10, 400)]
        plan = connection.execute(
            b"EXPLAIN " + trial.statement(10, 10).as_bytes(connection), {"query": str(asked[0].tolist())}
        ).fetchall()
        assert "ann_trial_hnsw" in str(plan), "the index is what is measured"
        with pytest.raises(UsageError, match="ef_search"):
            trial.nearest(asked, 10, 9)
    assert found[0] <= found[1] == 1.0
    with database.transaction("somebody") as connection:
        gone = connection.execute("SELECT to_regclass('pg_temp.ann_trial')").fetchone()
    assert gone == (None,), "it leaves nothing"


def test_rows_come_in_as_they_are(database: Database) -> None:
    vectors = np.concatenate([made(5000, dim=3), np.array([[1e-30, -3.5, 1e30]], np.float32)])
    with database.transaction("somebody") as connection:
        TrialIndex(connection, vectors)
        rows = connection.execute("SELECT n, embedding::real[] FROM ann_trial ORDER BY n").fetchall()
    assert [n for n, _ in rows] == list(range(5001))
    assert (np.array([vector for _, vector in rows], np.float32) == vectors).all()


def test_a_report_compares_kinds_of_queries_before_and_after_centring(database: Database, tmp_path: Path) -> None:
    gallery = made(420, shift=12)
    words = made(30, seed=3)
    plan = Plan(ms=(4,), efs=(10, 40), prefixes=(8,), queries=20)
    heard = []
    report = measure_index(database, "somebody", gallery, words, plan=plan, listen=heard.append)
    assert (report.rows, report.pictures, report.words) == (400, 20, 20)
    assert len(report.lines) == 2 * (4 * 2 + 1)
    by = {(line.remedy, line.index, line.ef): line for line in report.lines}
    for remedy in ("none", "centred"):
        copy = by[remedy, "copy in memory, confirmed", None]
        assert copy.pictures.recall == copy.words.recall == 1.0, "it is complete, or asks Postgres"
        for kind in ("float32", "halfvec"):
            assert by[remedy, kind, 10].pictures.recall <= by[remedy, kind, 40].pictures.recall + 0.02
    binary = [by[remedy, "binary, ranked again", 40].pictures.recall for remedy in ("none", "centred")]
    assert binary[0] < binary[1], "signs say little where all have the same"
    assert report.crowding[0].among.skewness > report.crowding[1].among.skewness
    assert heard[-1].done == heard[-1].total
    assert len(tables(report)[0].rows) == len(report.lines)
    write_report(report, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text().count("<svg") == 2
    assert "no words asked" in measure_index(database, "x", gallery, plan=Plan(efs=(10,), queries=9)).notes[0]


@pytest.mark.parametrize(
    "plan",
    [
        Plan(efs=(5,)),
        Plan(efs=(2000,)),
        Plan(ms=()),
        Plan(ms=(1,)),
        Plan(ms=(90,)),
        Plan(prefixes=(WIDE + 1,)),
        Plan(prefixes=(0,)),
        Plan(queries=150),
        Plan(k=0),
    ],
)
def test_what_pgvector_cannot_is_refused_before_anything_is_built(plan: Plan, database: Database) -> None:
    with pytest.raises(UsageError):
        measure_index(database, "somebody", made(200), plan=plan)


def test_widths_that_do_not_fit_are_refused(database: Database) -> None:
    with pytest.raises(UsageError, match="cannot ask"):
        measure_index(database, "x", made(400), made(9, dim=5))
    for shape, dim in ((IndexShape("float32"), 2001), (IndexShape("halfvec"), 4001)):
        with pytest.raises(UsageError, match="takes"):
            shape.require(dim)
    IndexShape("binary").require(4096)
    IndexShape("halfvec", prefix=1024).require(4096)


def test_a_collection_s_own_index_is_measured(memory: Memory, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", made(160, dim=256))
    memory.import_vectors(tmp_path / "v.npy", model="seemory-mini", fingerprint="local")
    plan = Plan(precisions=("halfvec",), efs=(10,), remedies=("none",), queries=30)
    report = memory.index_quality(plan=plan, words=["a cat", "a dog"])
    assert (report.rows, report.words) == (130, 2)
    with pytest.raises(UsageError, match="leave too few"):
        memory.index_quality(plan=Plan(queries=100))
