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
    """The tasks of the Dag and its schedule. Editing it never changes a run that has started: each run keeps its
    revision."""

    description: Annotated[str, Field(max_length=1024)] | None = None
    """One line about the purpose of the Dag."""
    docs: Annotated[str, Field(max_length=65536)] | None = None
    """Longer documentation, in Markdown."""
    owner: Annotated[str, Field(max_length=253)] | None = None
    """Team or person to contact."""
    tags: (
        Annotated[
            list[Annotated[str, Field(min_length=1, max_length=100)]],
            Field(max_length=64, json_schema_extra=LIST_SET),
        ]
        | None
    ) = None
    """Tags for finding the Dag."""
    schedule: Schedule | None = None
    """When runs start: a cron expression of five fields (`"0 6 * * *"`), one of @once @continuous @hourly @daily
    @weekly @monthly @quarterly @yearly, or `{every: 15m}`. Without a schedule the Dag runs only when triggered."""
    schedules: Annotated[list[Schedule], Field(min_length=1, max_length=16, json_schema_extra=LIST_ATOMIC)] | None = (
        None
    )
    """Several schedules instead of one. A run starts at each tick of any of them; a tick that several share gets one
    run."""
    time_zone: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """IANA time zone of cron expressions, for example Europe/Berlin. Default: UTC."""
    start_date: Timestamp | None = None
    """No scheduled run has a logical date before this. Default: the creation time of the Dag."""
    end_date: Timestamp | None = None
    """No scheduled run has a logical date after this."""
    catchup: bool | None = None
    """Whether each missed tick (before the Dag was created, while it was suspended or the controller was down) gets a
    run; if false, only the latest does. Default: false."""
    starting_deadline: Duration | None = None
    """A tick whose run cannot start within this time is skipped."""
    suspend: bool | None = None
    """While true, no scheduled runs start; running runs continue. Default: false."""
    max_active_runs: Annotated[int, Field(ge=1, le=10000)] | None = None
    """Maximum number of running runs of this Dag; others wait as Queued. Runs of a Backfill do not count: the Backfill
    has its own limit. Default: 16; with @continuous always 1."""
    max_active_tasks: Annotated[int, Field(ge=1, le=100000)] | None = None
    """Maximum number of queued and running tasks of one run. Default: 16."""
    max_consecutive_failed_runs: Annotated[int, Field(ge=0, le=10000)] | None = None
    """Number of consecutive failed runs after which the Dag is suspended, with an Event; 0 for never. Default: 0."""
    max_map_length: Annotated[int, Field(ge=1, le=MAX_MAP_LENGTH)] | None = None
    """Maximum number of instances that forEach may create of one task or group; beyond it the task fails. Default:
    1024."""
    fail_fast: bool | None = None
    """Whether the first failed task fails the run: running tasks are stopped, other tasks are skipped, and only
    teardowns still run. Default: false."""
    run_timeout: Duration | None = None
    """Maximum duration of a run. When it expires, the run fails and its unfinished tasks are skipped."""
    successful_runs_history_limit: Annotated[int, Field(ge=0, le=100000)] | None = None
    """Number of succeeded runs to keep; older ones are deleted together with their Pods. Default: 25."""
    failed_runs_history_limit: Annotated[int, Field(ge=0, le=100000)] | None = None
    """Number of failed runs to keep; older ones are deleted together with their Pods. Default: 25."""
    result_protection: Literal["None", "Finalizer"] | None = None
    """Protection of the result of a try. None: a Pod that finished and was deleted while no controller watched is
    recreated. Finalizer: each Pod is kept until its result is in the run's status. Default: None."""
    pod_retention: Duration | None = None
    """Time for which the Pods (and their logs) of a finished run are kept, unless the run is deleted earlier. Default:
    1d."""
    params: Annotated[dict[str, Json], Field(max_length=128)] | None = None
    """Parameters of a run: a JSON Schema by name, with `default` for the value when none is given. A parameter without
    a default is required. A schema without its default is limited to 16 KiB and all values together to 256 KiB; a
    schema that is too expensive to check is rejected."""
    task_defaults: TaskDefaults | None = None
    """Settings for every task; a task's own fields take precedence."""
    pod_template: FreeObject | None = None
    """Other fields of every task's Pod (`metadata` and `spec`: volumes, node selector, service account, …), applied as
    a strategic merge patch; the task's container is named `task`."""
    groups: Annotated[list[TaskGroup], Field(max_length=500, json_schema_extra=list_map("name"))] | None = None
    """Groups of tasks; the field `group` of a task or group names the group it belongs to."""
    tasks: Annotated[list[Task], Field(min_length=1, max_length=2000, json_schema_extra=list_map("name"))]
    """The tasks, in any order; `dependsOn` defines the order in which they run."""

    @property
    def all_schedules(self) -> tuple[str | Every, ...]:
        """`schedule` or `schedules`, whichever is set; empty if the Dag runs only when triggered."""
        one = () if self.schedule is None else (self.schedule,)
        return (*one, *(self.schedules or ()))


class DagStatus(Model):
    """The state of the Dag as the controller observed it."""

    observed_generation: int | None = None
    """Generation of the spec that this status reflects."""
    conditions: Annotated[list[Condition], Field(json_schema_extra=list_map("type"))] | None = None
    """Accepted: whether the Dag is valid, and why not. Scheduled: whether its schedule starts runs, and why not. Ready:
    the same as Accepted, for generic tools."""
    revision: str | None = None
    """Content hash of the accepted spec; a run names its revision."""
    schedule: str | None = None
    """The schedule as text."""
    active_runs: int | None = None
    """Queued and Running runs, without those of Backfills."""
    last_schedule_time: Timestamp | None = None
    """Logical date of the last tick that got a run or was skipped."""
    next_schedule_time: Timestamp | None = None
    """Logical date of the next tick."""
    last_run: str | None = None
    """Name of the run that finished last."""
    last_run_phase: str | None = None
    """Phase of that run: Succeeded or Failed."""
    last_run_finish_time: Timestamp | None = None
    """When that run finished."""
    last_run_resource_version: str | None = None
    """resourceVersion of that run when it finished, if maxConsecutiveFailedRuns is set; runs that finish later have a
    later one."""
    consecutive_failed_runs: int | None = None
    """Number of consecutive failed runs, if maxConsecutiveFailedRuns is set: since the last success, and since the Dag
    was last resumed."""


class Dag(Model):
    """A Dag: tasks, their order, and when they run. Each of its runs is a DagRun."""

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
        ("Schedule", "string", ".status.schedule", "The schedule as text", 0),
        ("Suspended", "boolean", ".spec.suspend", "Whether the schedule is suspended", 0),
        (
            "Accepted",
            "string",
            ".status.conditions[?(@.type=='Accepted')].status",
            "Whether the Dag is valid",
            0,
        ),
        ("Active", "integer", ".status.activeRuns", "Queued and running runs", 0),
        ("Last", "string", ".status.lastRunPhase", "Phase of the last finished run", 0),
        ("Next", "string", ".status.nextScheduleTime", "Logical date of the next tick", 0),
        ("Owner", "string", ".spec.owner", "Team or person to contact", 0),
        ("Age", "date", ".metadata.creationTimestamp", "Time since creation", 0),
        ("Time Zone", "string", ".spec.timeZone", "Time zone of the schedule", 1),
        (
            "Message",
            "string",
            ".status.conditions[?(@.type=='Accepted')].message",
            "Why the Dag is not accepted",
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
