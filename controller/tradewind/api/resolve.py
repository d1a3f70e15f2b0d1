"""A Dag's spec with every default filled in: what the engine and the Pod builder work with."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any

from tradewind.api.dag import DagSpec
from tradewind.api.duration import parse_duration
from tradewind.api.pool import DEFAULT_POOL
from tradewind.api.task import Task, TaskDefaults

DEFAULT_MAX_ACTIVE_RUNS = 16
DEFAULT_MAX_ACTIVE_TASKS = 16
DEFAULT_HISTORY_LIMIT = 25
DEFAULT_RETRY_DELAY = timedelta(minutes=5)
DEFAULT_ON_LOST = 3
LONGEST_RETRY_DELAY = timedelta(hours=24)
DEFAULT_QUEUED_TIMEOUT = timedelta(minutes=10)
DEFAULT_SKIP_EXIT_CODES = frozenset({99})

_CODE_OPTION = {"node": "-e", "perl": "-e", "ruby": "-e", "Rscript": "-e"}
_SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "ash"}


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`retries` with its defaults."""

    limit: int = 0
    delay: timedelta = DEFAULT_RETRY_DELAY
    backoff: float | None = None
    max_delay: timedelta = LONGEST_RETRY_DELAY
    on_lost: int = DEFAULT_ON_LOST


@dataclass(frozen=True, slots=True)
class ResolvedTask:
    """One task as it will run: its own fields, else those of taskDefaults, else the defaults of the API."""

    name: str
    depends_on: tuple[str, ...]
    trigger_rule: str
    noop: bool
    image: str | None
    command: tuple[str, ...] | None
    args: tuple[str, ...]
    script: str | None
    interpreter: tuple[str, ...]
    env: tuple[dict[str, Any], ...]
    env_from: tuple[dict[str, Any], ...]
    working_dir: str | None
    resources: dict[str, Any]
    pod_template: dict[str, Any]
    retries: RetryPolicy
    timeout: timedelta | None
    queued_timeout: timedelta
    skip_exit_codes: frozenset[int]
    fail_exit_codes: frozenset[int]
    pool: str
    pool_slots: int


@dataclass(frozen=True, slots=True)
class ResolvedDag:
    """A whole Dag as it will run. `tasks` keeps the order of the spec."""

    spec: DagSpec
    tasks: tuple[ResolvedTask, ...]
    max_active_runs: int
    max_active_tasks: int
    run_timeout: timedelta | None
    protect_results: bool
    pod_template: dict[str, Any] = field(default_factory=dict)


def resolve(spec: DagSpec) -> ResolvedDag:
    """Fill in the defaults of a spec that validation accepted."""
    defaults = spec.task_defaults or TaskDefaults()
    return ResolvedDag(
        spec=spec,
        tasks=tuple(resolve_task(task, defaults) for task in spec.tasks),
        max_active_runs=spec.max_active_runs or DEFAULT_MAX_ACTIVE_RUNS,
        max_active_tasks=spec.max_active_tasks or DEFAULT_MAX_ACTIVE_TASKS,
        run_timeout=parse_duration(spec.run_timeout) if spec.run_timeout else None,
        protect_results=spec.result_protection == "Finalizer",
        pod_template=spec.pod_template or {},
    )


def resolve_task(task: Task, defaults: TaskDefaults) -> ResolvedTask:
    """One task with its defaults."""

    def setting(name: str, otherwise: Any = None) -> Any:
        own = getattr(task, name)
        shared = getattr(defaults, name)
        return own if own is not None else shared if shared is not None else otherwise

    timeout = setting("timeout")
    skip_codes = setting("skip_exit_codes")
    return ResolvedTask(
        name=task.name,
        depends_on=tuple(task.depends_on or ()),
        trigger_rule=task.trigger_rule or "AllSuccess",
        noop=bool(task.noop),
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
        skip_exit_codes=frozenset(skip_codes) if skip_codes is not None else DEFAULT_SKIP_EXIT_CODES,
        fail_exit_codes=frozenset(setting("fail_exit_codes", ())),
        pool=setting("pool", DEFAULT_POOL),
        pool_slots=setting("pool_slots", 1),
    )


def script_command(interpreter: tuple[str, ...]) -> list[str]:
    """The argv before the script's text: `["python3"]` → `["python3", "-c"]`; `["bash", "-e", "-c"]` is kept."""
    program = PurePosixPath(interpreter[0]).name
    if len(interpreter) == 1:
        return [interpreter[0], _CODE_OPTION.get(program, "-c")]
    return list(interpreter)


def argv(task: ResolvedTask) -> tuple[list[str] | None, list[str]]:
    """`(command, args)` of the task's container, templates not filled in. A command of None is the image's own."""
    if task.script is None:
        return (list(task.command) if task.command else None), list(task.args)
    # A shell takes the first argument after the code as $0, every other interpreter as its first argument.
    is_shell = PurePosixPath(task.interpreter[0]).name in _SHELLS
    zeroth = [task.interpreter[0]] if is_shell and task.args else []
    return script_command(task.interpreter), [task.script, *zeroth, *task.args]


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
    """The task's own podTemplate, else the one of taskDefaults (the Dag's comes under both)."""
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
