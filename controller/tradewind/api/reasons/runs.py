"""Phase, conditions and Events of a DagRun."""

from tradewind.api.reasons.section import Reason, Section

RUNS = Section(
    "Runs",
    "`status.reason` and the conditions Complete and Failed of a DagRun, and Events about it. A run that was never "
    "accepted has a reason of [the first table](#an-object-is-not-accepted).",
    {
        "DagDeleting": Reason(
            "The run is waiting: its Dag is being deleted.", "Apply the Dag again, or delete the run."
        ),
        "DagNotAccepted": Reason(
            "The run is waiting: its Dag is not accepted.", "Correct the Dag; see its condition Accepted."
        ),
        "DagNotFound": Reason(
            "The run is waiting: its Dag does not exist in the namespace.", "Apply the Dag, or correct `spec.dag`."
        ),
        "Deadlock": Reason("No task of the run can start.", "Report a bug with the run's YAML, and rerun it."),
        "FailFast": Reason(
            "A task failed and `failFast` stopped the run; for a task: it was skipped because of that.",
            "See the task that the message names; `tradewind rerun RUN --only-failed`.",
        ),
        "Failed": Reason(
            "The run failed; for a Backfill: some of its runs failed or were deleted.",
            "See the message; for a Backfill, rerun the runs in `status.failedRuns`.",
        ),
        "InternalError": Reason(
            "The controller failed to reconcile the object. It retries, except for a task whose Pod was not created.",
            "See the controller's log, and report a bug.",
        ),
        "Killed": Reason(
            "`tradewind run` was killed during the run.",
            "Run it again, with more memory if that was the cause.",
        ),
        "Marked": Reason("A person marked the run or the task; the message says who and why."),
        "Queued": Reason(
            "The run is waiting because of `maxActiveRuns`.", "Raise the limit, or wait for the running runs."
        ),
        "RequestRejected": Reason(
            "A request (`spec.request`) was rejected.", "See the message, and send a corrected request."
        ),
        "Rerun": Reason("A person requested a rerun of tasks."),
        "RevisionUnusable": Reason(
            "The run is waiting: its ControllerRevision was deleted or cannot be parsed.",
            "Delete the run, or rerun it with `--latest`.",
        ),
        "RunTimeout": Reason(
            "The run took longer than `runTimeout`; for a task: it was skipped or stopped because of that.",
            "Raise `runTimeout`, or find the slow task with `tradewind status RUN`.",
        ),
        "Running": Reason("The run is in progress."),
        "StatusTooLarge": Reason(
            "The state of the run is too large for one object, even when shortened.",
            "Split the Dag, or write large outputs to storage.",
        ),
        "StatusUnusable": Reason(
            "The run is waiting: its status was edited and cannot be parsed.",
            "Restore the status, or delete the run.",
        ),
        "Stopped": Reason(
            "A person stopped the run; for a task: it was stopped or skipped because of that.",
            "`tradewind rerun RUN --only-failed` continues it.",
        ),
        "Succeeded": Reason("Every leaf task succeeded or was skipped."),
        "TaskFailed": Reason(
            "A leaf task failed or could not start; as an Event: a task failed and is not retried.",
            "See the tasks that the message names: `tradewind logs RUN TASK`.",
        ),
        "TaskWaiting": Reason(
            "A task has waited for 30s to start; there is one Event per reason.", "See the reason in the message."
        ),
        "TryFailed": Reason("A try failed and will be retried.", "See the reason in the message."),
        "TryLost": Reason(
            "A try was lost and will be repeated, without using up a retry.", "See the reason in the message."
        ),
    },
)
