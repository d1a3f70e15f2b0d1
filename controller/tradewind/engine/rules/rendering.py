"""The values that templates see, and tasks with rendered templates."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from tradewind.api.resolve import ResolvedTask, argv
from tradewind.api.templates import FUEL, OutOfFuel, TemplateError, fuel_for, render
from tradewind.api.times import format_time
from tradewind.api.variables import MissingVariableError, explain_missing
from tradewind.engine.rules.mapping import ForEachError, for_each_of, items_of
from tradewind.engine.run.run_info import PreviousRuns, RunInfo
from tradewind.engine.run.state import RunState
from tradewind.engine.run.task_node import TaskNode
from tradewind.engine.run.tries import TryKey

__all__ = [
    "OutOfFuel",
    "RenderedTask",
    "TemplateError",
    "facts_of_try",
    "item_values",
    "known_items",
    "render_a_little",
    "render_field",
    "render_task",
    "render_values",
    "template_values",
]

_NO_PREVIOUS = ": there is no such previous run; set a default, as in `prevLogicalDate | default(logicalDate)`"


@dataclass(frozen=True, slots=True)
class RenderedTask:
    """The rendered fields of a task. `command` None means the entrypoint of the image."""

    command: list[str] | None
    args: list[str]
    env: list[dict[str, Any]]


def template_values(run: RunState, task: ResolvedTask, number: int, index: int | None = None) -> dict[str, Any]:
    """The values that templates of this try may use: only JSON data, with the current variables."""
    values = {
        **_run_values(run),
        "task": {"name": task.name, "try": number},
        "tasks": _outputs(run, task, index),
        "vars": run.variables(),
    }
    if index is None:
        return values
    values["task"]["index"] = values["index"] = index
    items = known_items(run, run.node(task.name))
    if index >= len(items):
        raise TemplateError(f"item {index} does not exist: forEach has {len(items)} items")
    values["item"] = items[index]
    return values


def known_items(run: RunState, node: TaskNode) -> list[Any]:
    """The items of a mapped task; evaluated again after a restart, because status does not have them."""
    if node.items is None:
        try:
            node.items = items_of(run, for_each_of(run, node.task), item_values(run, node.task))
        except ForEachError:
            node.items = []
    return node.items


def item_values(run: RunState, task: ResolvedTask) -> dict[str, Any]:
    """The values that templates in forEach may use: no variables, because those may change and the items must not."""
    return {**_run_values(run), "task": {"name": task.name}, "tasks": run.outputs}


def _run_values(run: RunState) -> dict[str, Any]:
    info = run.info
    zone = ZoneInfo(run.dag.spec.time_zone or "UTC")
    try:
        local = info.logical_date.astimezone(zone)
        start_ds, end_ds = (
            moment.astimezone(zone).date().isoformat() for moment in (info.interval_start, info.interval_end)
        )
    except OverflowError as error:
        raise TemplateError(f"the logical date is too far from now for the time zone {zone}") from error
    ds, ts = local.date().isoformat(), local.isoformat(timespec="seconds")
    return {
        "logicalDate": format_time(info.logical_date),
        "ds": ds,
        "ts": ts,
        "dsNodash": ds.replace("-", ""),
        "tsNodash": ts[:19].replace("-", "").replace(":", ""),
        "dataInterval": {
            "start": format_time(info.interval_start),
            "end": format_time(info.interval_end),
            "startDs": start_ds,
            "endDs": end_ds,
        },
        "params": dict(info.params),
        "run": {"name": info.name, "type": info.type},
        "dag": {"name": info.dag, "namespace": info.namespace},
        **_previous(info.previous or PreviousRuns()),
    }


def _outputs(run: RunState, task: ResolvedTask, index: int | None) -> dict[str, Any]:
    """`tasks`: outputs by task; in a mapped group, outputs of the group's other tasks are those of the same index."""
    if index is None or task.mapped_group is None:
        return run.outputs
    outputs = dict(run.outputs)
    for name in run.dag.groups[task.mapped_group].tasks:
        node = run.node(name)
        has_output, output = node.output_of(index if node.count else None)
        for alias in (name, name.replace("-", "_")):
            outputs[alias] = {"output": output} if has_output else {}
    return outputs


def render_task(run: RunState, task: ResolvedTask, number: int, index: int | None = None) -> RenderedTask:
    """Render the templates of a task for one try. Raises a TemplateError that names the field."""
    return render_values(task, template_values(run, task, number, index))


def render_a_little(task: ResolvedTask, values: Mapping[str, Any]) -> RenderedTask:
    """Render a task from `template_values` with little fuel. Raises OutOfFuel if it would block the event loop."""
    command, args = argv(task)
    texts = [*(command or ()), *args, *(variable.get("value") or "" for variable in task.env)]
    return render_values(task, values, fuel_for(texts, values))


def render_values(task: ResolvedTask, values: Mapping[str, Any], fuel: int = FUEL) -> RenderedTask:
    """Render a task from `template_values` with `fuel` for each template."""
    command, args = argv(task)
    if task.script is None and command is not None:
        command = [_render(text, values, f"command[{place}]", fuel) for place, text in enumerate(command)]
    # The text of a script is the first of args; its interpreter is not a template.
    rendered = [_render(text, values, _args_field(task, place), fuel) for place, text in enumerate(args)]
    env = []
    for variable in task.env:
        if variable.get("value") is not None:
            value = _render(variable["value"], values, f"env[{variable['name']}]", fuel)
            variable = {**variable, "value": value}
        env.append(variable)
    return RenderedTask(command, rendered, env)


def render_field(run: RunState, task: ResolvedTask, number: int, index: int | None, text: str, field: str) -> str:
    """Render one template of a task. Raises a TemplateError that names the field."""
    values = template_values(run, task, number, index)
    return _render(text, values, field, fuel_for([text], values))


def _previous(runs: PreviousRuns) -> dict[str, str]:
    """Variables without a run are undefined, not null: a template without a default fails, instead of querying a
    database for the date "none"."""
    moments = {
        "prevLogicalDate": runs.logical_date,
        "prevDataIntervalStartSuccess": runs.interval_start_success,
        "prevDataIntervalEndSuccess": runs.interval_end_success,
        "prevStartDateSuccess": runs.started_at_success,
        "prevEndDateSuccess": runs.finished_at_success,
    }
    return {name: format_time(moment) for name, moment in moments.items() if moment is not None}


def facts_of_try(info: RunInfo, key: TryKey) -> dict[str, str]:
    """The `TRADEWIND_*` variables that every task can read."""
    facts = {
        "TRADEWIND_DAG": info.dag,
        "TRADEWIND_RUN": info.name,
        "TRADEWIND_NAMESPACE": info.namespace,
        "TRADEWIND_TASK": key.task,
        "TRADEWIND_TRY": str(key.number),
        "TRADEWIND_LOGICAL_DATE": format_time(info.logical_date),
        "TRADEWIND_DATA_INTERVAL_START": format_time(info.interval_start),
        "TRADEWIND_DATA_INTERVAL_END": format_time(info.interval_end),
    }
    if key.index is not None:
        facts["TRADEWIND_INDEX"] = str(key.index)
    if key.poke:
        facts["TRADEWIND_POKE"] = str(key.poke)
    return facts


def _args_field(task: ResolvedTask, place: int) -> str:
    if task.script is None:
        return f"args[{place}]"
    return "script" if place == 0 else "args"


def _render(text: str, values: Mapping[str, Any], field: str, fuel: int) -> str:
    try:
        return render(text, values, fuel)
    except OutOfFuel as error:
        raise OutOfFuel(f"{field}: {error}") from error
    except TemplateError as error:
        missing = explain_missing(values["vars"], str(error))
        if missing:
            raise MissingVariableError(f"{field}: {error}{missing}") from error
        why = _NO_PREVIOUS if "`prev" in str(error) else ""
        raise TemplateError(f"{field}: {error}{why}") from error
