from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_pictures import encoded, photograph, write
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from seemory.media import exif
from seemory.media.image import load_picture


def block(main: dict[int, object], photo: dict[int, object], gps: dict[int, object]) -> Image.Exif:
    made = Image.Exif()
    made.update(main)
    made.get_ifd(0x8769).update(photo)
    made.get_ifd(0x8825).update(gps)
    return made


FULL = block(
    {0x010F: "Canon", 0x0110: "Canon EOS R5", 0x010E: "Grüße vom Meer", 0x0131: "Lightroom 13"},
    {
        0x9003: "2021:07:03 18:20:11",
        0x9011: "+02:00",
        0x9291: "99",
        0x8827: 400,
        0x829A: IFDRational(1, 250),
        0x829D: IFDRational(28, 10),
        0x920A: IFDRational(50, 1),
        0xA434: "RF50mm F1.2",
    },
    {1: "S", 2: (33.0, 51.0, 24.0), 3: "E", 4: (151.0, 12.0, 36.0)},
)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIC", "AVIF"])
def test_facts_of_every_format(kind: str, tmp_path: Path) -> None:
    made = block(dict(FULL), FULL.get_ifd(0x8769), FULL.get_ifd(0x8825))
    content = encoded(photograph(), kind, exif=made.tobytes())
    facts = load_picture(write(tmp_path / "a", content), target=64).facts
    assert facts.taken_at == datetime(2021, 7, 3, 18, 20, 11, tzinfo=timezone(timedelta(hours=2)))
    assert facts.camera == "Canon EOS R5"
    assert dict(facts.metadata) == {
        "lens": "RF50mm F1.2",
        "iso": 400,
        "exposure_time": 0.004,
        "f_number": 2.8,
        "focal_length": 50.0,
        "gps": {"lat": -33.856667, "lon": 151.21},
        "caption": facts.metadata["caption"],
        "software": "Lightroom 13",
    }
    assert "vom Meer" in facts.metadata["caption"]
    json.dumps(facts.metadata)


@pytest.mark.parametrize(
    ("date", "offset", "expected"),
    [
        ("2020:02:29 12:00:00", None, datetime(2020, 2, 29, 12, tzinfo=UTC)),
        ("2020-02-29T12:00:00", None, datetime(2020, 2, 29, 12, tzinfo=UTC)),
        ("2020:02:29 12:00:00.123", "-05:30", datetime(2020, 2, 29, 17, 30, tzinfo=UTC)),
        ("2020:02:29 12:00:00", "+99:99", datetime(2020, 2, 29, 12, tzinfo=UTC)),
        ("2020:02:29 12:00:00", "rubbish", datetime(2020, 2, 29, 12, tzinfo=UTC)),
        ("2021:02:29 12:00:00", None, None),
        ("0000:00:00 00:00:00", None, None),
        ("    :  :     :  :  ", None, None),
        ("0001:01:01 00:00:00", "+10:00", None),
        ("9999:12:31 23:59:59", "-10:00", None),
        ("2020:02:29 24:61:00", None, None),
        ("yesterday", None, None),
        (b"2020:02:29 12:00:00\x00", None, datetime(2020, 2, 29, 12, tzinfo=UTC)),
        (42, None, None),
        (None, None, None),
    ],
)
def test_taken_at(date: object, offset: object, expected: datetime | None) -> None:
    assert exif.taken_at({0x9003: date, 0x9011: offset}) == expected


def test_a_scan_has_the_day_it_was_digitized() -> None:
    assert exif.taken_at({0x9003: "garbage", 0x9004: "2001:05:06 07:08:09"}) == datetime(
        2001, 5, 6, 7, 8, 9, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("make", "model", "expected"),
    [
        ("NIKON CORPORATION", "NIKON D90", "NIKON D90"),
        ("Apple", "iPhone 12", "Apple iPhone 12"),
        ("Canon\x00\x00", " Canon EOS R5 ", "Canon EOS R5"),
        ("", "D90", "D90"),
        ("Leica", None, "Leica"),
        (None, "   ", None),
    ],
)
def test_camera(make: object, model: object, expected: str | None) -> None:
    assert exif.camera({0x010F: make, 0x0110: model}) == expected


def test_comments_and_windows_captions() -> None:
    assert exif.metadata({0x9C9B: tuple("Été".encode("utf-16-le"))}, {}, {})["caption"] == "Été"
    assert exif.metadata({0x9C9E: "Été; Strand ;;".encode("utf-16-le")}, {}, {}) == {"tags": ["Été", "Strand"]}
    assert exif.metadata({}, {0x9286: b"ASCII\0\0\0hello\0\0"}, {})["caption"] == "hello"
    assert exif.metadata({}, {0x9286: b"UNICODE\0" + "hé".encode("utf-16-le")}, {})["caption"] == "hé"
    assert exif.metadata({}, {0x9286: bytes(5000)}, {}) == {}


values = st.one_of(
    st.none(),
    st.integers(),
    st.floats(allow_nan=True),
    st.text(max_size=20),
    st.binary(max_size=40),
    st.tuples(st.integers(), st.integers()),
    st.builds(IFDRational, st.integers(-9, 9), st.integers(0, 3)),
    st.tuples(*[st.builds(IFDRational, st.integers(-400, 400), st.integers(0, 3))] * 3),
)
TAGS = [
    1,
    2,
    3,
    4,
    0x010E,
    0x010F,
    0x0110,
    0x0112,
    0x0131,
    0x8827,
    0x829A,
    0x829D,
    0x9003,
    0x9011,
    0x9286,
    0x9C9B,
    0xA434,
]


@given(st.dictionaries(st.sampled_from(TAGS), values))
def test_any_rubbish_gives_clean_json(tags: dict[int, object]) -> None:
    found = exif.metadata(tags, tags, tags)
    text = json.dumps(found, allow_nan=False, ensure_ascii=False)
    assert text.encode("utf-8"), "no half of a surrogate pair"
    assert "\\u0000" not in text
    assert len(text) < 40_000
    exif.taken_at(tags)
    exif.camera(tags)
    assert 1 <= exif.orientation(tags) <= 8


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_broken_exif_does_not_cost_the_picture(tmp_path: Path) -> None:
    for rubbish in (b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(40)):
        path = write(tmp_path / "a.jpg", encoded(photograph(), "JPEG", exif=rubbish))
        assert load_picture(path, target=64).facts.taken_at is None
