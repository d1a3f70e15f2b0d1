"""What one task of a Dag may say."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from tradewind.api.model import (
    LIST_ATOMIC,
    LIST_SET,
    Duration,
    FreeObject,
    IntOrString,
    Model,
    Name,
    cel,
    list_map,
)

ExitCode = Annotated[int, Field(ge=1, le=255)]
Text = Annotated[str, Field(max_length=4096)]


TriggerRuleName = Literal[
    "AllSuccess",
    "AllFailed",
    "AllDone",
    "AllDoneMinOneSuccess",
    "OneSuccess",
    "OneFailed",
    "OneDone",
    "NoneFailed",
    "NoneFailedMinOneSuccess",
    "NoneSkipped",
    "AllSkipped",
    "Always",
]


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


class TaskSettings(Model):
    """The fields that `taskDefaults` may set for every task of the Dag."""

    image: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """Container image. Required for a task that runs something on the cluster; `tradewind run` does not use it.
    An image that the node has is not pulled again, unless podTemplate says `imagePullPolicy: Always`."""
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
    """Longest time a try may wait for its container to start (image pull, free node); then it fails with the Pod's own
    reason. Default: 10m."""
    skip_exit_codes: Annotated[list[ExitCode], Field(max_length=32, json_schema_extra=LIST_SET)] | None = None
    """Exit codes that mean "nothing to do": the task ends Skipped. Default: [99]."""
    fail_exit_codes: Annotated[list[ExitCode], Field(max_length=32, json_schema_extra=LIST_SET)] | None = None
    """Exit codes after which another try is pointless: the task fails at once, whatever its retries."""
    pool: Name | None = None
    """Pool whose slots the task takes while it is queued or running. Default: the pool `default`."""
    pool_slots: Annotated[int, Field(ge=1, le=10000)] | None = None
    """How many slots of the pool one try takes. Default: 1."""
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
                    "[has(self.command), has(self.script), has(self.noop) && self.noop].filter(one, one).size() <= 1",
                    "a task has only one of command, script and noop: true",
                ),
                cel(
                    "!has(self.dependsOn) || !(self.name in self.dependsOn)",
                    "a task cannot depend on itself",
                ),
            ]
        }
    )

    name: Name
    """Name of the task, unique in the Dag; a DNS label."""
    description: Text | None = None
    """What the task is for, in a line or two."""
    command: Annotated[list[Text], Field(min_length=1, max_length=1024, json_schema_extra=LIST_ATOMIC)] | None = None
    """Program and its first arguments, instead of the image's entrypoint. Not a template: use args."""
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
    depends_on: Annotated[list[Name], Field(max_length=1024, json_schema_extra=LIST_SET)] | None = None
    """Tasks that come before this one; triggerRule says how they must have ended."""
    trigger_rule: TriggerRuleName | None = None
    """How the tasks of dependsOn must have ended for this one to start. AllSuccess: all succeeded. AllFailed: all
    failed. AllDone: all ended. AllDoneMinOneSuccess: all ended, none skipped, one succeeded. OneSuccess, OneFailed: the
    first that did. OneDone: the first that succeeded or failed. NoneFailed: all succeeded or were skipped.
    NoneFailedMinOneSuccess: the same, and one succeeded. NoneSkipped: all ended, none skipped. AllSkipped: all were
    skipped. Always: at once. Default: AllSuccess."""
