"""Tasks that wait: `sensor` pokes with Pods, `waitFor` needs none."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from tradewind.api.model import LIST_SET, Duration, ExitCode, Model, Name, Offset, Text, cel

SensorMode = Literal["Poke", "Reschedule"]


class Sensor(Model):
    """Runs the task repeatedly until its condition is met. Exit code 0 means that it is met; any other code means "not
    yet"."""

    mode: SensorMode | None = None
    """Whether the task keeps its slots between pokes (Poke) or releases them (Reschedule). Each poke is a short Pod in
    both modes. Default: Poke."""
    interval: Duration | None = None
    """Time between the end of a poke and the next poke. Default: 60s."""
    timeout: Duration | None = None
    """Maximum time to wait, counted from the first poke. When it expires, the task fails without a retry. Default:
    7d."""
    soft_fail: bool | None = None
    """Whether the task is Skipped instead of Failed when the timeout expires. Default: false."""
    retry_exit_code: ExitCode | None = None
    """The exit code that means "not yet"; any other code except 0 then fails the try, as in every task. Default: every
    exit code except 0 means "not yet"."""


class WaitForDagRun(Model):
    """A run of another Dag of the same namespace, or one of its tasks."""

    dag: Name
    """Name of the Dag."""
    task: Name | None = None
    """Name of a task of that Dag. Default: the whole run."""
    logical_date: Text | None = None
    """Logical date of the run to wait for, as RFC 3339; a template. Default: the logical date of this run."""
    offset: Offset | None = None
    """Offset added to the logical date, such as `-1h` for the run an hour before."""
    window: Duration | None = None
    """Accept any run whose logical date is at most this long before the expected one. Default: only the exact logical
    date."""
    states: (
        Annotated[
            list[Literal["Succeeded", "Failed", "Skipped", "UpstreamFailed"]],
            Field(min_length=1, max_length=4, json_schema_extra=LIST_SET),
        ]
        | None
    ) = None
    """Final states to accept; a whole run is Succeeded or Failed. Default: [Succeeded]."""


class WaitForCondition(Model):
    """A condition in the status of an object."""

    type: Annotated[str, Field(min_length=1, max_length=316)]
    """Name of the condition, for example Ready or Complete."""
    status: Literal["True", "False", "Unknown"] | None = None
    """Expected status. Default: "True"."""


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
    """A condition that must have the expected status."""
    json_path: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """A field of the object, for example `.status.phase`, as in `kubectl wait`; simple paths of names and positions."""
    value: Annotated[str, Field(max_length=4096)] | None = None
    """Expected value of the field as text; numbers, true and false as in JSON."""


class WaitFor(Model):
    """Condition to wait for: exactly one of time, duration, dagRun and object."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                cel(
                    "[has(self.time), has(self.duration), has(self.dagRun), has(self.object)]"
                    ".filter(one, one).size() == 1",
                    "give exactly one of time, duration, dagRun and object",
                ),
            ]
        }
    )

    time: Text | None = None
    """A time as RFC 3339; a template, such as `{{ ds }}T18:00:00Z`."""
    duration: Duration | None = None
    """Time after the end of the run's data interval."""
    dag_run: WaitForDagRun | None = None
    """A run of another Dag, or one of its tasks."""
    object: WaitForObject | None = None
    """A Kubernetes object of the same namespace."""
