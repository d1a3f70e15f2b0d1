"""Whether the schedule can be read and its dates make sense."""

from tradewind.api.cron import cron_expression, time_zone
from tradewind.api.dag import DagSpec
from tradewind.api.validation.problem import Problem


def check_schedule(spec: DagSpec) -> list[Problem]:
    """Bad cron expressions, unknown time zones, dates in the wrong order, settings that need a schedule."""
    problems = []
    if spec.schedule is not None:
        try:
            cron_expression(spec.schedule)
        except ValueError as error:
            problems.append(Problem("InvalidSchedule", "spec.schedule", str(error)))
    if spec.time_zone is not None:
        try:
            time_zone(spec.time_zone)
        except ValueError as error:
            problems.append(Problem("InvalidTimeZone", "spec.timeZone", str(error)))
    if spec.start_date and spec.end_date and spec.start_date > spec.end_date:
        problems.append(Problem("InvalidSchedule", "spec.endDate", "is before startDate: no run would ever start"))
    return problems
