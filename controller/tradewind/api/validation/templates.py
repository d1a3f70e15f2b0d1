"""Validation of templates: each can be parsed and uses only values that exist when its task starts."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tradewind.api.dag import DagSpec
from tradewind.api.groups import Groups
from tradewind.api.kinds import task_kind
from tradewind.api.mapping import source_list
from tradewind.api.task import Task
from tradewind.api.task_group import TaskGroup
from tradewind.api.templates import TOP_LEVEL, TemplateError, references
from tradewind.api.validation.kinds import VALIDATORS
from tradewind.api.validation.known import Known
from tradewind.api.validation.mapping import source_fields
from tradewind.api.validation.order import Upstream, dependency_graph, start_of
from tradewind.api.validation.problem import Problem


@dataclass(frozen=True, slots=True)
class _Scope:
    """The values that templates of one place may use.

    `node` is the node of the dependency graph whose upstream tasks have finished; `outputs` is whether their outputs
    can be used. `mapped` is whether there is an item, and `item_names` its fields if they are known. In taskDefaults
    both `node` and `mapped` are None: unknown. `variables` is whether `vars` exists.
    """

    params: Collection[str]
    tasks: Mapping[str, str]
    known_tasks: Known
    known_values: Known
    upstream: Upstream
    node: str | None = None
    outputs: bool = True
    mapped: bool | None = None
    item_names: tuple[str, ...] = ()
    variables: bool = True


def check_templates(spec: DagSpec, groups: Groups) -> list[Problem]:
    """Check syntax, unknown names, outputs of tasks that may not have run yet, and items outside of a mapping."""
    tasks = {alias: task.name for task in spec.tasks for alias in (task.name, task.name.replace("-", "_"))}
    upstream = Upstream(dependency_graph(spec, groups))
    shared = _Scope(spec.params or {}, tasks, Known("task", tasks), Known("value", TOP_LEVEL), upstream)
    problems: list[Problem] = []
    for variable in (spec.task_defaults.env if spec.task_defaults else None) or ():
        problems += _check(variable.value or "", f"spec.taskDefaults.env[{variable.name}]", shared)
    for task in spec.tasks:
        mapping = task if task.for_each else groups.named.get(groups.mapped(task.group) or "")
        names = tuple(source.name for source in source_list(mapping.for_each) if source.name) if mapping else ()
        inside = replace(shared, node=task.name, mapped=mapping is not None, item_names=names)
        for field, text in _templates(task):
            problems += _check(text, f"spec.tasks[{task.name}].{field}", inside)
        for field, text in _item_templates(task):
            problems += _check(text, f"spec.tasks[{task.name}].{field}", replace(inside, mapped=False, variables=False))
    for name, group in groups.named.items():
        before = replace(shared, node=start_of(name), outputs=False, mapped=False, variables=False)
        for field, text in _item_templates(group):
            problems += _check(text, f"spec.groups[{name}].{field}", before)
    return problems


def _templates(task: Task) -> Iterator[tuple[str, str]]:
    for position, argument in enumerate(task.command or ()):
        yield f"command[{position}]", argument
    for position, argument in enumerate(task.args or ()):
        yield f"args[{position}]", argument
    for variable in task.env or ():
        yield f"env[{variable.name}]", variable.value or ""
    yield "script", task.script or ""
    yield from VALIDATORS[task_kind(task).name].templates(task)


def _item_templates(item: Task | TaskGroup) -> Iterator[tuple[str, str]]:
    """Yield the templates among the items of a mapping; they are rendered before there is an item."""
    for field, source in source_fields(item.for_each):
        for position, value in enumerate(source.items or ()):
            for text in _strings(value):
                yield f"{field}.items[{position}]", text


def _strings(value: Any) -> Iterator[str]:
    left = [value]
    while left:
        here = left.pop()
        if isinstance(here, str):
            yield here
        elif isinstance(here, list):
            left += here
        elif isinstance(here, dict):
            left += here.values()


_AIRFLOW_VALUES = {
    "ti": "tasks.NAME.output",
    "task_instance": "tasks.NAME.output",
    "execution_date": "logicalDate",
    "data_interval_start": "dataInterval.start",
    "data_interval_end": "dataInterval.end",
    "ds_nodash": "dsNodash",
    "ts_nodash": "tsNodash",
    "dag_run": "run.name, or params for its conf",
    "run_id": "run.name",
    "var": "vars.CONFIGMAP.KEY",
    "conn": "the environment variables of connections",
    "prev_data_interval_start_success": "prevDataIntervalStartSuccess",
    "prev_data_interval_end_success": "prevDataIntervalEndSuccess",
    "prev_start_date_success": "prevStartDateSuccess",
    "prev_end_date_success": "prevEndDateSuccess",
}
"""Values of Airflow's templates, and their replacement."""


def _check(text: str, field: str, scope: _Scope) -> Iterator[Problem]:
    try:
        used = references(text)
    except TemplateError as error:
        yield Problem("InvalidTemplate", field, str(error))
        return
    for name in sorted(used):
        top, *rest = name.split(".")
        if top not in TOP_LEVEL:
            near = scope.known_values.near(top)
            if top in _AIRFLOW_VALUES:
                hint = f"use {_AIRFLOW_VALUES[top]}"
            else:
                hint = f"did you mean {near}?" if near else f"available values: {', '.join(TOP_LEVEL)}"
            yield Problem("InvalidTemplate", field, f"{top!r} is unknown; {hint}")
        elif top == "params" and rest and rest[0] not in scope.params:
            yield Problem("InvalidTemplate", field, f"the Dag has no param {rest[0]!r}")
        elif top == "tasks" and not scope.outputs:
            message = "items cannot use outputs of tasks: map over {output: <task>.<field>} instead"
            yield Problem("InvalidTemplate", field, message)
        elif top == "tasks" and rest and scope.node is not None:
            yield from _check_task_reference(rest[0], field, scope, scope.node)
        elif top == "vars" and not scope.variables:
            message = "vars can change during a run, but items cannot: use vars in args or env, or use a param"
            yield Problem("InvalidTemplate", field, message)
        elif top in ("item", "index") or (top == "task" and rest[:1] == ["index"]):
            yield from _check_item(name, rest, field, scope)


def _check_task_reference(name: str, field: str, scope: _Scope, node: str) -> Iterator[Problem]:
    if name not in scope.tasks:
        yield Problem("InvalidTemplate", field, scope.known_tasks.unknown(name))
    elif not scope.upstream.has(node, scope.tasks[name]):
        message = f"uses the output of {scope.tasks[name]!r}, which is not upstream: add it to dependsOn"
        yield Problem("InvalidTemplate", field, message)


def _check_item(name: str, rest: list[str], field: str, scope: _Scope) -> Iterator[Problem]:
    if scope.mapped is False:
        message = f"{name} exists only in a mapped task: add forEach to the task or to its group"
        yield Problem("InvalidTemplate", field, message)
    elif name.startswith("item.") and scope.item_names and rest[0] not in scope.item_names:
        message = f"the item has no {rest[0]!r}; forEach names {', '.join(scope.item_names)}"
        yield Problem("InvalidTemplate", field, message)
