"""Template filters for dates, and for text formats of other programs.

Dates are text, like all values of a run: RFC 3339 with an offset, or YYYY-MM-DD. A filter returns one of the two, so
that filters can be chained: `logicalDate | add('-1d') | tz('Europe/Berlin') | date('%Y/%m/%d')`.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tradewind.api.cron import time_zone
from tradewind.api.duration import parse_offset

MAX_FORMAT = 256
"""The maximum number of characters of a format of `date`."""
# The directives of Python that mean the same on every platform. A width, as in %9999999d, would fill the memory.
_DIRECTIVES = frozenset("YmdHMSfzjyUWVGuwaAbBIp%")
_DIRECTIVE = re.compile(r"%(.?)", re.DOTALL)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LITERAL = re.compile(r"\|\s*(date|add|tz)\s*\(\s*(?:'([^'\\]*)'|\"([^\"\\]*)\")\s*\)")
_BARE = re.compile(r"\|\s*(add|tz)\b(?!\s*\()")
_EXAMPLES = {"add": "add('-1d')", "tz": "tz('Europe/Berlin')"}


def format_date(value: object, form: str = "%Y-%m-%d") -> str:
    """`date`: format a date with the directives of strftime. Raises ValueError."""
    return _moment(value, "date").strftime(_checked_form(form))


def add_offset(value: object, offset: str) -> str:
    """`add`: move a date by an offset; a day has 24 hours. Raises ValueError."""
    step = _checked_offset(offset)
    try:
        moved = _moment(value, "add") + step
    except OverflowError:
        raise ValueError(f"add: {value!r} and {offset!r} are beyond the years 1 to 9999") from None
    if _is_date(value):
        if step % timedelta(days=1):
            raise ValueError(f"add: {value!r} is a day without a time, and {offset!r} is not a number of days")
        return moved.date().isoformat()
    return _text(moved)


def to_zone(value: object, zone: str) -> str:
    """`tz`: convert a time to a time zone. Raises ValueError."""
    if _is_date(value):
        raise ValueError(f"tz: {value!r} is a day without a time; use logicalDate or another time")
    try:
        return _text(_moment(value, "tz").astimezone(time_zone(zone)))
    except OverflowError:
        raise ValueError(f"tz: {value!r} is beyond the years 1 to 9999 there") from None


def from_json(value: object) -> Any:
    """`fromjson`: parse JSON text. Raises ValueError."""
    try:
        return json.loads(str(value), parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("fromjson: nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"fromjson: {error}") from None


def to_base64(value: object) -> str:
    """`b64encode`: encode a text as UTF-8 in base64."""
    return base64.b64encode(str(value).encode()).decode()


def from_base64(value: object) -> str:
    """`b64decode`: decode a UTF-8 text from base64. Raises ValueError."""
    try:
        return base64.b64decode(str(value), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError(f"b64decode: {error}") from None


def check_literals(expression: str) -> None:
    """Raise ValueError for an invalid literal format, offset or time zone in an expression."""
    if bare := _BARE.search(expression):
        raise ValueError(f"{bare[1]} needs an argument, as in {_EXAMPLES[bare[1]]}")
    checks: dict[str, Callable[[str], object]] = {"date": _checked_form, "add": _checked_offset, "tz": time_zone}
    for name, single, double in _LITERAL.findall(expression):
        try:
            checks[name](single or double)
        except ValueError as error:
            message = str(error)
            raise ValueError(message if message.startswith(f"{name}: ") else f"{name}: {message}") from None


def _checked_form(form: str) -> str:
    if not isinstance(form, str) or not form or len(form) > MAX_FORMAT:
        raise ValueError(f"date: a format has 1 to {MAX_FORMAT} characters, as in '%Y/%m/%d'")
    unknown = next((each for each in _DIRECTIVE.findall(form) if each not in _DIRECTIVES), None)
    if unknown is not None:
        known = " ".join(f"%{each}" for each in sorted(_DIRECTIVES))
        raise ValueError(f"date: %{unknown} is unknown; available: {known}")
    return form


def _checked_offset(offset: str) -> timedelta:
    if not isinstance(offset, str):
        raise ValueError(f"add: {offset!r} is not an offset, such as '-1d' or '2h'")
    return parse_offset(offset)


def _is_date(value: object) -> bool:
    return isinstance(value, str) and _DATE.fullmatch(value) is not None


def _moment(value: object, name: str) -> datetime:
    try:
        if not isinstance(value, str):
            raise ValueError
        if _is_date(value):
            return datetime.combine(date.fromisoformat(value), datetime.min.time(), UTC)
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"{name}: {value!r} is not a date, such as 2026-01-31 or 2026-01-31T05:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError(f"{name}: {value!r} has no offset, such as Z or +01:00")
    return moment


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


FILTERS: dict[str, Callable[..., Any]] = {
    "date": format_date,
    "add": add_offset,
    "tz": to_zone,
    "fromjson": from_json,
    "b64encode": to_base64,
    "b64decode": from_base64,
}
