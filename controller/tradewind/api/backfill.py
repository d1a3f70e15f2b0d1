"""The Backfill resource: runs of a Dag for a span of the past, with their progress in status."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from tradewind.api.meta import Condition, ObjectMeta
from tradewind.api.model import LIST_ATOMIC, Json, Model, Name, Timestamp, cel, list_map
from tradewind.api.names import MAX_LABEL
from tradewind.api.schedule import Schedule

DEFAULT_MAX_ACTIVE_RUNS = 10
MAX_TICKS = 10_000
"""The maximum number of ticks of one Backfill."""
MAX_TICKS_SHOWN = 1000
"""The maximum number of ticks that the status of a dry run lists."""
MAX_FAILED_SHOWN = 50
"""The maximum number of runs that status.failedRuns lists."""
UNFINISHED_PHASES = ("Pending", "Running", "Paused")

Reprocess = Literal["None", "Failed", "Completed"]
TickAction = Literal["Create", "Rerun", "Skip"]

# All but params: they may be any JSON, so CEL has no static type for them.
_FIXED = ("dag", "from", "to", "reprocess", "reverse", "dryRun")


class BackfillSpec(Model):
    """The runs to create. Only suspend and maxActiveRuns can be changed after creation."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                cel("self.from <= self.to", "from is after to", fieldPath=".from", reason="FieldValueInvalid"),
                cel(
                    " && ".join(
                        [
                            *(f"self.{field} == oldSelf.{field}" for field in _FIXED),
                            "has(dyn(self).params) == has(dyn(oldSelf).params)",
                            "(!has(dyn(self).params) || dyn(self).params == dyn(oldSelf).params)",
                        ]
                    ),
                    "only suspend and maxActiveRuns of a Backfill can be changed; create another Backfill instead",
                ),
            ]
        }
    )

    dag: Name
    """Name of the Dag, in the same namespace."""
    from_: Annotated[Timestamp, Field(alias="from")]
    """Start of the span, inclusive."""
    to: Timestamp
    """End of the span, inclusive. It cannot be in the future."""
    reprocess: Reprocess = "None"
    """Action for a tick that already has a run. None: leave the run alone. Failed: rerun it if it failed. Completed:
    rerun it if it finished, in any state. An unfinished run is always left alone."""
    max_active_runs: Annotated[int, Field(ge=1, le=1000)] = DEFAULT_MAX_ACTIVE_RUNS
    """Maximum number of active runs of this Backfill. They do not count toward maxActiveRuns of the Dag."""
    reverse: bool = False
    """Create the runs from newest to oldest."""
    params: Annotated[dict[str, Json], Field(max_length=128)] | None = None
    """Values of the Dag's params for all runs, by name. Omitted params take their default."""
    suspend: bool = False
    """While true, no new runs are created; existing runs continue."""
    dry_run: bool = False
    """Create no runs; only list the ticks in status."""


class BackfillTick(Model):
    """One tick of the schedule in a dry run."""

    logical_date: Timestamp
    """Logical date of the tick."""
    run: Name
    """Name of the tick's DagRun."""
    action: TickAction
    """Create: a run is created. Rerun: the existing run is rerun. Skip: the existing run is left alone."""
    reason: str | None = None
    """Why the existing run is left alone or rerun."""


class BackfillTimetable(Model):
    """The schedule at the start of the Backfill. Editing the Dag does not change the ticks of a Backfill."""

    schedules: Annotated[list[Schedule], Field(json_schema_extra=LIST_ATOMIC)]
    """The Dag's schedules."""
    time_zone: str | None = None
    """Time zone of cron expressions."""
    start: Timestamp
    """The moment from which `every` counts."""


class BackfillStatus(Model):
    """Progress of the Backfill."""

    observed_generation: int | None = None
    """Generation of the spec that this status reflects."""
    phase: Literal["Pending", "Running", "Paused", "Succeeded", "Failed"] | None = None
    """Pending (message says why), Running, Paused (suspend is true), Succeeded (all its runs succeeded) or Failed."""
    reason: str | None = None
    """One CamelCase word that says why the Backfill is in this phase."""
    message: str | None = None
    """The same for people."""
    conditions: Annotated[list[Condition], Field(json_schema_extra=list_map("type"))] | None = None
    """Accepted: whether the Backfill is valid, and why not. Complete: whether it succeeded. Failed: whether it
    failed."""
    done: str | None = None
    """Processed and total ticks, such as 3/12."""
    total: int | None = None
    """Total number of ticks in the span."""
    created: int | None = None
    """Runs that were created or rerun."""
    active: int | None = None
    """Unfinished runs of this Backfill."""
    succeeded: int | None = None
    """Runs of this Backfill that succeeded."""
    failed: int | None = None
    """Runs of this Backfill that failed, or were deleted before they finished."""
    skipped: int | None = None
    """Ticks whose existing run was left alone."""
    failed_runs: Annotated[list[str], Field(json_schema_extra=LIST_ATOMIC)] | None = None
    """Names of the first 50 failed runs."""
    active_runs: Annotated[list[str], Field(json_schema_extra=LIST_ATOMIC)] | None = None
    """Names of the unfinished runs."""
    position: Timestamp | None = None
    """Logical date of the last processed tick."""
    timetable: BackfillTimetable | None = None
    """The schedule that defines the ticks."""
    ticks: Annotated[list[BackfillTick], Field(json_schema_extra=LIST_ATOMIC)] | None = None
    """Dry run only: the first 1000 ticks, and the action for each."""
    started_at: Timestamp | None = None
    """When the Backfill started to create runs."""
    finished_at: Timestamp | None = None
    """When the Backfill finished."""


class Backfill(Model):
    """Runs of a Dag for the ticks of its schedule in a span of the past."""

    api_version: Literal["tradewind.dev/v1alpha1"]
    kind: Literal["Backfill"]
    metadata: ObjectMeta
    spec: BackfillSpec
    status: BackfillStatus | None = None


BACKFILL_CRD = {
    "plural": "backfills",
    "singular": "backfill",
    "kind": "Backfill",
    "short_names": ["bf"],
    "columns": [
        ("Dag", "string", ".spec.dag", "The Dag of the runs", 0),
        ("From", "string", ".spec.from", "Start of the span", 0),
        ("To", "string", ".spec.to", "End of the span", 0),
        ("Phase", "string", ".status.phase", "Pending, Running, Paused, Succeeded or Failed", 0),
        ("Done", "string", ".status.done", "Processed and total ticks", 0),
        ("Age", "date", ".metadata.creationTimestamp", "Time since creation", 0),
        ("Active", "integer", ".status.active", "Unfinished runs", 1),
        ("Failed", "integer", ".status.failed", "Failed runs", 1),
        ("Message", "string", ".status.message", "Why the Backfill is in this phase", 1),
    ],
    "selectable": [".spec.dag", ".status.phase"],
    "rules": [
        {
            "rule": f"self.metadata.name.size() <= {MAX_LABEL}",
            "message": f"a Backfill's name has at most {MAX_LABEL} characters: it is a label of its runs",
        }
    ],
}
