"""Validation of schedules and dates."""

from datetime import timedelta

from tradewind.api.cron import cron_expression, time_zone
from tradewind.api.dag import DagSpec
from tradewind.api.duration import parse_duration
from tradewind.api.schedule import CONTINUOUS, ONCE, Every
from tradewind.api.validation.problem import Problem


def check_schedule(spec: DagSpec) -> list[Problem]:
    """Check cron expressions, time zones, the order of dates, and combinations of schedules."""
    problems: list[Problem] = []
    if spec.schedule is not None:
        problems += _check_one(spec.schedule, "spec.schedule")
    for position, schedule in enumerate(spec.schedules or ()):
        problems += _check_one(schedule, f"spec.schedules[{position}]")
    problems += _check_together(spec)
    if spec.time_zone is not None:
        try:
            time_zone(spec.time_zone)
        except ValueError as error:
            problems.append(Problem("InvalidTimeZone", "spec.timeZone", str(error)))
    if spec.start_date and spec.end_date and spec.start_date > spec.end_date:
        problems.append(Problem("InvalidSchedule", "spec.endDate", "is before startDate: no run would ever start"))
    return problems


def _check_one(schedule: str | Every, field: str) -> list[Problem]:
    if isinstance(schedule, Every):
        period = parse_duration(schedule.every)
        # The name of a run contains its logical date in whole seconds.
        if period < timedelta(seconds=1) or period.microseconds:
            message = f"{schedule.every!r} must be a number of whole seconds, at least 1s"
            return [Problem("InvalidSchedule", f"{field}.every", message)]
        return []
    if schedule.strip() in (ONCE, CONTINUOUS):
        return []
    try:
        cron_expression(schedule)
    except ValueError as error:
        return [Problem("InvalidSchedule", field, f"{error}{_hint(schedule)}")]
    return []


def _hint(schedule: str) -> str:
    try:
        parse_duration(schedule)
    except ValueError:
        return ""
    return f"; for an interval write {{every: {schedule}}}"


def _check_together(spec: DagSpec) -> list[Problem]:
    if spec.schedule is not None and spec.schedules is not None:
        message = "give either schedule or schedules, not both"
        return [Problem("InvalidSchedule", "spec.schedules", message)]
    texts = [each.strip() for each in spec.schedules or () if isinstance(each, str)]
    if CONTINUOUS in texts and len(spec.schedules or ()) > 1:
        message = (
            f"{CONTINUOUS} starts each run when the previous one finishes, and cannot be combined with other schedules"
        )
        return [Problem("InvalidSchedule", "spec.schedules", message)]
    return []
