"""Tasks that wait: `sensor` asks again and again with a Pod, `waitFor` needs none."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from tradewind.api.model import LIST_SET, Duration, ExitCode, Model, Name, Offset, Text, cel

SensorMode = Literal["Poke", "Reschedule"]


class Sensor(Model):
    """A task that is run again and again until what it looks for is there. Exit code 0: it is there; any other: not
    yet."""

    mode: SensorMode | None = None
    """Whether the task keeps its slots between pokes (Poke) or gives them back until the next (Reschedule). Each poke
    is a short Pod in both. Default: Poke."""
    interval: Duration | None = None
    """Time from the end of a poke to the next. Default: 60s."""
    timeout: Duration | None = None
    """Longest time to wait, counted from the first poke; then the task fails, without a retry. Default: 7d."""
    soft_fail: bool | None = None
    """Whether the task is Skipped, not Failed, when the time is up. Default: false."""
    retry_exit_code: ExitCode | None = None
    """The one exit code that means "not yet"; any other but 0 then is a failure of the try, as in every task. Default:
    every exit code but 0 means "not yet"."""


class WaitForDagRun(Model):
    """A run of a Dag of the same namespace, or one task of it."""

    dag: Name
    """Name of the Dag."""
    task: Name | None = None
    """Name of a task of that Dag. Default: the run as a whole."""
    logical_date: Text | None = None
    """Logical date of the run to wait for, as RFC 3339; a template. Default: that of this run."""
    offset: Offset | None = None
    """Added to the logical date; `-1h` for the run an hour before."""
    window: Duration | None = None
    """Any run will do whose logical date is at most this long before the one waited for. Default: only that one."""
    states: (
        Annotated[
            list[Literal["Succeeded", "Failed", "Skipped", "UpstreamFailed"]],
            Field(min_length=1, max_length=4, json_schema_extra=LIST_SET),
        ]
        | None
    ) = None
    """How it may have ended; a run as a whole is Succeeded or Failed. Default: [Succeeded]."""


class WaitForCondition(Model):
    """A condition in the status of an object."""

    type: Annotated[str, Field(min_length=1, max_length=316)]
    """Name of the condition, for example Ready or Complete."""
    status: Literal["True", "False", "Unknown"] | None = None
    """What it has to be. Default: "True"."""


class WaitForObject(Model):
    """A Kubernetes object of the same namespace: one of its conditions, or the value of a field."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                cel(
                    "has(self.condition) != has(self.jsonPath) && has(self.jsonPath) == has(self.value)",
                    "give either condition, or jsonPath and value",
                ),
            ]
        }
    )

    api_version: Annotated[str, Field(min_length=1, max_length=316)]
    """Group and version of the object, for example batch/v1."""
    kind: Annotated[str, Field(min_length=1, max_length=63)]
    """Kind of the object, for example Job."""
    name: Annotated[str, Field(min_length=1, max_length=4096)]
    """Name of the object; a template."""
    condition: WaitForCondition | None = None
    """A condition that has to hold."""
    json_path: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """A field of the object, for example `.status.phase`, as in `kubectl wait`; simple paths of names and positions."""
    value: Annotated[str, Field(max_length=4096)] | None = None
    """The text that the field has to have; numbers, true and false as JSON writes them."""


class WaitFor(Model):
    """What is waited for: exactly one of time, duration, dagRun and object."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                cel(
                    "[has(self.time), has(self.duration), has(self.dagRun), has(self.object)]"
                    ".filter(one, one).size() == 1",
                    "waitFor has exactly one of time, duration, dagRun and object",
                ),
            ]
        }
    )

    time: Text | None = None
    """A moment, as RFC 3339; a template: `{{ ds }}T18:00:00Z`."""
    duration: Duration | None = None
    """This long after the end of the run's data interval."""
    dag_run: WaitForDagRun | None = None
    """A run of another Dag, or one of its tasks."""
    object: WaitForObject | None = None
    """A Kubernetes object of the same namespace."""
