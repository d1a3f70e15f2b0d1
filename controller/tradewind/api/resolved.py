"""A Dag with all defaults, as the engine and the Pod builder use it."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tradewind.api.dag import DagSpec
from tradewind.api.kinds import TaskKind
from tradewind.api.mapping import ForEach
from tradewind.api.sensor import SensorMode
from tradewind.api.task import Task, WeightRuleName

DEFAULT_RETRY_DELAY = timedelta(minutes=5)
DEFAULT_ON_LOST = 3
LONGEST_RETRY_DELAY = timedelta(hours=24)
DEFAULT_MAX_MAP_LENGTH = 1024
DEFAULT_SENSOR_INTERVAL = timedelta(minutes=1)
DEFAULT_SENSOR_TIMEOUT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`retries` with its defaults."""

    limit: int = 0
    delay: timedelta = DEFAULT_RETRY_DELAY
    backoff: float | None = None
    max_delay: timedelta = LONGEST_RETRY_DELAY
    on_lost: int = DEFAULT_ON_LOST


@dataclass(frozen=True, slots=True)
class ResolvedSensor:
    """`sensor` with its defaults. Of a task that waits without Pods only `timeout` and `soft_fail` apply."""

    mode: SensorMode = "Poke"
    interval: timedelta = DEFAULT_SENSOR_INTERVAL
    timeout: timedelta = DEFAULT_SENSOR_TIMEOUT
    soft_fail: bool = False
    retry_exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class ResolvedTask:
    """One task as it will run: its own fields, then those of taskDefaults, then the defaults of the API.

    `depends_on` names only tasks: groups are expanded and implied dependencies added. `group` is the innermost group,
    `mapped_group` the enclosing group with forEach, at any depth; `for_each` is the task's own mapping. `sensor` is set
    for every task with `sensor` and for every one that waits. `spec` is the task as it is written, with the field of
    its kind.
    """

    name: str
    kind: TaskKind
    spec: Task
    depends_on: tuple[str, ...]
    trigger_rule: str
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
    success_after_deletion: bool
    pool: str
    pool_slots: int
    group: str | None = None
    mapped_group: str | None = None
    for_each: ForEach | None = None
    branch: bool = False
    short_circuit: bool = False
    respect_trigger_rules: bool = False
    sensor: ResolvedSensor | None = None
    setup: bool = False
    teardown: bool = False
    teardown_setups: tuple[str, ...] = ()
    on_failure_fail_run: bool = False
    depends_on_past: bool = False
    wait_for_downstream: bool = False
    priority_weight: int = 1
    weight_rule: WeightRuleName = "Downstream"
    max_active_per_dag: int | None = None
    max_active_per_run: int | None = None
    connections: tuple[str, ...] = ()
    queued_timeout_set: bool = False
    """True if `queuedTimeout` is set explicitly: then it also counts the time waiting for a node."""


@dataclass(frozen=True, slots=True)
class ResolvedGroup:
    """One group. `tasks` are all its tasks, including those of nested groups, in the order of the spec; `roots` depend
    on no task of the group; tasks that depend on the group wait for its `leaves`."""

    name: str
    parent: str | None
    tasks: tuple[str, ...]
    roots: tuple[str, ...]
    leaves: tuple[str, ...]
    for_each: ForEach | None


@dataclass(frozen=True, slots=True)
class ResolvedDag:
    """A whole Dag as it will run. `tasks` and `groups` keep the order of the spec. `max_consecutive_failed_runs` is 0
    if failures never suspend the Dag. `needs_previous_runs` is true if a task depends on earlier runs or a template
    uses their values."""

    spec: DagSpec
    tasks: tuple[ResolvedTask, ...]
    max_active_runs: int
    max_active_tasks: int
    run_timeout: timedelta | None
    protect_results: bool
    fail_fast: bool = False
    max_consecutive_failed_runs: int = 0
    max_map_length: int = DEFAULT_MAX_MAP_LENGTH
    groups: dict[str, ResolvedGroup] = field(default_factory=dict)
    pod_template: dict[str, Any] = field(default_factory=dict)
    needs_previous_runs: bool = False
