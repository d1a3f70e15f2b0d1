"""Validation of a Backfill: its span, and the requirements on its Dag. engine/schedule/backfill.py counts its ticks."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from tradewind.api.backfill import BackfillSpec
from tradewind.api.dag import DagSpec
from tradewind.api.schedule import CONTINUOUS
from tradewind.api.validation.params import check_params
from tradewind.api.validation.problem import Problem
from tradewind.api.validation.work import Work

CLOCK_SKEW = timedelta(seconds=2)
"""Kubernetes stores creation times in whole seconds, and clocks differ."""


def check_span(spec: BackfillSpec, now: datetime | None) -> Iterator[Problem]:
    """Check that the span lies in the past; `now` is the creation time of the Backfill, None if unknown."""
    if spec.from_ > spec.to:
        yield Problem("InvalidSpan", "spec.from", f"is after spec.to ({spec.to:%Y-%m-%dT%H:%M:%SZ})")
    if now is not None and spec.to > now + CLOCK_SKEW:
        message = (
            f"{spec.to:%Y-%m-%dT%H:%M:%SZ} is in the future (now: {now:%Y-%m-%dT%H:%M:%SZ}); "
            "the schedule creates future runs"
        )
        yield Problem("FutureDates", "spec.to", message)


def check_against_dag(spec: BackfillSpec, dag: DagSpec, work: Work | None = None) -> Iterator[Problem]:
    """Check the Backfill against its Dag."""
    if not dag.all_schedules:
        message = f"the Dag {spec.dag!r} has no schedule and therefore no ticks; create a DagRun instead"
        yield Problem("NoSchedule", "spec.dag", message)
    elif any(isinstance(each, str) and each.strip() == CONTINUOUS for each in dag.all_schedules):
        message = f"the Dag {spec.dag!r} is scheduled {CONTINUOUS}: its ticks depend on when its runs finish"
        yield Problem("NoSchedule", "spec.dag", message)
    waiting = tasks_that_depend_on_past(dag)
    if spec.reverse and waiting:
        more = f" and {len(waiting) - 3} more" if len(waiting) > 3 else ""
        message = f"cannot be true: tasks depend on the previous run ({', '.join(waiting[:3])}{more})"
        yield Problem("DependsOnPast", "spec.reverse", message)
    yield from check_params(dag.params or {}, spec.params or {}, work)


def tasks_that_depend_on_past(dag: DagSpec) -> list[str]:
    """Return the names of the tasks with dependsOnPast or waitForDownstream, their own or from taskDefaults."""
    return [task.name for task in dag.tasks if any(_setting(dag, task, name) for name in _PAST)]


_PAST = ("depends_on_past", "wait_for_downstream")


def _setting(dag: DagSpec, task: object, name: str) -> object:
    own = getattr(task, name, None)
    return own if own is not None else getattr(dag.task_defaults, name, None)
