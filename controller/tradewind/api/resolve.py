"""Builds a Dag with all defaults, for the engine and the Pod builder."""

import re
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any

from tradewind.api.dag import DagSpec
from tradewind.api.duration import parse_duration
from tradewind.api.groups import Groups
from tradewind.api.kinds import task_kind
from tradewind.api.mapping import ForEach, Source, resolve_for_each
from tradewind.api.pool import DEFAULT_POOL
from tradewind.api.resolved import (
    DEFAULT_MAX_MAP_LENGTH,
    DEFAULT_ON_LOST,
    DEFAULT_RETRY_DELAY,
    DEFAULT_SENSOR_INTERVAL,
    DEFAULT_SENSOR_TIMEOUT,
    LONGEST_RETRY_DELAY,
    ResolvedDag,
    ResolvedGroup,
    ResolvedSensor,
    ResolvedTask,
    RetryPolicy,
)
from tradewind.api.sensor import Sensor
from tradewind.api.short_circuit import ShortCircuitOptions
from tradewind.api.task import Task, TaskDefaults

DEFAULT_MAX_ACTIVE_RUNS = 16
DEFAULT_MAX_ACTIVE_TASKS = 16
DEFAULT_HISTORY_LIMIT = 25
DEFAULT_POD_RETENTION = "1d"
DEFAULT_QUEUED_TIMEOUT = timedelta(minutes=10)
DEFAULT_SKIP_EXIT_CODES = frozenset({99})

_PREVIOUS = re.compile(r"\bprev(LogicalDate|DataInterval|StartDate|EndDate)")
_CODE_OPTION = {"node": "-e", "perl": "-e", "ruby": "-e", "Rscript": "-e"}
_SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "ash"}

__all__ = [
    "DEFAULT_HISTORY_LIMIT",
    "DEFAULT_MAX_ACTIVE_RUNS",
    "DEFAULT_MAX_ACTIVE_TASKS",
    "DEFAULT_MAX_MAP_LENGTH",
    "DEFAULT_ON_LOST",
    "DEFAULT_POD_RETENTION",
    "DEFAULT_QUEUED_TIMEOUT",
    "DEFAULT_RETRY_DELAY",
    "DEFAULT_SENSOR_INTERVAL",
    "DEFAULT_SENSOR_TIMEOUT",
    "DEFAULT_SKIP_EXIT_CODES",
    "LONGEST_RETRY_DELAY",
    "ForEach",
    "ResolvedDag",
    "ResolvedGroup",
    "ResolvedSensor",
    "ResolvedTask",
    "RetryPolicy",
    "Source",
    "argv",
    "resolve",
    "resolve_task",
    "script_command",
]


def resolve(spec: DagSpec) -> ResolvedDag:
    """Return the spec with all defaults. It must have passed validation."""
    defaults = spec.task_defaults or TaskDefaults()
    groups = Groups(spec)
    tasks = tuple(resolve_task(task, defaults, groups) for task in spec.tasks)
    return ResolvedDag(
        spec=spec,
        tasks=tasks,
        groups={name: _resolve_group(name, groups) for name in groups.named},
        max_active_runs=spec.max_active_runs or DEFAULT_MAX_ACTIVE_RUNS,
        max_active_tasks=spec.max_active_tasks or DEFAULT_MAX_ACTIVE_TASKS,
        max_consecutive_failed_runs=spec.max_consecutive_failed_runs or 0,
        max_map_length=spec.max_map_length or DEFAULT_MAX_MAP_LENGTH,
        fail_fast=bool(spec.fail_fast),
        run_timeout=parse_duration(spec.run_timeout) if spec.run_timeout else None,
        protect_results=spec.result_protection == "Finalizer",
        pod_template=spec.pod_template or {},
        needs_previous_runs=any(task.depends_on_past for task in tasks) or _uses_previous_run_values(spec),
    )


def _uses_previous_run_values(spec: DagSpec) -> bool:
    """True if a template may use prevLogicalDate or a similar value. A false positive does no harm."""
    texts = spec.model_dump_json(include={"tasks", "task_defaults", "groups"}, exclude_unset=True)
    return _PREVIOUS.search(texts) is not None


def resolve_task(task: Task, defaults: TaskDefaults, groups: Groups) -> ResolvedTask:
    """Return one task with its defaults."""

    def setting(name: str, otherwise: Any = None) -> Any:
        own = getattr(task, name)
        shared = getattr(defaults, name)
        return own if own is not None else shared if shared is not None else otherwise

    kind, timeout = task_kind(task), setting("timeout")
    skip_codes = setting("skip_exit_codes")
    return ResolvedTask(
        name=task.name,
        kind=kind,
        spec=task,
        depends_on=groups.dependencies(task),
        trigger_rule=task.trigger_rule or ("AllDoneSetupSuccess" if task.teardown else "AllSuccess"),
        image=setting("image"),
        command=tuple(task.command) if task.command else None,
        args=tuple(task.args or ()),
        script=task.script,
        interpreter=tuple(setting("interpreter", ("sh", "-c"))),
        env=_merged_env(task, defaults),
        env_from=tuple(setting("env_from", ())),
        working_dir=setting("working_dir"),
        resources=_merged_resources(task, defaults),
        pod_template=_merged_template(task, defaults),
        retries=_retry_policy(task, defaults),
        timeout=parse_duration(timeout) if timeout else None,
        queued_timeout=parse_duration(setting("queued_timeout", "10m")),
        queued_timeout_set=setting("queued_timeout") is not None,
        skip_exit_codes=frozenset(skip_codes) if skip_codes is not None else DEFAULT_SKIP_EXIT_CODES,
        fail_exit_codes=frozenset(setting("fail_exit_codes", ())),
        success_after_deletion=bool(setting("success_after_deletion")),
        pool=setting("pool", DEFAULT_POOL),
        pool_slots=setting("pool_slots", 1),
        group=task.group,
        mapped_group=groups.mapped(task.group),
        for_each=resolve_for_each(task.for_each, task.combine),
        branch=bool(task.branch),
        short_circuit=bool(task.short_circuit),
        respect_trigger_rules=isinstance(task.short_circuit, ShortCircuitOptions)
        and bool(task.short_circuit.respect_trigger_rules),
        sensor=_resolve_sensor(task.sensor) if task.sensor or kind.waits else None,
        setup=bool(task.setup),
        teardown=task.teardown is not None,
        teardown_setups=tuple(task.teardown.setups) if task.teardown else (),
        on_failure_fail_run=bool(task.teardown and task.teardown.on_failure_fail_run),
        depends_on_past=bool(setting("depends_on_past") or setting("wait_for_downstream")),
        wait_for_downstream=bool(setting("wait_for_downstream")),
        priority_weight=setting("priority_weight", 1),
        weight_rule=setting("weight_rule", "Downstream"),
        max_active_per_dag=setting("max_active_per_dag"),
        max_active_per_run=setting("max_active_per_run"),
        connections=tuple(setting("connections", ())),
    )


def script_command(interpreter: tuple[str, ...]) -> list[str]:
    """Return the argv before the script's text: `["bash", "-eu"]` → `["bash", "-eu", "-c"]`; `["bash", "-ec"]` is
    kept."""
    program = PurePosixPath(interpreter[0]).name
    options = [word for word in interpreter[1:] if word.startswith("-") and not word.startswith("--")]
    option = _CODE_OPTION.get(program, "-c")
    if program in _SHELLS:
        is_there = any(option[1] in word for word in options)
    elif len(interpreter) == 1:
        is_there = False
    else:
        # Other arguments may be intended: a module or a file that takes the script as its argument.
        only_options = len(options) == len(interpreter) - 1
        known = program in _CODE_OPTION or program.startswith("python")
        is_there = not known or not only_options or any(word.endswith((option[1], "-m")) for word in options)
    return [*interpreter] if is_there else [*interpreter, option]


def argv(task: ResolvedTask) -> tuple[list[str] | None, list[str]]:
    """Return `(command, args)` of the task's container, before templates are rendered. A command of None is the image's
    entrypoint."""
    if task.script is None:
        return (list(task.command) if task.command else None), list(task.args)
    # A shell takes the first argument after the code as $0, any other interpreter as its first argument.
    is_shell = PurePosixPath(task.interpreter[0]).name in _SHELLS
    zeroth = [task.interpreter[0]] if is_shell and task.args else []
    return script_command(task.interpreter), [task.script, *zeroth, *task.args]


def _resolve_group(name: str, groups: Groups) -> ResolvedGroup:
    group, expanded = groups.named[name], groups.by_name[name]
    return ResolvedGroup(
        name=name,
        parent=group.group,
        tasks=expanded.tasks,
        roots=expanded.roots,
        leaves=expanded.leaves,
        for_each=resolve_for_each(group.for_each, group.combine),
    )


def _resolve_sensor(sensor: Sensor | None) -> ResolvedSensor:
    sensor = sensor or Sensor()
    return ResolvedSensor(
        mode=sensor.mode or "Poke",
        interval=parse_duration(sensor.interval) if sensor.interval else DEFAULT_SENSOR_INTERVAL,
        timeout=parse_duration(sensor.timeout) if sensor.timeout else DEFAULT_SENSOR_TIMEOUT,
        soft_fail=bool(sensor.soft_fail),
        retry_exit_code=sensor.retry_exit_code,
    )


def _merged_env(task: Task, defaults: TaskDefaults) -> tuple[dict[str, Any], ...]:
    merged = {variable.name: variable.to_dict() for variable in (*(defaults.env or ()), *(task.env or ()))}
    return tuple(merged.values())


def _merged_resources(task: Task, defaults: TaskDefaults) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for source in (defaults.resources, task.resources):
        for kind, amounts in (source.to_dict() if source else {}).items():
            merged[kind] = {**merged.get(kind, {}), **amounts}
    return merged


def _merged_template(task: Task, defaults: TaskDefaults) -> dict[str, Any]:
    """Return the task's own podTemplate, or else that of taskDefaults. The Dag's podTemplate is merged later, under
    both."""
    return task.pod_template if task.pod_template is not None else defaults.pod_template or {}


def _retry_policy(task: Task, defaults: TaskDefaults) -> RetryPolicy:
    merged: dict[str, Any] = {}
    for source in (defaults.retries, task.retries):
        if source:
            merged |= source.model_dump(exclude_none=True)
    for name in ("delay", "max_delay"):
        if name in merged:
            merged[name] = min(parse_duration(merged[name]), LONGEST_RETRY_DELAY)
    return RetryPolicy(**merged)
