"""What a service counts, in the text that Prometheus reads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from prometheus_client.parser import text_string_to_metric_families

from seemory.metrics import Metrics


def read(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def test_prometheus_reads_what_was_counted() -> None:
    metrics = Metrics()
    metrics.counter("asked_total", "How often.")
    metrics.histogram("taken_seconds", "How long.", (0.1, 1.0))
    metrics.gauge("waiting", "How many.", lambda: 3.0)
    metrics.count("asked_total", route='/a"b\\c\nd')
    metrics.count("asked_total", 2, route="/")
    for seconds in (0.05, 0.1, 0.5, 7.0):
        metrics.observe("taken_seconds", seconds, route="/")
    found = read(metrics.text())
    assert found["asked_total"] == {(("route", '/a"b\\c\nd'),): 1.0, (("route", "/"),): 2.0}
    assert found["waiting"] == {(): 3.0}
    ranges = {dict(labels)["le"]: value for labels, value in found["taken_seconds_bucket"].items()}
    assert ranges == {"0.1": 2.0, "1.0": 3.0, "+Inf": 4.0} or ranges == {"0.1": 2.0, "1": 3.0, "+Inf": 4.0}
    assert found["taken_seconds_count"][("route", "/"),] == 4.0
    assert found["taken_seconds_sum"][("route", "/"),] == 7.65


def test_nothing_is_lost_between_threads() -> None:
    metrics = Metrics()
    metrics.counter("asked_total", "How often.")
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: metrics.count("asked_total", who=str(n % 3)), range(3000)))
    assert set(read(metrics.text())["asked_total"].values()) == {1000.0}
