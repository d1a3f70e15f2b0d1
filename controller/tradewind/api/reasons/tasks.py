"""A task waits, is skipped, or fails."""

from tradewind.api.reasons.section import Reason, Section

WAITING = Section(
    "A task waits to start",
    "`status.tasks[].reason` of a task that is Scheduled or Queued, the message of its run, and the Event TaskWaiting. "
    "`tradewind explain RUN TASK` says it in a sentence. A task that waits for slots has a message and no reason.",
    {
        "ApiUnavailable": Reason(
            "The API server did not answer, or refused for a reason of its own. The controller retries.",
            "See the message; check the API server.",
        ),
        "EarlierTryRuns": Reason(
            "The Pod of an earlier try of this task has not finished.", "Wait; if its node is gone, delete the Pod."
        ),
        "NamespaceTerminating": Reason("The namespace is being deleted, or is gone."),
        "QuotaExceeded": Reason(
            "A ResourceQuota of the namespace is full. The task starts when there is room.",
            "Raise the quota, or use a Pool of its size.",
        ),
        "Unauthorized": Reason(
            "The API server does not accept the controller's credentials.", "Check the controller's service account."
        ),
    },
)

WAITING_FOR = Section(
    "A task waits for something (waitFor)",
    "`status.tasks[].reason` of a task with `waitFor` that is Running or UpForReschedule; the last two fail it.",
    {
        "ConditionNotMet": Reason("The object's condition does not have the status yet."),
        "ObjectNotFound": Reason("The object does not exist yet.", "Check its kind, name and namespace."),
        "RunNotFound": Reason(
            "The other Dag has no such run yet.", "Check `logicalDate`, `offset` and `window`; or trigger that run."
        ),
        "ValueNotMet": Reason("The object's field does not have the value yet."),
        "WaitsForRun": Reason("The other Dag's run or task has not finished."),
        "NoSuchKind": Reason(
            "The cluster has no such kind, or it has no namespace.",
            "Correct `apiVersion` and `kind`, or install its CRD.",
        ),
        "WaitedForEnded": Reason(
            "The other Dag's run or task finished in a state that `states` does not list.",
            "Rerun it; retries of this task then look again.",
        ),
    },
)

SKIPPED = Section(
    "A task does not run",
    "`status.tasks[].reason` of a task that is Skipped, UpstreamFailed or Removed. FailFast, RunTimeout, Stopped and "
    "Marked are in [runs](#runs).",
    {
        "Cleared": Reason("The try was stopped because its task is to run again."),
        "NoItems": Reason(
            "`forEach` has no items, or its source did not run.", "Nothing, if that can be; else see the source."
        ),
        "NotFollowed": Reason("A branch did not choose this task."),
        "Removed": Reason("A run continues with a newer Dag, which has no such task."),
        "ShortCircuit": Reason("A short circuit task upstream had the output false."),
        "SkipExitCode": Reason("The container finished with an exit code of `skipExitCodes`."),
        "TriggerRule": Reason(
            "Its upstream tasks finished such that `triggerRule` cannot be met any more.",
            "See the upstream tasks that the message names.",
        ),
    },
)

FAILED = Section(
    "A try fails",
    "`status.tasks[].reason` of a task that is Failed or UpForRetry, `status.tasks[].tries[].reason`, the label "
    "`reason` of tradewind_tries_failed_total, and the Events TryFailed and TaskFailed. InternalError is in "
    "[runs](#runs); InvalidTemplate, InvalidPodTemplate and InvalidName are in "
    "[the first table](#an-object-is-not-accepted).",
    {
        "Error": Reason(
            "The container finished with an exit code other than 0.", "See its log: `tradewind logs RUN TASK`."
        ),
        "DeadlineExceeded": Reason(
            "The Pod ran longer than its own `activeDeadlineSeconds`.", "Raise it in `podTemplate`, or use `timeout`."
        ),
        "FailExitCode": Reason(
            "The container finished with an exit code of `failExitCodes`, which is not retried.", "See its log."
        ),
        "Forbidden": Reason(
            "The namespace does not allow the Pod, or the controller may not read what the task waits for.",
            "See the message: Pod Security, a quota that demands limits, a ServiceAccount, `waitFor.resources`.",
        ),
        "InitContainerFailed": Reason("An init container of `podTemplate` failed.", "See the message and its log."),
        "InvalidBranch": Reason("A branch chose what is not right after it.", "Output a name that the message lists."),
        "InvalidForEach": Reason(
            "The value to map over is no list or object, is missing, or has more items than `maxMapLength`.",
            "See the output of the source; raise `maxMapLength`.",
        ),
        "InvalidOutput": Reason(
            "The output is not JSON, is larger than 4096 bytes, or is not what a branch or short circuit outputs.",
            "Correct what the task writes to TRADEWIND_OUTPUT; write large data to storage.",
        ),
        "InvalidPod": Reason("The API server says that the Pod is invalid.", "Correct the task or `podTemplate`."),
        "NotOnThisMachine": Reason(
            "`tradewind run` cannot do what the task needs, such as waiting for a Kubernetes object.",
            "Run the Dag on a cluster.",
        ),
        "OOMKilled": Reason("The container used more memory than its limit.", "Raise `resources.limits.memory`."),
        "OutputTooLarge": Reason(
            "The outputs of all tasks of the run exceed 256 KiB together.", "Write large data to storage."
        ),
        "QueuedTimeout": Reason(
            "The Pod did not start within `queuedTimeout`, and gave no reason.",
            "See the Pod's Events; raise the limit.",
        ),
        "SensorTimeout": Reason(
            "What the sensor looks for did not come within its timeout.",
            "Raise `sensor.timeout`, or see why it is late.",
        ),
        "StartError": Reason(
            "The container could not be started: mostly its command does not exist in the image.",
            "Correct `command`, `interpreter` or the image.",
        ),
        "ContainerCannotRun": Reason("The container could not be started.", "Correct `command` or the image."),
        "Timeout": Reason("The container ran longer than `timeout` and was stopped.", "Raise `timeout`."),
    },
)
