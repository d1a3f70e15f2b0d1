"""The Dag resource: tasks, their order, and when they run."""

from typing import Annotated, Literal

from pydantic import Field

from tradewind.api.mapping import MAX_MAP_LENGTH
from tradewind.api.meta import Condition, ObjectMeta
from tradewind.api.model import (
    LIST_ATOMIC,
    LIST_SET,
    Duration,
    FreeObject,
    Json,
    Model,
    Timestamp,
    list_map,
)
from tradewind.api.names import MAX_DAG_NAME
from tradewind.api.schedule import Every, Schedule
from tradewind.api.task import Task, TaskDefaults
from tradewind.api.task_group import TaskGroup


class DagSpec(Model):
    """What the Dag does and when. Editing it never changes a run that has started: each run keeps the revision it began
    with."""

    description: Annotated[str, Field(max_length=1024)] | None = None
    """One line that says what the Dag is for."""
    docs: Annotated[str, Field(max_length=65536)] | None = None
    """Longer documentation, in Markdown."""
    owner: Annotated[str, Field(max_length=253)] | None = None
    """Who to ask: a team or a person."""
    tags: (
        Annotated[
            list[Annotated[str, Field(min_length=1, max_length=100)]],
            Field(max_length=64, json_schema_extra=LIST_SET),
        ]
        | None
    ) = None
    """Words to find the Dag by."""
    schedule: Schedule | None = None
    """When runs start: a cron expression of five fields (`"0 6 * * *"`), one of @once @continuous @hourly @daily
    @weekly @monthly @quarterly @yearly, or `{every: 15m}`. Without it the Dag runs only when asked."""
    schedules: Annotated[list[Schedule], Field(min_length=1, max_length=16, json_schema_extra=LIST_ATOMIC)] | None = (
        None
    )
    """Several schedules in place of one: a run starts at every moment that any of them names, one where several do."""
    time_zone: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """IANA time zone in which cron expressions are read, for example Europe/Berlin. Default: UTC."""
    start_date: Timestamp | None = None
    """No scheduled run has a logical date before this. Default: the time the Dag was made."""
    end_date: Timestamp | None = None
    """No scheduled run has a logical date after this."""
    catchup: bool | None = None
    """Whether ticks that were missed (before the Dag was made, while it was suspended or the controller was down) each
    get a run; if not, only the latest of them does. Default: false."""
    starting_deadline: Duration | None = None
    """A tick that could not be started within this time after it was due is passed over."""
    suspend: bool | None = None
    """While true no scheduled run starts; runs that have started go on. Default: false."""
    max_active_runs: Annotated[int, Field(ge=1, le=10000)] | None = None
    """How many runs of this Dag may be running at once; others wait as Queued. Those of a Backfill do not count:
    it has a limit of its own. Default: 16; with @continuous always 1."""
    max_active_tasks: Annotated[int, Field(ge=1, le=100000)] | None = None
    """How many tasks of one run may be queued or running at once. Default: 16."""
    max_consecutive_failed_runs: Annotated[int, Field(ge=0, le=10000)] | None = None
    """After so many failed runs in a row the Dag is suspended, with an Event; 0 for never. Default: 0."""
    max_map_length: Annotated[int, Field(ge=1, le=MAX_MAP_LENGTH)] | None = None
    """How many instances forEach may make of one task or group; with more the task fails. Default: 1024."""
    fail_fast: bool | None = None
    """Whether the first task that fails ends the run: tasks that run are stopped, the others are skipped, and only
    teardowns still run. Default: false."""
    run_timeout: Duration | None = None
    """Longest time a run may take; then it fails and what has not finished is skipped."""
    successful_runs_history_limit: Annotated[int, Field(ge=0, le=100000)] | None = None
    """How many succeeded runs are kept; older ones are deleted together with their Pods. Default: 25."""
    failed_runs_history_limit: Annotated[int, Field(ge=0, le=100000)] | None = None
    """How many failed runs are kept; older ones are deleted together with their Pods. Default: 25."""
    result_protection: Literal["None", "Finalizer"] | None = None
    """How the result of a try is kept safe. None: a Pod that finished and was deleted while no controller watched is
    made again. Finalizer: each Pod stays until its result is in the run's status. Default: None."""
    pod_retention: Duration | None = None
    """How long the Pods (and so the logs) of a finished run are kept, unless the run itself is deleted earlier.
    Default: 1d."""
    params: Annotated[dict[str, Json], Field(max_length=128)] | None = None
    """Parameters of a run, by name: for each a JSON Schema, with `default` for the value when none is given. A
    parameter without a default must be given. A schema has at most 16 KiB without its default, all values together at
    most 256 KiB, and what would be too much work to check is refused."""
    task_defaults: TaskDefaults | None = None
    """Settings for every task; a task's own fields win."""
    pod_template: FreeObject | None = None
    """Anything else of every task's Pod (`metadata` and `spec`: volumes, node selector, service account, …), merged as
    `kubectl patch` (strategic merge) would; the task's container is named `task`."""
    groups: Annotated[list[TaskGroup], Field(max_length=500, json_schema_extra=list_map("name"))] | None = None
    """Groups of tasks; a task says by its field `group` which it is in, and a group likewise."""
    tasks: Annotated[list[Task], Field(min_length=1, max_length=2000, json_schema_extra=list_map("name"))]
    """The tasks, in any order; `dependsOn` says what comes after what."""

    @property
    def all_schedules(self) -> tuple[str | Every, ...]:
        """`schedule` or `schedules`, whichever is given; empty where the Dag runs only when asked."""
        one = () if self.schedule is None else (self.schedule,)
        return (*one, *(self.schedules or ()))


class DagStatus(Model):
    """What the controller found and did."""

    observed_generation: int | None = None
    """Generation of the spec that this status speaks of."""
    conditions: Annotated[list[Condition], Field(json_schema_extra=list_map("type"))] | None = None
    """Accepted: whether the Dag can run, or what is wrong with it. Scheduled: whether it runs by itself, and if not,
    why. Ready: the same as Accepted, for tools that know nothing of Dags."""
    revision: str | None = None
    """Content hash of the accepted spec; a run names the revision it runs."""
    schedule: str | None = None
    """The schedule in words."""
    active_runs: int | None = None
    """Runs that are Queued or Running, those of Backfills left out."""
    last_schedule_time: Timestamp | None = None
    """Logical date of the last tick that got a run (or was passed over)."""
    next_schedule_time: Timestamp | None = None
    """Logical date of the next tick."""
    last_run: str | None = None
    """Name of the run that finished last."""
    last_run_phase: str | None = None
    """How that run ended: Succeeded or Failed."""
    last_run_finish_time: Timestamp | None = None
    """When that run ended."""
    last_run_resource_version: str | None = None
    """Its resourceVersion then, with maxConsecutiveFailedRuns: runs that ended later have a later one."""
    consecutive_failed_runs: int | None = None
    """Runs that failed in a row, with maxConsecutiveFailedRuns: since the last that succeeded, and since the Dag was
    last resumed."""


class Dag(Model):
    """A Dag: tasks, their order, and when they run. Each run of it is a DagRun."""

    api_version: Literal["tradewind.dev/v1alpha1"]
    kind: Literal["Dag"]
    metadata: ObjectMeta
    spec: DagSpec
    status: DagStatus | None = None


DAG_CRD = {
    "plural": "dags",
    "singular": "dag",
    "kind": "Dag",
    "short_names": ["dag"],
    "columns": [
        ("Schedule", "string", ".status.schedule", "When it runs by itself", 0),
        ("Suspended", "boolean", ".spec.suspend", "Whether scheduled runs are held back", 0),
        (
            "Accepted",
            "string",
            ".status.conditions[?(@.type=='Accepted')].status",
            "Whether the Dag can run",
            0,
        ),
        ("Active", "integer", ".status.activeRuns", "Runs queued or running", 0),
        ("Last", "string", ".status.lastRunPhase", "How the last finished run ended", 0),
        ("Next", "string", ".status.nextScheduleTime", "Logical date of the next tick", 0),
        ("Owner", "string", ".spec.owner", "Who to ask", 0),
        ("Age", "date", ".metadata.creationTimestamp", "Time since the Dag was made", 0),
        ("Time Zone", "string", ".spec.timeZone", "Time zone of the schedule", 1),
        (
            "Message",
            "string",
            ".status.conditions[?(@.type=='Accepted')].message",
            "What is wrong with the Dag",
            1,
        ),
    ],
    "selectable": [],
    "rules": [
        {
            "rule": f"self.metadata.name.size() <= {MAX_DAG_NAME}",
            "message": f"a Dag's name has at most {MAX_DAG_NAME} characters: its runs and Pods are named after it",
        }
    ],
}
