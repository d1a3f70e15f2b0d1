"""A task waits, is skipped, or fails."""

from tradewind.api.reasons.section import Reason, Section

WAITING = Section(
    "A task waits to start",
    "`status.tasks[].reason` of a task that is Scheduled or Queued, the message of its run, and the Event TaskWaiting. "
    "`tradewind explain RUN TASK` explains it in a sentence. A task that waits for slots has a message but no reason.",
    {
        "ApiUnavailable": Reason(
            "The API server did not respond, or rejected the Pod for another reason. The controller retries.",
            "See the message; check the API server.",
        ),
        "EarlierTryRuns": Reason(
            "The Pod of an earlier try of this task has not finished.", "Wait; if its node is lost, delete the Pod."
        ),
        "NamespaceTerminating": Reason("The namespace is being deleted or does not exist."),
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
    "`status.tasks[].reason` of a task with `waitFor` that is Running or UpForReschedule; the last two fail the task.",
    {
        "ConditionNotMet": Reason("The condition of the object does not have the expected status yet."),
        "ObjectNotFound": Reason("The object does not exist yet.", "Check its kind, name and namespace."),
        "RunNotFound": Reason(
            "The other Dag has no matching run yet.", "Check `logicalDate`, `offset` and `window`, or trigger that run."
        ),
        "ValueNotMet": Reason("The field of the object does not have the expected value yet."),
        "WaitsForRun": Reason("The run or task of the other Dag has not finished."),
        "NoSuchKind": Reason(
            "The cluster has no such kind, or the kind is not namespaced.",
            "Correct `apiVersion` and `kind`, or install its CRD.",
        ),
        "WaitedForEnded": Reason(
            "The run or task of the other Dag finished in a state that `states` does not list.",
            "Rerun it; a retry of this task then checks again.",
        ),
    },
)

SKIPPED = Section(
    "A task does not run",
    "`status.tasks[].reason` of a task that is Skipped, UpstreamFailed or Removed. FailFast, RunTimeout, Stopped and "
    "Marked are in [runs](#runs).",
    {
        "Cleared": Reason("The try was stopped because its task was rerun."),
        "NoItems": Reason(
            "`forEach` has no items, or its source did not run.",
            "No action needed if that is expected; otherwise check the source.",
        ),
        "NotFollowed": Reason("A branch did not choose this task."),
        "Removed": Reason("The run was rerun with a newer Dag that does not have the task."),
        "ShortCircuit": Reason("An upstream short circuit task had the output false."),
        "SkipExitCode": Reason("The container finished with an exit code of `skipExitCodes`."),
        "TriggerRule": Reason(
            "Its upstream tasks finished in states with which `triggerRule` cannot be met.",
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
            "See the message: Pod Security, a quota that requires limits, a ServiceAccount, `waitFor.resources`.",
        ),
        "InitContainerFailed": Reason("An init container of `podTemplate` failed.", "See the message and its log."),
        "InvalidBranch": Reason(
            "A branch chose a task that is not directly downstream.", "Output one of the names in the message."
        ),
        "InvalidForEach": Reason(
            "The value to map over is missing, not a list or object, or has more items than `maxMapLength`.",
            "Check the output of the source, or raise `maxMapLength`.",
        ),
        "InvalidOutput": Reason(
            "The output is not JSON, is larger than 4096 bytes, or is not valid for a branch or short circuit.",
            "Correct the output that the task writes to TRADEWIND_OUTPUT; write large data to storage.",
        ),
        "InvalidPod": Reason("The API server rejected the Pod as invalid.", "Correct the task or `podTemplate`."),
        "NotOnThisMachine": Reason(
            "`tradewind run` does not support the task, such as waiting for a Kubernetes object.",
            "Run the Dag on a cluster.",
        ),
        "OOMKilled": Reason("The container used more memory than its limit.", "Raise `resources.limits.memory`."),
        "OutputTooLarge": Reason(
            "The outputs of all tasks of the run exceed 256 KiB together.", "Write large data to storage."
        ),
        "QueuedTimeout": Reason(
            "The Pod did not start within `queuedTimeout`, without a reason.",
            "See the Pod's Events, or raise the limit.",
        ),
        "SensorTimeout": Reason(
            "The condition of the sensor was not met within its timeout.",
            "Raise `sensor.timeout`, or find out why it is late.",
        ),
        "StartError": Reason(
            "The container could not be started, usually because its command does not exist in the image.",
            "Correct `command`, `interpreter` or the image.",
        ),
        "ContainerCannotRun": Reason("The container could not be started.", "Correct `command` or the image."),
        "Timeout": Reason("The container ran longer than `timeout` and was stopped.", "Raise `timeout`."),
    },
)
