"""Schedules as text: presets and cron expressions."""

import re
from zoneinfo import ZoneInfo

from croniter import CroniterBadCronError, CroniterError, croniter

from tradewind.api.schedule import CONTINUOUS, ONCE

_SAME = re.compile(r"\b(\w+)-\1\b(?!/)")

PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


def cron_expression(schedule: str) -> str:
    """Return the five cron fields of a schedule. Raises ValueError with the reason if it is invalid."""
    text = schedule.strip()
    if text.startswith("@"):
        if text not in PRESETS:
            raise ValueError(f"{schedule!r} is not a preset; presets are {', '.join((ONCE, CONTINUOUS, *PRESETS))}")
        return PRESETS[text]
    # croniter reads `5-5` as every value.
    fields = [_SAME.sub(r"\1", field) for field in text.split()]
    text = " ".join(fields)
    if len(fields) != 5:
        raise ValueError(
            f"{schedule!r} has {len(fields)} field{'s' if len(fields) != 1 else ''}; a cron expression has five: "
            "minute, hour, day of month, month, day of week"
        )
    try:
        croniter.expand(text)
        croniter(text).get_next()
    except CroniterBadCronError as error:
        raise ValueError(f"{schedule!r} is not a cron expression: {_reason(error)}") from error
    except (CroniterError, ValueError, KeyError, OverflowError) as error:
        raise ValueError(f"{schedule!r} has no ticks: {_reason(error)}") from error
    return text


def time_zone(name: str) -> ZoneInfo:
    """Return the IANA time zone. Raises ValueError if the name is unknown."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not an IANA time zone, such as Europe/Berlin or UTC") from error


def _reason(error: Exception) -> str:
    return str(error).strip("'\"")
