"""Duration strings: `90s`, `1h30m`, `7d`."""

import re
from datetime import timedelta

PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$"
OFFSET_PATTERN = "^-?" + PATTERN.removeprefix("^")
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_WHOLE = re.compile(PATTERN)
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = 366 * 10 * 86400


def parse_duration(text: str) -> timedelta:
    """`"1h30m"` → 90 minutes. Raises ValueError with an example if `text` is not a duration."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration: write a number and a unit (ms, s, m, h, d), as in 90s or 1h30m")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    if seconds > _LONGEST:
        raise ValueError(f"{text!r} is longer than ten years")
    return timedelta(seconds=seconds)


def parse_offset(text: str) -> timedelta:
    """`"-1h"` → minus one hour: a duration that may be negative. Raises ValueError with an example if `text` is not
    one."""
    bare = text.removeprefix("-")
    if not _WHOLE.fullmatch(bare):
        raise ValueError(f"{text!r} is not an offset: write a number and a unit (ms, s, m, h, d), as in -1h or 30m")
    return -parse_duration(bare) if text.startswith("-") else parse_duration(bare)


def format_duration(duration: timedelta) -> str:
    """Return a short form for people: `0.4s`, `12s`, `3m20s`, `2h5m`, `3d4h`."""
    seconds = duration.total_seconds()
    if 0 < seconds < 1:
        return f"{seconds:.1f}s"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    parts = [(days, "d"), (hour, "h"), (minute, "m"), (second, "s")]
    used = [f"{number}{unit}" for number, unit in parts if number]
    return "".join(used[:2]) or "0s"
