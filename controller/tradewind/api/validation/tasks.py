"""Validation of what tasks run and of their settings."""

from collections.abc import Iterator
from typing import Any

from tradewind.api.dag import DagSpec
from tradewind.api.kinds import TASK_KINDS, task_kind
from tradewind.api.task import Task, TaskDefaults, TaskSettings
from tradewind.api.validation.durations import check_duration
from tradewind.api.validation.kinds import VALIDATORS
from tradewind.api.validation.pod_template import check_pod_part, check_pod_template
from tradewind.api.validation.problem import Problem


def check_tasks(spec: DagSpec) -> list[Problem]:
    """Check tasks, except for their dependencies and templates."""
    defaults = spec.task_defaults or TaskDefaults()
    problems = list(_check_settings(defaults, "spec.taskDefaults"))
    seen: set[str] = set()
    for task in spec.tasks:
        field = f"spec.tasks[{task.name}]"
        if task.name in seen:
            problems.append(Problem("DuplicateTask", field, "another task has the same name: rename one of them"))
        seen.add(task.name)
        problems += _check_kind(task, defaults, field)
        problems += _check_settings(task, field)
        problems += _check_past(task, defaults, field)
    return problems


def _check_kind(task: Task, defaults: TaskDefaults, field: str) -> Iterator[Problem]:
    alone = {name for kind in TASK_KINDS if not kind.beside for name in kind.fields}
    given = [name for name in Task.model_fields if name in alone and getattr(task, name)]
    if len(given) > 1:
        runs = " and ".join(_written(task, name) for name in given)
        yield Problem("InvalidTask", field, f"has {runs}: a task has only one of them")
    yield from VALIDATORS[task_kind(task).name].check(task, defaults, field)


def _written(task: Task, name: str) -> str:
    alias = Task.model_fields[name].alias or name
    return f"{alias}: true" if getattr(task, name) is True else alias


def _check_past(task: Task, defaults: TaskDefaults, field: str) -> Iterator[Problem]:
    waits = task.wait_for_downstream if task.wait_for_downstream is not None else defaults.wait_for_downstream
    if waits and task.depends_on_past is False:
        message = "waitForDownstream: true implies dependsOnPast: remove one of the two"
        yield Problem("InvalidTask", f"{field}.dependsOnPast", message)


def _check_settings(settings: TaskSettings, field: str) -> Iterator[Problem]:
    yield from check_duration(settings.timeout, f"{field}.timeout")
    yield from check_duration(settings.queued_timeout, f"{field}.queuedTimeout")
    if settings.retries and settings.retries.max_delay:
        yield from check_duration(settings.retries.max_delay, f"{field}.retries.maxDelay")
    both = set(settings.skip_exit_codes or ()) & set(settings.fail_exit_codes or ())
    if both:
        listed = ", ".join(map(str, sorted(both)))
        message = f"{listed} is also in skipExitCodes: remove it from one of them"
        yield Problem("InvalidTask", f"{field}.failExitCodes", message)
    names: set[str] = set()
    for variable in settings.env or ():
        place = f"{field}.env[{variable.name}]"
        if variable.name in names:
            yield Problem("InvalidTask", place, "is set twice")
        names.add(variable.name)
        if variable.value_from is not None:
            yield from check_pod_part(variable.value_from, "V1EnvVarSource", f"{place}.valueFrom")
        if variable.value is not None and variable.value_from is not None:
            yield Problem("InvalidTask", place, "has both value and valueFrom")
        if variable.name.startswith("TRADEWIND_"):
            yield Problem("InvalidTask", place, "names that begin with TRADEWIND_ are reserved for Tradewind")
    for position, source in enumerate(settings.env_from or ()):
        yield from check_pod_part(source, "V1EnvFromSource", f"{field}.envFrom[{position}]")
    yield from _check_resources(settings, field)
    yield from check_pod_template(settings.pod_template, f"{field}.podTemplate")


_SUFFIXES = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_SUFFIXES |= {
    "n": 1e-9,
    "u": 1e-6,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
    "Pi": 2.0**50,
    "Ei": 2.0**60,
}


def quantity(value: Any) -> float:
    """`"100m"` → 0.1, `"1Gi"` → 2³⁰. Raises ValueError if `value` is not a Kubernetes quantity."""
    text = str(value)
    number = text.rstrip("numkMGTPEi")
    if text[len(number) :] not in _SUFFIXES:
        raise ValueError(text)
    return float(number) * _SUFFIXES[text[len(number) :]]


def _check_resources(settings: TaskSettings, field: str) -> Iterator[Problem]:
    amounts: dict[str, dict[str, float]] = {"requests": {}, "limits": {}}
    for kind in amounts:
        for name, value in (getattr(settings.resources, kind, None) or {}).items():
            try:
                amounts[kind][name] = quantity(value)
            except ValueError:
                message = f"{value!r} is not a quantity, such as 500m, 2 or 1Gi"
                yield Problem("InvalidTask", f"{field}.resources.{kind}.{name}", message)
    for name, limit in amounts["limits"].items():
        if amounts["requests"].get(name, 0) > limit:
            yield Problem("InvalidTask", f"{field}.resources.requests.{name}", "is more than its limit")
