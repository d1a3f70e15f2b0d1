"""What one task of a Dag may say."""

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
    """Its value; a template: `{{ ds }}` and the like are filled in when the task starts."""
    value_from: FreeObject | None = None
    """Where the value comes from, as in a Pod: `secretKeyRef`, `configMapKeyRef`, `fieldRef`, `resourceFieldRef`."""


class Resources(Model):
    """CPU, memory and other resources of the task's container, as in a Pod."""

    requests: dict[str, IntOrString] | None = None
    """What the scheduler keeps free for the task, for example `{cpu: 100m, memory: 256Mi}`."""
    limits: dict[str, IntOrString] | None = None
    """What the task may use at most; more memory than this ends it as OOMKilled."""


class Retries(Model):
    """When and how often a failed try is followed by another."""

    limit: Annotated[int, Field(ge=0, le=1000)] | None = None
    """How often a failed task is tried again; a task has at most limit + 1 tries. Default: 0."""
    delay: Duration | None = None
    """Time between the end of a failed try and the next. Default: 5m."""
    backoff: Annotated[float, Field(ge=1, le=100)] | None = None
    """Factor by which the delay grows with each try. With it the delay is jittered, so that many do not come back at
    once."""
    max_delay: Duration | None = None
    """The longest delay that backoff may reach. Default, and at most: 24h."""
    on_lost: Annotated[int, Field(ge=0, le=1000)] | None = None
    """How often a try that was lost through no fault of the task (evicted, preempted, its node gone, its Pod deleted)
    is made again without using up a try. Default: 3."""


class Teardown(Model):
    """A task that undoes what setups did, whatever happened in between."""

    setups: Annotated[list[Name], Field(min_length=1, max_length=1024, json_schema_extra=LIST_SET)]
    """The setup tasks that this one undoes; it comes after them, whether dependsOn says so or not."""
    on_failure_fail_run: bool | None = None
    """Whether the run fails when this task does. Default: false."""


class TaskSettings(Model):
    """The fields that `taskDefaults` may set for every task of the Dag."""

    image: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """Container image. Required for a task that runs something on the cluster; `tradewind run` does not use it.
    As anywhere in Kubernetes, one with the tag `latest` or none is looked for anew for each try, any other only where
    the node does not have it; `imagePullPolicy` in podTemplate says otherwise."""
    interpreter: Annotated[list[Text], Field(min_length=1, max_length=16, json_schema_extra=LIST_ATOMIC)] | None = None
    """Program that runs `script`, for example `[python3]` or `[bash, -e, -c]`. One that is named alone gets the option
    it takes code with (`-c`, or `-e` for node, perl, ruby and Rscript). Default: `[sh, -c]`."""
    env: Annotated[list[EnvVar], Field(max_length=256, json_schema_extra=list_map("name"))] | None = None
    """Environment variables. Values are templates."""
    env_from: Annotated[list[FreeObject], Field(max_length=64, json_schema_extra=LIST_ATOMIC)] | None = None
    """Whole ConfigMaps or Secrets as environment variables, as in a Pod: `[{secretRef: {name: warehouse}}]`."""
    working_dir: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """Folder the task starts in. In `tradewind run` a folder under a volume mount is a local folder."""
    resources: Resources | None = None
    """Resource requests and limits of the task's container."""
    retries: Retries | None = None
    """When and how often a failed try is followed by another. Default: no retry."""
    timeout: Duration | None = None
    """Longest time a try may run, counted from the start of its container; then it is stopped, fails and is retried."""
    queued_timeout: Duration | None = None
    """Longest time a try may wait for its container to start; then it fails with the Pod's own reason. One that is set
    counts all of that time, but for scheduling gates. Default: 10m, of which only the time counts in which the Pod's
    own spec keeps it (an image that cannot be pulled, a missing Secret or volume), not that for a node with room."""
    skip_exit_codes: Annotated[list[ExitCode], Field(max_length=32, json_schema_extra=LIST_SET)] | None = None
    """Exit codes that mean "nothing to do": the task ends Skipped. Default: [99]."""
    fail_exit_codes: Annotated[list[ExitCode], Field(max_length=32, json_schema_extra=LIST_SET)] | None = None
    """Exit codes after which another try is pointless: the task fails at once, whatever its retries."""
    success_after_deletion: bool | None = None
    """Whether exit code 0 counts also where the task's Pod was to go before it ended (its node was drained, it was
    preempted, somebody deleted it): for a task that finishes its work when it gets SIGTERM. Without it such a try is
    lost, and made again as retries.onLost says. Default: false."""
    pool: Name | None = None
    """Pool whose slots the task takes while it is queued or running. Default: the pool `default`."""
    pool_slots: Annotated[int, Field(ge=1, le=10000)] | None = None
    """How many slots of the pool one try takes. Default: 1."""
    priority_weight: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] | None = None
    """Tasks of a higher weight get slots first. Default: 1."""
    weight_rule: WeightRuleName | None = None
    """What the weight of a task is. Downstream: its own and that of all tasks after it. Upstream: its own and that of
    all tasks before it. Absolute: its own. Default: Downstream."""
    max_active_per_dag: Annotated[int, Field(ge=1, le=100000)] | None = None
    """How many instances of this task may be queued or running at once, in all runs of the Dag. Default: no limit."""
    max_active_per_run: Annotated[int, Field(ge=1, le=100000)] | None = None
    """How many instances of this task may be queued or running at once in one run. Default: no limit."""
    depends_on_past: bool | None = None
    """Whether the task waits until it has succeeded or was skipped in the previous run. Default: false."""
    wait_for_downstream: bool | None = None
    """Whether the task waits, besides, for the tasks right after it in the previous run; implies dependsOnPast.
    Default: false."""
    connections: Annotated[list[ObjectName], Field(max_length=64, json_schema_extra=LIST_SET)] | None = None
    """Names of Secrets whose entries the task gets as environment variables, named after both: `PASSWORD` of
    `my-warehouse` is `MY_WAREHOUSE_PASSWORD`. A task's own list takes the place of the one in taskDefaults."""
    pod_template: FreeObject | None = None
    """Anything else of the task's Pod (`metadata` and `spec`), merged over the Dag's podTemplate and over what
    Tradewind sets, as `kubectl patch` (strategic merge) would; the task's container is named `task`."""


class TaskDefaults(TaskSettings):
    """Settings for every task of the Dag; a task's own fields win. `retries` and `resources` merge field by field,
    `env` by name."""


class Task(TaskSettings):
    """One task: what runs, after what, and how often it is tried."""

    # CEL cannot see to unknown dependencies: for 2,000 tasks the rule is estimated at over 100 times the budget (it
    # fits up to 60 tasks of 60 dependencies each). Our validation finds them, and cycles, which CEL cannot express.
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
                    "waitFor makes no Pods: of sensor only timeout and softFail apply to it",
                ),
            ]
        }
    )

    name: Name
    """Name of the task, unique in the Dag; a DNS label."""
    description: Text | None = None
    """What the task is for, in a line or two."""
    command: Annotated[list[Text], Field(min_length=1, max_length=1024, json_schema_extra=LIST_ATOMIC)] | None = None
    """Program and its first arguments, instead of the image's entrypoint; each a template."""
    args: (
        Annotated[
            list[Annotated[str, Field(max_length=32768)]],
            Field(max_length=1024, json_schema_extra=LIST_ATOMIC),
        ]
        | None
    ) = None
    """Arguments of the command, of the script or of the image's entrypoint; each a template."""
    script: Annotated[str, Field(min_length=1, max_length=98304)] | None = None
    """Code that the interpreter runs; a template."""
    noop: bool | None = None
    """Runs nothing and succeeds at once, without a Pod: a point where edges meet."""
    wait_for: WaitFor | None = None
    """Runs nothing and succeeds, without a Pod, when what it waits for has come: a time, a run of another Dag, the
    state of a Kubernetes object. `sensor` may say for how long."""
    group: Name | None = None
    """The group that the task is in, by its name in `groups`."""
    depends_on: Annotated[list[Name], Field(max_length=1024, json_schema_extra=LIST_SET)] | None = None
    """Tasks and groups that come before this one; triggerRule says how they must have ended. Of a group those tasks
    count that no other task of the group comes after, teardowns excepted."""
    trigger_rule: TriggerRuleName | None = None
    """How the tasks of dependsOn must have ended for this one to start. AllSuccess: all succeeded. AllFailed: all
    failed. AllDone: all ended. AllDoneMinOneSuccess: all ended, none skipped, one succeeded. AllDoneSetupSuccess: all
    ended, and of the setups among them one succeeded. OneSuccess, OneFailed: the first that did. OneDone: the first
    that succeeded or failed. NoneFailed: all succeeded or were skipped. NoneFailedMinOneSuccess: the same, and one
    succeeded. NoneSkipped: all ended, none skipped. AllSkipped: all were skipped. Always: at once. Default: AllSuccess;
    of a teardown AllDoneSetupSuccess."""
    for_each: Sources | None = None
    """Makes an instance of the task for each item: `{items: […]}`, `{param: name}`, `{output: task.field}`, or a list
    of them. Templates see `item` and `index`."""
    combine: Combine | None = None
    """How several sources of forEach make items. Product: every combination. Zip: position by position. Default:
    Product."""
    branch: bool | None = None
    """Whether the task's output names what to follow: a task or group right after it, or a list of them. The other
    tasks right after it are skipped, unless they come after a chosen one too."""
    short_circuit: ShortCircuit | None = None
    """Whether an output of false ends the work here: what comes after the task is skipped. `{respectTriggerRules:
    true}` skips only the tasks right after it."""
    sensor: Sensor | None = None
    """Runs the task again and again until what it looks for is there; beside waitFor, says for how long."""
    setup: bool | None = None
    """Whether the task prepares something that a teardown undoes."""
    teardown: Teardown | None = None
    """Makes the task run after everything between its setups and itself, however that ended, once a setup
    succeeded."""
