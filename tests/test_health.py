"""Figures of embedding: counted from any number of threads, and exact."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client.parser import text_string_to_metric_families

from seemory.health import EmbeddingFigures, EmbeddingTally, health, prometheus, reason_of
from seemory.types import EmbeddingRecord


def record(milliseconds: float | None = None, error: str | None = None) -> EmbeddingRecord:
    return EmbeddingRecord("m", "p", 4, inference_time_ms=milliseconds, error=error)


def test_nothing_embedded_has_no_times() -> None:
    assert EmbeddingTally().figures().as_json() == {
        "done": 0,
        "failed": 0,
        "timeouts": 0,
        "reasons": {},
        "mean_ms": None,
        "p95_ms": None,
    }


def test_mean_and_95th_percentile_are_of_the_times_measured() -> None:
    tally = EmbeddingTally()
    for milliseconds in range(100, 0, -1):
        tally.add(record(milliseconds))
    tally.add(record(None))  # a vector whose time nobody took
    figures = tally.figures()
    assert (figures.done, figures.mean_ms, figures.p95_ms) == (101, 50.5, 95)


def test_eight_threads_lose_no_count() -> None:
    tally = EmbeddingTally()

    def add(n: int) -> None:
        for _ in range(2000):
            tally.add(record(1.0) if n % 2 else record(error=f"Timeout after {n}.0s"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(8)))
    figures = tally.figures()
    assert (figures.done, figures.failed, figures.timeouts) == (8000, {"Timeout": 8000}, 8000)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("Timeout after 2.0s", "Timeout"),
        ("Image not found: /a/b: c.jpg", "Image not found"),
        ("UnreadableMedia: an empty file", "UnreadableMedia"),
        ("something", "something"),
    ],
)
def test_an_errors_reason_leaves_out_what_differs_from_picture_to_picture(error: str, reason: str) -> None:
    assert reason_of(error) == reason


def test_health_is_shares_and_says_nothing_of_nothing() -> None:
    assert health(EmbeddingFigures(), 0) == {
        "with_vector": None,
        "failed": None,
        "timeout": None,
        "mean_ms": None,
        "p95_ms": None,
        "failed_by_reason": {},
    }
    assert health(EmbeddingFigures(6, {"Timeout": 1, "ModelError": 3}, 2.0, 4.0), 12) == {
        "with_vector": 0.5,
        "failed": 0.4,
        "timeout": 0.1,
        "mean_ms": 2.0,
        "p95_ms": 4.0,
        "failed_by_reason": {"Timeout": 0.1, "ModelError": 0.3},
    }


STATS = {
    "collection": 'a"b\\c\nd',
    "owner": "anna",
    "by_kind": {"image": 9, "scene": 3},
    "assets": 10,
    "failed": 1,
    "missing": 0,
    "embedded": 6,
    "failed_vectors": 4,
    "table_bytes": 123456789012,
    "index_bytes": 0,
}


def test_prometheus_reads_what_is_written_for_it() -> None:
    """Its own parser gives back names, labels (also those that must be quoted) and values."""
    found = health(EmbeddingFigures(6, {"Timeout": 1, "ModelError": 3}, 2.5, 4.0), 12)
    families = list(text_string_to_metric_families(prometheus(STATS | {"health": found})))
    assert all(family.type == "gauge" and family.documentation for family in families)
    samples = [sample for family in families for sample in family.samples]
    assert {(s.labels.pop("collection"), s.labels.pop("owner")) for s in samples} == {('a"b\\c\nd', "anna")}
    assert {(s.name.removeprefix("seemory_"), *s.labels.values()): s.value for s in samples} == {
        ("items", "image"): 9,
        ("items", "scene"): 3,
        ("files",): 10,
        ("files_failed",): 1,
        ("files_missing",): 0,
        ("vectors",): 6,
        ("vectors_failed",): 4,
        ("items_with_vector_ratio",): 0.5,
        ("embedding_failed_ratio",): 0.4,
        ("embedding_timeout_ratio",): 0.1,
        ("embedding_failed_by_reason_ratio", "Timeout"): 0.1,
        ("embedding_failed_by_reason_ratio", "ModelError"): 0.3,
        ("embedding_mean_seconds",): 0.0025,
        ("embedding_p95_seconds",): 0.004,
        ("table_bytes",): 123456789012,
        ("index_bytes",): 0,
    }


def test_what_is_not_known_is_left_out() -> None:
    text = prometheus(STATS | {"by_kind": {}, "health": health(EmbeddingFigures(), 0)})
    names = {family.name for family in text_string_to_metric_families(text)}
    assert "seemory_files" in names
    assert not {name for name in names if "ratio" in name or "seconds" in name or name == "seemory_items"}
