"""The Backfill resource: runs of a Dag for a span of time that has passed; its status says how far they are."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from tradewind.api.meta import Condition, ObjectMeta
from tradewind.api.model import LIST_ATOMIC, Json, Model, Name, Timestamp, cel, list_map
from tradewind.api.names import MAX_LABEL
from tradewind.api.schedule import Schedule

DEFAULT_MAX_ACTIVE_RUNS = 10
MAX_TICKS = 10_000
"""Ticks that one Backfill may have."""
MAX_TICKS_SHOWN = 1000
"""Ticks that the status of a dry run lists."""
MAX_FAILED_SHOWN = 50
"""Runs that status.failedRuns names."""
UNFINISHED_PHASES = ("Pending", "Running", "Paused")

Reprocess = Literal["None", "Failed", "Completed"]
TickAction = Literal["Create", "Rerun", "Skip"]

# But for params, which may be any JSON: CEL has no type for them and must look them up as it runs.
_FIXED = ("dag", "from", "to", "reprocess", "reverse", "dryRun")


class BackfillSpec(Model):
    """Which runs to make. Only suspend and maxActiveRuns can be changed once made."""

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
                    "only suspend and maxActiveRuns of a Backfill can be changed; delete it and make another one",
                ),
            ]
        }
    )

    dag: Name
    """Name of the Dag, in the same namespace."""
    from_: Annotated[Timestamp, Field(alias="from")]
    """First moment of the span: a tick of the schedule at this very moment counts."""
    to: Timestamp
    """Last moment of the span: a tick at this very moment counts. It cannot be in the future."""
    reprocess: Reprocess = "None"
    """What becomes of a tick that has a run already. None: that run is left alone. Failed: it is run again if it
    failed. Completed: it is run again if it has ended, however it did. One that has not ended is always left alone."""
    max_active_runs: Annotated[int, Field(ge=1, le=1000)] = DEFAULT_MAX_ACTIVE_RUNS
    """How many runs of this Backfill may be running at once. They do not count in maxActiveRuns of the Dag."""
    reverse: bool = False
    """Whether the newest run is made first."""
    params: Annotated[dict[str, Json], Field(max_length=128)] | None = None
    """Values of the Dag's params for all runs, by name; those not given take their default."""
    suspend: bool = False
    """While true no further run is made; runs that were made go on."""
    dry_run: bool = False
    """Whether to make no run and only list the ticks in status."""


class BackfillTick(Model):
    """One tick of the schedule in a dry run."""

    logical_date: Timestamp
    """The moment of the tick."""
    run: Name
    """Name of its DagRun."""
    action: TickAction
    """Create: it gets a run. Rerun: its run is run again. Skip: its run is left alone."""
    reason: str | None = None
    """Why its run is left alone or run again."""


class BackfillTimetable(Model):
    """The schedule as it was when the Backfill started; editing the Dag does not change the ticks of a Backfill."""

    schedules: Annotated[list[Schedule], Field(json_schema_extra=LIST_ATOMIC)]
    """The Dag's schedules."""
    time_zone: str | None = None
    """Time zone in which cron expressions are read."""
    start: Timestamp
    """The moment that `every` counts from."""


class BackfillStatus(Model):
    """How far the backfill is."""

    observed_generation: int | None = None
    """Generation of the spec that this status speaks of."""
    phase: Literal["Pending", "Running", "Paused", "Succeeded", "Failed"] | None = None
    """Pending (waits, message says for what), Running, Paused (suspend is true), Succeeded (every run that it made
    did) or Failed."""
    reason: str | None = None
    """Why it is in this phase, in one CamelCase word."""
    message: str | None = None
    """Why, for people."""
    conditions: Annotated[list[Condition], Field(json_schema_extra=list_map("type"))] | None = None
    """Accepted: whether it can be done, or what is wrong with it. Complete: whether it has succeeded. Failed: whether
    it has failed."""
    done: str | None = None
    """Ticks that are dealt with, of all: 3/12."""
    total: int | None = None
    """Ticks of the schedule in the span."""
    created: int | None = None
    """Runs that were made, or asked to run again."""
    active: int | None = None
    """Those of them that have not ended."""
    succeeded: int | None = None
    """Those that succeeded."""
    failed: int | None = None
    """Those that failed, or were deleted before they ended."""
    skipped: int | None = None
    """Ticks that had a run already, which was left alone."""
    failed_runs: Annotated[list[str], Field(json_schema_extra=LIST_ATOMIC)] | None = None
    """Names of the runs that failed, the first 50."""
    active_runs: Annotated[list[str], Field(json_schema_extra=LIST_ATOMIC)] | None = None
    """Names of the runs that have not ended."""
    position: Timestamp | None = None
    """Logical date of the last tick that was dealt with."""
    timetable: BackfillTimetable | None = None
    """The schedule whose ticks are run."""
    ticks: Annotated[list[BackfillTick], Field(json_schema_extra=LIST_ATOMIC)] | None = None
    """Of a dry run: its ticks, the first 1000, and what would become of each."""
    started_at: Timestamp | None = None
    """When it began to make runs."""
    finished_at: Timestamp | None = None
    """When it ended."""


class Backfill(Model):
    """Runs of a Dag for the ticks of its schedule in a span of time that has passed."""

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
        ("Dag", "string", ".spec.dag", "The Dag it runs", 0),
        ("From", "string", ".spec.from", "First moment of the span", 0),
        ("To", "string", ".spec.to", "Last moment of the span", 0),
        ("Phase", "string", ".status.phase", "Pending, Running, Paused, Succeeded or Failed", 0),
        ("Done", "string", ".status.done", "Ticks dealt with, of all", 0),
        ("Age", "date", ".metadata.creationTimestamp", "Time since it was made", 0),
        ("Active", "integer", ".status.active", "Runs that have not ended", 1),
        ("Failed", "integer", ".status.failed", "Runs that failed", 1),
        ("Message", "string", ".status.message", "Why it is in this phase", 1),
    ],
    "selectable": [".spec.dag", ".status.phase"],
    "rules": [
        {
            "rule": f"self.metadata.name.size() <= {MAX_LABEL}",
            "message": f"a Backfill's name has at most {MAX_LABEL} characters: it is a label of its runs",
        }
    ],
}
