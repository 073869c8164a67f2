"""What a picture says of itself beside its pixels: when, with what, how and where it was taken.

Nothing here raises: EXIF in the wild is full of rubbish, and a picture is worth having without it.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from PIL import Image

_EXIF_IFD = 0x8769
_GPS_IFD = 0x8825
ORIENTATION = 0x0112
Directories = tuple[dict[int, Any], dict[int, Any], dict[int, Any]]
"""The main, EXIF and GPS directories, each `{tag: value}`."""

_DATES = ((0x9003, 0x9011), (0x9004, 0x9012))
"""DateTimeOriginal, then DateTimeDigitized (a scan), each with its time zone's tag."""

_DATE = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)")
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_LONGEST_TEXT = 2000


def read_exif(image: Image.Image) -> Directories:
    """The main, EXIF and GPS directories of an image, each `{tag: value}`; empty where absent or unreadable."""
    try:
        return directories(image.getexif())
    except Exception:
        return {}, {}, {}


def directories(exif: Image.Exif) -> Directories:
    """The main, EXIF and GPS directories of a parsed block; each is empty where it cannot be read."""
    parts: list[dict[int, Any]] = []
    for read in (lambda: exif, lambda: exif.get_ifd(_EXIF_IFD), lambda: exif.get_ifd(_GPS_IFD)):
        try:
            parts.append(dict(read()))
        except Exception:
            parts.append({})
    return parts[0], parts[1], parts[2]


def orientation(main: Mapping[int, Any]) -> int:
    """The EXIF orientation, 1 to 8; 1 where it is absent or nonsense."""
    value = main.get(ORIENTATION)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def taken_at(photo: Mapping[int, Any]) -> datetime | None:
    """When the picture was taken, with its time zone; **UTC is assumed where the file names none**.

    Cameras wrote local time without a zone until EXIF 2.31 (2016), so such a date may be off by the zone's hours.
    Fractions of a second are left out. A date that is not one (`0000:00:00`, a 13th month, the year 1) gives None.
    """
    for date_tag, offset_tag in _DATES:
        found = _DATE.match(_text(photo.get(date_tag)) or "")
        if found is None:
            continue
        try:
            moment = datetime(*(int(part) for part in found.groups()), tzinfo=_zone(photo.get(offset_tag)))  # type: ignore[misc, arg-type]
            if moment.year >= 1800 and moment.astimezone(UTC):
                return moment
        except (ValueError, OverflowError):
            continue
    return None


def _zone(value: object) -> timezone:
    found = _OFFSET.match(_text(value) or "")
    if found is None:
        return UTC
    minutes = int(found[2]) * 60 + int(found[3])
    if minutes > 14 * 60:
        return UTC
    return timezone(timedelta(minutes=-minutes if found[1] == "-" else minutes))


def camera(main: Mapping[int, Any]) -> str | None:
    """ "Make Model", without the make twice when the model starts with it."""
    make, model = _text(main.get(0x010F)), _text(main.get(0x0110))
    if not make or not model:
        return model or make
    # "NIKON CORPORATION" with "NIKON D90", "Canon" with "Canon EOS 5D": the first word decides.
    return model if model.casefold().startswith(make.split()[0].casefold()) else f"{make} {model}"


def metadata(main: Mapping[int, Any], photo: Mapping[int, Any], gps: Mapping[int, Any]) -> dict[str, Any]:
    """A small document fit for JSON and for Postgres: no NUL, no NaN, no binary; only what is there."""
    latitude, longitude = _degrees(gps, 2, 1, "S", 90), _degrees(gps, 4, 3, "W", 180)
    turned = orientation(main)
    found: dict[str, Any] = {
        "lens": _text(photo.get(0xA434)),
        "iso": _whole(photo.get(0x8827)),
        "exposure_time": _number(photo.get(0x829A)),
        "f_number": _number(photo.get(0x829D)),
        "focal_length": _number(photo.get(0x920A)),
        "gps": {"lat": latitude, "lon": longitude} if latitude is not None and longitude is not None else None,
        "orientation": turned if turned != 1 else None,
        "caption": _text(main.get(0x010E)) or _utf16(main.get(0x9C9B)) or _comment(photo.get(0x9286)),
        "software": _text(main.get(0x0131)),
        "tags": [tag for tag in (part.strip() for part in (_utf16(main.get(0x9C9E)) or "").split(";")) if tag],
    }
    return {name: value for name, value in found.items() if value not in (None, "", [])}


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return None
    # Pillow reads EXIF text as Latin-1, as the standard has it; most of what is not ASCII was written as UTF-8.
    with contextlib.suppress(UnicodeError):
        value = value.encode("latin-1").decode("utf-8")
    return _tidy(value)


def _tidy(value: str) -> str | None:
    return _UNPRINTABLE.sub("", value.split("\x00")[0]).strip()[:_LONGEST_TEXT] or None


def _utf16(value: object) -> str | None:
    """Windows' own tags: UTF-16 in a byte string or a tuple of bytes."""
    if isinstance(value, tuple):
        try:
            value = bytes(value[: 2 * _LONGEST_TEXT])
        except (TypeError, ValueError):
            return None
    # Not `bytes(value)` for just anything: of a number it makes that many zeros, gigabytes of them if the file says so.
    return _tidy(value[: 2 * _LONGEST_TEXT].decode("utf-16-le", "ignore")) if isinstance(value, bytes) else None


def _comment(value: object) -> str | None:
    """UserComment: eight bytes name the character set. Without a name it is often a maker's binary, so left out."""
    if isinstance(value, str):
        value = value.encode("latin-1", "ignore")
    if not isinstance(value, bytes):
        return None
    name, rest = value[:8], value[8 : 8 + 2 * _LONGEST_TEXT]
    if name == b"ASCII\x00\x00\x00":
        return _text(rest)
    if name == b"UNICODE\x00":
        return _tidy(rest.decode("utf-16-be" if rest[:1] == b"\x00" else "utf-16-le", "ignore"))
    return None


def _number(value: object) -> float | None:
    """A finite positive number, rounded to six significant digits' worth of use, or None."""
    if isinstance(value, tuple) and value:
        value = value[0]
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return float(f"{number:.6g}") if math.isfinite(number) and 0 < number < 1e9 else None


def _whole(value: object) -> int | None:
    number = _number(value)
    return None if number is None else round(number)


def _degrees(gps: Mapping[int, Any], tag: int, side_tag: int, negative: str, limit: int) -> float | None:
    try:
        degrees, minutes, seconds = (float(part) for part in gps[tag])
        value = degrees + minutes / 60 + seconds / 3600
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    if not math.isfinite(value) or not 0 <= value <= limit:
        return None
    return round(-value if (_text(gps.get(side_tag)) or "").upper().startswith(negative) else value, 6)
