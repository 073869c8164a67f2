"""`Filter`s → a WHERE clause over `asset a` and `item i`, in which whatever a person typed is a parameter."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, get_args
from uuid import UUID

from psycopg.sql import SQL, Composed

from seemory.errors import UsageError
from seemory.store.naming import FILM_URI
from seemory.store.texts import clean, escape
from seemory.types import Filter, Operator

Condition = tuple[SQL | Composed, list[Any]]

_COMPARE: dict[str, SQL] = {
    "=": SQL("="),
    "!=": SQL("IS DISTINCT FROM"),  # a file that has no camera is not from that camera
    "<": SQL("<"),
    "<=": SQL("<="),
    ">": SQL(">"),
    ">=": SQL(">="),
}


def conditions(filters: Sequence[Filter]) -> Condition:
    """One clause that holds where all filters do, with its parameters; `true` for none.

    Raises:
        UsageError: an operator does not exist or does not fit its field, or a value cannot be read.
    """
    parts = [condition(one) for one in filters]
    clause = SQL(" AND ").join([SQL("(") + part + SQL(")") for part, _ in parts]) if parts else SQL("true")
    return clause, [value for _, values in parts for value in values]


def condition(one: Filter) -> Condition:
    """One filter's clause and parameters."""
    if one.operator not in get_args(Operator):
        raise UsageError(
            f"{one.operator!r} is no operator: use one of {' '.join(get_args(Operator))}, for example width>=1000"
        )
    if not one.field.strip():
        raise UsageError("a filter needs a field, for example camera~canon")
    return _FIELDS.get(one.field, _metadata)(one)


def _text(column: str, *, fold: bool = False) -> Callable[[Filter], Condition]:
    def build(one: Filter) -> Condition:
        if one.operator == "~":
            return SQL("{} ILIKE %s").format(SQL(column)), [_pattern(escape(one.value))]
        left = SQL("lower({})" if fold else "{}").format(SQL(column))
        return left + SQL(" ") + _COMPARE[one.operator] + SQL(" %s"), [escape(one.value.lower() if fold else one.value)]

    return build


def _number(column: str) -> Callable[[Filter], Condition]:
    def build(one: Filter) -> Condition:
        number = _as_number(one.value)
        if one.operator == "~" or number is None:
            raise UsageError(f"{one.field} is compared with a number, for example {one.field}>=1000, not with {one}")
        # Whole numbers as such: the planner knows how many rows pass only where nothing is cast.
        whole = number == number.to_integral_value() and abs(number) < 2**63
        compared = SQL(" %s::bigint") if whole else SQL(" %s::numeric")
        return SQL("{} ").format(SQL(column)) + _COMPARE[one.operator] + compared, [int(number) if whole else number]

    return build


def _taken(one: Filter) -> Condition:
    """A date stands for all its hours, a month for its days, a year for its months: [start, end)."""
    start, end = _span(one)
    if one.operator == "=":
        return SQL("a.taken_at >= %s AND a.taken_at < %s"), [start, end]
    if one.operator == "!=":
        return SQL("a.taken_at IS NULL OR a.taken_at < %s OR a.taken_at >= %s"), [start, end]
    if one.operator in ("<", ">="):
        return SQL("a.taken_at ") + _COMPARE[one.operator] + SQL(" %s"), [start]
    return SQL("a.taken_at < %s" if one.operator == "<=" else "a.taken_at >= %s"), [end]


_DATE = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?")


def _span(one: Filter) -> tuple[datetime, datetime]:
    example = "for example taken=2021, taken>=2021-05, taken<2021-05-17, taken>2021-05-17T12:30"
    if one.operator == "~":
        raise UsageError(f"taken is compared with a date, {example}")
    text = one.value.strip()
    try:
        if found := _DATE.fullmatch(text):
            year, month, day = (int(part) if part else None for part in found.groups())
            start = datetime(year or 0, month or 1, day or 1, tzinfo=UTC)
            if day:
                return start, start + timedelta(days=1)
            if month and month < 12:
                return start, start.replace(month=month + 1)
            return start, start.replace(year=start.year + 1, month=1)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise UsageError(f"taken{one.operator}{one.value} has no date that exists: {example}") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if not 1 < moment.year < 9999:  # the edges of the calendar, where a time zone leads out of it
        raise UsageError(f"taken{one.operator}{one.value} has no date of a photograph: {example}")
    whole_minute = moment.second == moment.microsecond == 0 and text.count(":") == 1 and "+" not in text
    return moment, moment + timedelta(minutes=whole_minute, seconds=not (whole_minute or moment.microsecond))


def _tag(one: Filter) -> Condition:
    if one.operator == "~":
        return SQL("EXISTS (SELECT FROM unnest(i.tags) AS tag WHERE tag ILIKE %s)"), [_pattern(clean(one.value))]
    if one.operator not in ("=", "!="):
        raise UsageError(f"a tag is there or not: tag=beach, tag!=beach or tag~bea, not tag{one.operator}{one.value}")
    there = SQL("%s = ANY (i.tags)")
    return (there if one.operator == "=" else SQL("NOT ") + there), [clean(one.value)]


def _film(one: Filter) -> Condition:
    """The scenes of a film: by its path, by the id of its asset, or by the name that an import gave for it."""
    if one.operator == "~":
        return SQL("(i.kind = 'scene' AND a.uri ILIKE %s)"), [_pattern(escape(one.value))]
    if one.operator not in ("=", "!="):
        raise UsageError(f"a scene is of a film or not: film=PATH, film!=PATH or film~part, not film{one.operator}")
    values: list[Any]
    try:
        of_it, values = SQL("i.asset_id = %s"), [UUID(one.value)]
    except ValueError:
        of_it = SQL("coalesce(a.uri = %s OR a.metadata ->> %s = %s, false)")
        values = [escape(one.value), FILM_URI, clean(one.value)]
    there = SQL("(i.kind = 'scene' AND {})").format(of_it)
    return (there if one.operator == "=" else SQL("NOT ") + there), values


_NUMBER = r"^-?[0-9]{1,100}(\.[0-9]{1,100})?$"


def _metadata(one: Filter) -> Condition:
    """A key of the metadata, dots descend: as numbers where both sides are or read as numbers, else as text.

    A list meets `=` with any of its texts.
    """
    path = [clean(key) for key in one.field.split(".")]
    found = SQL("coalesce(i.metadata #> %s::text[], a.metadata #> %s::text[])")
    text, number = SQL("({} #>> '{{}}')").format(found), _as_number(one.value)
    value = clean(one.value)
    if one.operator == "~":
        return text + SQL(" ILIKE %s"), [path, path, _pattern(value)]
    compare = _COMPARE[one.operator]
    as_text = text + SQL(" ") + compare + SQL(" %s")
    values: list[Any] = [path, path, value]
    if number is not None:
        # CASE, because the cast must not be tried on what is no number. Most numbers are stored as such, and are told
        # without being written out and read again.
        stored = SQL("{}::numeric ").format(found) + compare + SQL(" %s::numeric")
        as_number = text + SQL("::numeric ") + compare + SQL(" %s::numeric")
        is_number = SQL("coalesce({} ~ %s, false)").format(text)
        as_text = SQL("CASE WHEN jsonb_typeof({}) = 'number' THEN {} WHEN {} THEN {} ELSE {} END").format(
            found, stored, is_number, as_number, as_text
        )
        values = [path, path, path, path, number, path, path, _NUMBER, path, path, number, *values]
    if one.operator in ("=", "!="):
        in_list = SQL("coalesce(jsonb_typeof({0}) = 'array' AND {0} @> to_jsonb(%s::text), false)").format(found)
        in_values = [path, path, path, path, value]
        if one.operator == "=":
            return as_text + SQL(" OR ") + in_list, values + in_values
        return SQL("(") + as_text + SQL(") AND NOT ") + in_list, values + in_values
    return as_text, values


def _as_number(text: str) -> Decimal | None:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        return None
    # Postgres writes out an exponent as digits: 1e999999999 would be a gigabyte of them.
    return number if number.is_finite() and abs(number.adjusted()) < 300 else None


def _pattern(text: str) -> str:
    """A LIKE pattern for "contains", in which % and _ mean themselves."""
    return "%" + re.sub(r"([\\%_])", r"\\\1", text) + "%"


_FIELDS: dict[str, Callable[[Filter], Condition]] = {
    "path": _text("a.uri"),
    "name": _text(r"regexp_replace(a.uri, '^.*[/\\]', '')"),
    "camera": _text("a.camera"),
    "format": _text("a.format", fold=True),
    "width": _number("a.width"),
    "height": _number("a.height"),
    "bytes": _number("a.bytes"),
    "taken": _taken,
    "tag": _tag,
    "film": _film,
}
