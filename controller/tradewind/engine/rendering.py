"""What templates see, and a task with its templates filled in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from tradewind.api.resolve import ResolvedTask, argv
from tradewind.api.templates import TemplateError, render
from tradewind.engine.run import RunState
from tradewind.engine.run_info import RunInfo
from tradewind.engine.task_instance import format_time

__all__ = ["RenderedTask", "TemplateError", "facts_of_try", "render_task", "template_values"]


@dataclass(frozen=True, slots=True)
class RenderedTask:
    """What is really run: `command` None is the image's own entrypoint. `env` has the task's variables, rendered."""

    command: list[str] | None
    args: list[str]
    env: list[dict[str, Any]]


def template_values(run: RunState, task: ResolvedTask, number: int) -> dict[str, Any]:
    """The values a template of this try may use: plain JSON data and nothing else."""
    info = run.info
    zone = ZoneInfo(run.dag.spec.time_zone or "UTC")
    local = info.logical_date.astimezone(zone)
    return {
        "logicalDate": format_time(info.logical_date),
        "ds": local.strftime("%Y-%m-%d"),
        "ts": local.isoformat(timespec="seconds"),
        "dataInterval": {"start": format_time(info.interval_start), "end": format_time(info.interval_end)},
        "params": dict(info.params),
        "run": {"name": info.name, "type": info.type},
        "dag": {"name": info.dag, "namespace": info.namespace},
        "task": {"name": task.name, "try": number},
        "tasks": run.outputs,
    }


def render_task(run: RunState, task: ResolvedTask, number: int) -> RenderedTask:
    """Fill in the templates of a task for one try. Raises TemplateError that names the field."""
    values = template_values(run, task, number)
    command, args = argv(task)
    # `command` is no template, but the text of a script is, and comes first among args where there is one.
    rendered = [_render(text, values, _args_field(task, index)) for index, text in enumerate(args)]
    env = []
    for variable in task.env:
        if variable.get("value") is not None:
            value = _render(variable["value"], values, f"env[{variable['name']}]")
            variable = {**variable, "value": value}
        env.append(variable)
    return RenderedTask(command, rendered, env)


def facts_of_try(info: RunInfo, task: str, number: int) -> dict[str, str]:
    """The `TRADEWIND_*` variables that every task can read."""
    return {
        "TRADEWIND_DAG": info.dag,
        "TRADEWIND_RUN": info.name,
        "TRADEWIND_NAMESPACE": info.namespace,
        "TRADEWIND_TASK": task,
        "TRADEWIND_TRY": str(number),
        "TRADEWIND_LOGICAL_DATE": format_time(info.logical_date),
    }


def _args_field(task: ResolvedTask, index: int) -> str:
    if task.script is None:
        return f"args[{index}]"
    return "script" if index == 0 else "args"


def _render(text: str, values: Mapping[str, Any], field: str) -> str:
    try:
        return render(text, values)
    except TemplateError as error:
        raise TemplateError(f"{field}: {error}") from error
