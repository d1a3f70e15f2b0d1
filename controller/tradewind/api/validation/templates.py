"""Whether every template can be read and uses only what there will be when its task starts."""

import difflib
from collections.abc import Iterator, Mapping, Sequence

from tradewind.api.dag import DagSpec
from tradewind.api.task import Task, TaskDefaults
from tradewind.api.templates import TOP_LEVEL, TemplateError, references
from tradewind.api.validation.problem import Problem


def check_templates(spec: DagSpec) -> list[Problem]:
    """Syntax, names that do not exist, and outputs of tasks that may not have run yet."""
    upstream = {task.name: tuple(task.depends_on or ()) for task in spec.tasks}
    defaults = spec.task_defaults or TaskDefaults()
    problems: list[Problem] = []
    for variable in defaults.env or ():
        problems += _check(variable.value or "", f"spec.taskDefaults.env[{variable.name}]", spec, None, upstream)
    for task in spec.tasks:
        for field, text in _templates(task):
            problems += _check(text, f"spec.tasks[{task.name}].{field}", spec, task.name, upstream)
    return problems


def _templates(task: Task) -> Iterator[tuple[str, str]]:
    for position, argument in enumerate(task.args or ()):
        yield f"args[{position}]", argument
    for variable in task.env or ():
        yield f"env[{variable.name}]", variable.value or ""
    yield "script", task.script or ""


def _check(
    text: str, field: str, spec: DagSpec, task: str | None, upstream: Mapping[str, Sequence[str]]
) -> Iterator[Problem]:
    try:
        used = references(text)
    except TemplateError as error:
        yield Problem("InvalidTemplate", field, str(error))
        return
    for name in sorted(used):
        top, _, rest = name.partition(".")
        if top not in TOP_LEVEL:
            near = difflib.get_close_matches(top, TOP_LEVEL, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(TOP_LEVEL)}"
            yield Problem("InvalidTemplate", field, f"{top!r} is unknown; {hint}")
        elif top == "params" and rest and rest.split(".")[0] not in (spec.params or {}):
            yield Problem("InvalidTemplate", field, f"the Dag has no param {rest.split('.')[0]!r}")
        elif top == "tasks" and rest and task is not None:
            yield from _check_task_reference(rest.split(".")[0], field, task, upstream)


def _check_task_reference(name: str, field: str, task: str, upstream: Mapping[str, Sequence[str]]) -> Iterator[Problem]:
    named = {alias: real for real in upstream for alias in (real, real.replace("-", "_"))}
    if name not in named:
        near = difflib.get_close_matches(name, named, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        yield Problem("InvalidTemplate", field, f"there is no task {name!r}{hint}")
    elif named[name] not in ancestors(task, upstream):
        message = f"uses the output of {named[name]!r}, which is not upstream: add it to dependsOn"
        yield Problem("InvalidTemplate", field, message)


def ancestors(task: str, upstream: Mapping[str, Sequence[str]]) -> set[str]:
    """Every task that has finished when `task` starts."""
    found: set[str] = set()
    left = list(upstream.get(task, ()))
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left.extend(upstream.get(name, ()))
    return found
