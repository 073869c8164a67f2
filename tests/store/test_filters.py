from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seemory.errors import UsageError
from seemory.store.connect import Database
from seemory.store.generations import Generations
from seemory.store.items import Items
from seemory.types import Filter, Generation

from .conftest import outcome

PICTURES = {
    "/p/IMG_1.JPG": {"width": 4000, "height": 3000, "camera": "Canon EOS R5", "format": "JPEG"}
    | {"taken_at": datetime(2021, 5, 17, 12, 30, 5, tzinfo=UTC), "metadata": {"iso": 100, "lens": {"name": "EF 50"}}},
    "/p/100%_sure.png": {"width": 800, "height": 600, "camera": None, "format": "PNG", "metadata": {"iso": "400"}},
    "/q/sub/img_2.jpg": {"width": 1200, "height": 900, "camera": "Leica Q2", "format": "JPEG"}
    | {
        "taken_at": datetime(2021, 6, 1, tzinfo=UTC),
        "metadata": {"iso": 1600.5, "words": ["sea", "sky"], "flash": True},
    },
    "/q/last.jpg": {"width": 100, "height": 100, "camera": "canon", "format": "JPEG"}
    | {"taken_at": datetime(2022, 1, 1, tzinfo=UTC), "metadata": {"iso": None}},
}
NAMES = {"1": "/p/IMG_1.JPG", "%": "/p/100%_sure.png", "2": "/q/sub/img_2.jpg", "L": "/q/last.jpg"}

Find = Callable[..., str]


@pytest.fixture(scope="module")
def stored(database: Database) -> tuple[Items, Generation]:
    generation = Generations(database).create("filtered", "visual", model="m", fingerprint="f", dim=32)
    items = Items(database, "filters")
    batch = [outcome(uri, n, **facts) for n, (uri, facts) in enumerate(PICTURES.items())]
    items.write("filtered", generation, batch)
    with database.transaction("filters") as connection:
        connection.execute(
            "UPDATE seemory.item i SET tags = ARRAY['beach', 'dog%'] FROM seemory.asset a "
            "WHERE a.id = i.asset_id AND a.uri = '/q/last.jpg'"
        )
    return items, generation


@pytest.fixture(scope="module")
def find(stored: tuple[Items, Generation]) -> Find:
    def find(*filters: Filter) -> str:
        uris = {item.uri for item in stored[0].listing("filtered", filters=filters)}
        return "".join(short for short, uri in NAMES.items() if uri in uris)

    return find


@pytest.mark.parametrize(
    ("field", "operator", "value", "expected"),
    [
        ("path", "=", "/q/last.jpg", "L"),
        ("path", "~", "/Q/", "2L"),
        ("path", "~", "%", "%"),
        ("path", "~", "_", "1%2"),
        ("path", "~", "\\", ""),
        ("path", "<", "/q", "1%"),
        ("name", "=", "img_2.jpg", "2"),
        ("name", "~", "IMG_", "12"),
        ("name", "~", "sub", ""),
        ("camera", "~", "canon", "1L"),
        ("camera", "=", "canon", "L"),
        ("camera", "!=", "canon", "1%2"),
        ("format", "=", "jpeg", "12L"),
        ("format", "!=", "JPEG", "%"),
        ("width", ">=", "1200", "12"),
        ("width", "<", "800.5", "%L"),
        ("width", "=", "8e2", "%"),
        ("height", "!=", "100", "1%2"),
        ("bytes", ">", "99999999999999999999999", ""),
        ("bytes", "<=", "1001", "1%"),
        ("taken", "=", "2021", "12"),
        ("taken", "!=", "2021", "%L"),
        ("taken", "=", "2021-05", "1"),
        ("taken", "=", "2021-5-17", "1"),
        ("taken", "<=", "2021-05", "1"),
        ("taken", "<", "2021-06", "1"),
        ("taken", ">", "2021-05", "2L"),
        ("taken", ">=", "2021-06", "2L"),
        ("taken", "<", "2022", "12"),
        ("taken", "<=", "2022", "12L"),
        ("taken", ">", "2021-12", "L"),
        ("taken", "=", "2021-05-17T12:30", "1"),
        ("taken", "=", "2021-05-17T12:30:05", "1"),
        ("taken", "=", "2021-05-17T14:30:05+02:00", "1"),
        ("taken", ">", "2021-05-17T12:30:05", "2L"),
        ("taken", "<", "0001-01", ""),
        ("tag", "=", "beach", "L"),
        ("tag", "!=", "beach", "1%2"),
        ("tag", "~", "EAC", "L"),
        ("tag", "~", "g%", "L"),
        ("tag", "~", "b%h", ""),
        ("iso", "=", "100", "1"),
        ("iso", "=", "100.0", "1"),
        ("iso", ">", "99", "12%"),
        ("iso", ">=", "1600.5", "2"),
        ("iso", "=", "400", "%"),
        ("iso", "<", "4e2", "1"),
        ("iso", "!=", "100", "%2L"),
        ("iso", "~", "00", "1%2"),
        ("lens.name", "~", "50", "1"),
        ("lens.name", "=", "EF 50", "1"),
        ("words", "=", "sea", "2"),
        ("words", "!=", "sea", "1%L"),
        ("flash", "=", "true", "2"),
        ("nothing", "=", "x", ""),
        ("nothing", "!=", "x", "1%2L"),
    ],
)
def test_condition(find: Find, field: str, operator: str, value: str, expected: str) -> None:
    assert set(find(Filter(field, operator, value))) == set(expected)


def test_all_conditions_must_hold(find: Find) -> None:
    assert find(Filter("camera", "~", "canon"), Filter("width", ">", "1000"), Filter("iso", "<", "200")) == "1"
    assert find() == "1%2L"


@pytest.mark.parametrize(
    ("field", "operator", "value", "message"),
    [
        ("width", "like", "10", "no operator.*width>=1000"),
        ("width", "=", "wide", "width is compared with a number, for example width>=1000"),
        ("width", "~", "10", "number"),
        ("width", "=", "NaN", "number"),
        ("width", "=", "1e999999999", "number"),
        ("bytes", "<", "", "number"),
        ("taken", "=", "May", "taken=2021"),
        ("taken", "=", "2021-13", "date"),
        ("taken", "=", "2021-02-30", "date"),
        ("taken", "=", "9999", "date"),
        ("taken", "=", "0000", "date"),
        ("taken", ">", "9999-12-31T23:59:59-12:00", "date"),
        ("taken", "~", "2021", "date"),
        ("tag", ">", "a", "tag=beach"),
        ("", "=", "x", "needs a field"),
    ],
)
def test_what_makes_no_sense_is_refused_with_an_example(
    find: Find, field: str, operator: str, value: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        find(Filter(field, operator, value))


FIELDS = st.sampled_from(["path", "name", "taken", "camera", "width", "height", "bytes", "format", "tag", "iso", "a.b"])
VALUES = st.text() | st.sampled_from(["100", "2021", "2021-05", "%", "\\", "'", "\0", "\udcff", "-0", "1e-5", "٣"])


@given(
    field=FIELDS | st.text(min_size=1), operator=st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "~"]), value=VALUES
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_filter_is_answered_or_refused(find: Find, field: str, operator: str, value: str) -> None:
    try:
        found = find(Filter(field, operator, value))
    except UsageError:
        return
    opposite = {"=": "!=", "!=": "="}.get(operator)
    if opposite:  # what is equal, and what is not, are together everything
        assert sorted(found + find(Filter(field, opposite, value))) == sorted("1%2L")


@given(limit=st.integers(-100, 5000), operator=st.sampled_from(["<", "<=", ">", ">=", "=", "!="]))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_numbers_compare_as_in_python(find: Find, limit: int, operator: str) -> None:
    python = {"<": "__lt__", "<=": "__le__", ">": "__gt__", ">=": "__ge__", "=": "__eq__", "!=": "__ne__"}[operator]
    expected = {short for short, uri in NAMES.items() if getattr(PICTURES[uri]["width"], python)(limit)}
    assert set(find(Filter("width", operator, str(limit)))) == expected


@given(value=st.text(st.sampled_from("iIMmgG_%/\\1."), max_size=4))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_contains_is_meant_literally(find: Find, value: str) -> None:
    expected = {short for short, uri in NAMES.items() if value.lower() in uri.lower()}
    assert set(find(Filter("path", "~", value))) == expected
