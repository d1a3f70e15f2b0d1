"""One task of a Dag."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from tradewind.api.mapping import Combine, Sources
from tradewind.api.model import (
    LIST_ATOMIC,
    LIST_SET,
    Duration,
    ExitCode,
    FreeObject,
    IntOrString,
    Model,
    Name,
    ObjectName,
    Text,
    cel,
    list_map,
)
from tradewind.api.sensor import Sensor, WaitFor
from tradewind.api.short_circuit import ShortCircuit

TriggerRuleName = Literal[
    "AllSuccess",
    "AllFailed",
    "AllDone",
    "AllDoneMinOneSuccess",
    "AllDoneSetupSuccess",
    "OneSuccess",
    "OneFailed",
    "OneDone",
    "NoneFailed",
    "NoneFailedMinOneSuccess",
    "NoneSkipped",
    "AllSkipped",
    "Always",
]
WeightRuleName = Literal["Downstream", "Upstream", "Absolute"]


class EnvVar(Model):
    """One environment variable, as in a Pod."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    """Name of the variable."""
    value: Annotated[str, Field(max_length=32768)] | None = None
    """Value of the variable; a template, rendered when the task starts."""
    value_from: FreeObject | None = None
    """Source of the value, as in a Pod: `secretKeyRef`, `configMapKeyRef`, `fieldRef`, `resourceFieldRef`."""


class Resources(Model):
    """CPU, memory and other resources of the task's container, as in a Pod."""

    requests: dict[str, IntOrString] | None = None
    """Resources that the scheduler reserves for the task, for example `{cpu: 100m, memory: 256Mi}`."""
    limits: dict[str, IntOrString] | None = None
    """Maximum resources of the task; a container that uses more memory is killed with reason OOMKilled."""


class Retries(Model):
    """Number and delay of the retries of a failed try."""

    limit: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Maximum number of retries; a task has at most limit + 1 tries. Default: 0."""
    delay: Duration | None = None
    """Time between the end of a failed try and its retry. Default: 5m."""
    backoff: Annotated[float, Field(ge=1, le=100)] | None = None
    """Factor by which the delay grows with each retry. With backoff the delay has jitter, so that many retries do not
    start at once."""
    max_delay: Duration | None = None
    """Maximum delay with backoff. Default, and at most: 24h."""
    on_lost: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Number of times that a try that was lost through no fault of the task (evicted, preempted, its node lost, its Pod
    deleted) is repeated without using up a retry. Default: 3."""


class Teardown(Model):
    """A task that undoes what its setups did, whatever happens in between."""

    setups: Annotated[list[Name], Field(min_length=1, max_length=1024, json_schema_extra=LIST_SET)]
    """The setup tasks that this one undoes. It depends on them, even if dependsOn does not list them."""
    on_failure_fail_run: bool | None = None
    """Whether the run fails if this task fails. Default: false."""


class TaskSettings(Model):
    """Fields that `taskDefaults` may set for every task of the Dag."""

    image: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """Container image. Required on a cluster for a task that runs something; `tradewind run` does not use it. As
    anywhere in Kubernetes, an image with the tag `latest` or without a tag is pulled for each try, any other only if
    the node does not have it; set `imagePullPolicy` in podTemplate to change that."""
    interpreter: Annotated[list[Text], Field(min_length=1, max_length=16, json_schema_extra=LIST_ATOMIC)] | None = None
    """Program that runs `script`, for example `[python3]` or `[bash, -e]`. The option with which it takes code (`-c`,
    or `-e` for node, perl, ruby and Rscript) is added if it is missing. Default: `[sh, -c]`."""
    env: Annotated[list[EnvVar], Field(max_length=256, json_schema_extra=list_map("name"))] | None = None
    """Environment variables. Values are templates."""
    env_from: Annotated[list[FreeObject], Field(max_length=64, json_schema_extra=LIST_ATOMIC)] | None = None
    """Whole ConfigMaps or Secrets as environment variables, as in a Pod: `[{secretRef: {name: warehouse}}]`."""
    working_dir: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """Working directory of the task. With `tradewind run` a directory under a volume mount is a local directory."""
    resources: Resources | None = None
    """Resource requests and limits of the task's container."""
    retries: Retries | None = None
    """Number and delay of the retries of a failed try. Default: no retries."""
    timeout: Duration | None = None
    """Maximum duration of a try, counted from the start of its container. When it expires, the try is stopped, fails
    and is retried."""
    queued_timeout: Duration | None = None
    """Maximum time that a try waits for its container to start. When it expires, the try fails with the Pod's own
    reason. If set, it counts all waiting except for scheduling gates. Default: 10m, counting only the time in which the
    Pod's own spec prevents the start (an image that cannot be pulled, a missing Secret or volume), not the time waiting
    for a node with room."""
    skip_exit_codes: Annotated[list[ExitCode], Field(max_length=32, json_schema_extra=LIST_SET)] | None = None
    """Exit codes that mean "nothing to do": the task is Skipped. Default: [99]."""
    fail_exit_codes: Annotated[list[ExitCode], Field(max_length=32, json_schema_extra=LIST_SET)] | None = None
    """Exit codes that are not retried: the task fails at once, whatever its retries."""
    success_after_deletion: bool | None = None
    """Whether exit code 0 is a success even if the task's Pod was being deleted when it finished (its node was drained,
    it was preempted, or a person deleted it), for a task that finishes its work on SIGTERM. Otherwise such a try is
    lost and repeated up to retries.onLost times. Default: false."""
    pool: Name | None = None
    """Pool whose slots the task holds while it is queued or running. Default: the pool `default`."""
    pool_slots: Annotated[int, Field(ge=1, le=10000)] | None = None
    """Number of slots that one try holds. Default: 1."""
    priority_weight: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] | None = None
    """Tasks with a higher weight get slots first. Default: 1."""
    weight_rule: WeightRuleName | None = None
    """Method to compute the weight of a task. Downstream: its own weight plus those of all downstream tasks. Upstream:
    its own plus those of all upstream tasks. Absolute: only its own. Default: Downstream."""
    max_active_per_dag: Annotated[int, Field(ge=1, le=100000)] | None = None
    """Maximum number of queued and running instances of this task in all runs of the Dag. Default: no limit."""
    max_active_per_run: Annotated[int, Field(ge=1, le=100000)] | None = None
    """Maximum number of queued and running instances of this task in one run. Default: no limit."""
    depends_on_past: bool | None = None
    """Whether the task waits until the same task of the previous run succeeded or was skipped. Default: false."""
    wait_for_downstream: bool | None = None
    """Whether the task also waits for its direct downstream tasks in the previous run; implies dependsOnPast. Default:
    false."""
    connections: Annotated[list[ObjectName], Field(max_length=64, json_schema_extra=LIST_SET)] | None = None
    """Names of Secrets whose entries become environment variables of the task, with names from both: `PASSWORD` of
    `my-warehouse` is `MY_WAREHOUSE_PASSWORD`. A task's own list replaces the list of taskDefaults."""
    pod_template: FreeObject | None = None
    """Other fields of the task's Pod (`metadata` and `spec`), applied as a strategic merge patch to the Dag's
    podTemplate and to the fields that Tradewind sets; the task's container is named `task`."""


class TaskDefaults(TaskSettings):
    """Settings for every task of the Dag; a task's own fields take precedence. `retries` and `resources` merge field by
    field, `env` by name."""


class Task(TaskSettings):
    """One task: what it runs, what it depends on, and how it is retried."""

    # No CEL rule checks for unknown dependencies: for 2,000 tasks its estimated cost is over 100 times the budget (60
    # tasks of 60 dependencies each would fit). Our validation finds them, and cycles, which CEL cannot express.
    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                cel(
                    "[has(self.command), has(self.script), has(self.noop) && self.noop, has(self.waitFor)]"
                    ".filter(one, one).size() <= 1",
                    "a task has only one of command, script, noop: true and waitFor",
                ),
                cel(
                    "!has(self.dependsOn) || !(self.name in self.dependsOn)",
                    "a task cannot depend on itself",
                ),
                cel(
                    "!has(self.teardown) || !has(self.setup) || !self.setup",
                    "a task is either a setup or a teardown, not both",
                ),
                cel(
                    "!has(self.waitFor) || !has(self.sensor) || !(has(self.sensor.mode) || has(self.sensor.interval)"
                    " || has(self.sensor.retryExitCode))",
                    "waitFor creates no Pods: of sensor only timeout and softFail apply",
                ),
            ]
        }
    )

    name: Name
    """Name of the task, unique in the Dag; a DNS label."""
    description: Text | None = None
    """Purpose of the task, in a line or two."""
    command: Annotated[list[Text], Field(min_length=1, max_length=1024, json_schema_extra=LIST_ATOMIC)] | None = None
    """Program and its first arguments, instead of the image's entrypoint; each is a template."""
    args: (
        Annotated[
            list[Annotated[str, Field(max_length=32768)]],
            Field(max_length=1024, json_schema_extra=LIST_ATOMIC),
        ]
        | None
    ) = None
    """Arguments of the command, the script or the image's entrypoint; each is a template."""
    script: Annotated[str, Field(min_length=1, max_length=98304)] | None = None
    """Code for the interpreter; a template."""
    noop: bool | None = None
    """Runs nothing and succeeds at once, without a Pod; joins dependencies."""
    wait_for: WaitFor | None = None
    """Runs nothing and succeeds, without a Pod, when a time arrives, a run of another Dag finishes, or a Kubernetes
    object reaches a state. `sensor` may limit the time."""
    group: Name | None = None
    """Name of the group that the task belongs to."""
    depends_on: Annotated[list[Name], Field(max_length=1024, json_schema_extra=LIST_SET)] | None = None
    """Upstream tasks and groups; triggerRule says in which states they must finish. A task that depends on a group
    waits for the group's leaf tasks, except teardowns."""
    trigger_rule: TriggerRuleName | None = None
    """States in which upstream tasks must finish for this task to start. AllSuccess: all succeeded. AllFailed: all
    failed. AllDone: all finished. AllDoneMinOneSuccess: all finished, none skipped, at least one succeeded.
    AllDoneSetupSuccess: all finished, and at least one of the setups succeeded. OneSuccess, OneFailed: as soon as one
    did. OneDone: as soon as one succeeded or failed. NoneFailed: all succeeded or were skipped.
    NoneFailedMinOneSuccess: the same, and at least one succeeded. NoneSkipped: all finished, none skipped. AllSkipped:
    all were skipped. Always: at once. Default: AllSuccess; for a teardown AllDoneSetupSuccess."""
    for_each: Sources | None = None
    """Creates an instance of the task for each item: `{items: […]}`, `{param: name}`, `{output: task.field}`, or a list
    of them. Templates see `item` and `index`."""
    combine: Combine | None = None
    """Combination of several sources of forEach. Product: every combination. Zip: position by position. Default:
    Product."""
    branch: bool | None = None
    """Whether the task's output chooses the direct downstream tasks or groups that run: a name or a list of names. The
    other direct downstream tasks are skipped, unless they are also downstream of a chosen one."""
    short_circuit: ShortCircuit | None = None
    """Whether an output of false skips all downstream tasks. `{respectTriggerRules: true}` skips only the direct
    downstream tasks."""
    sensor: Sensor | None = None
    """Runs the task repeatedly until its condition is met; with waitFor, limits the time to wait."""
    setup: bool | None = None
    """Whether the task is a setup, which a teardown undoes."""
    teardown: Teardown | None = None
    """Makes the task a teardown: it runs after all tasks between its setups and itself have finished, in any state, if
    a setup succeeded."""
