"""Phase, conditions and Events of a DagRun."""

from tradewind.api.reasons.section import Reason, Section

RUNS = Section(
    "Runs",
    "`status.reason` and the conditions Complete and Failed of a DagRun, and Events about it. A run that was never "
    "accepted has a reason of [the first table](#an-object-is-not-accepted).",
    {
        "DagDeleting": Reason("The run waits: its Dag is being deleted.", "Apply the Dag again, or delete the run."),
        "DagNotAccepted": Reason(
            "The run waits: its Dag is not accepted.", "Correct the Dag; see its condition Accepted."
        ),
        "DagNotFound": Reason(
            "The run waits: the namespace has no Dag of this name.", "Apply the Dag, or correct `spec.dag`."
        ),
        "Deadlock": Reason("No task of the run can start any more.", "Report a bug with the run's YAML, and rerun it."),
        "FailFast": Reason(
            "A task failed and `failFast` stopped the run; of a task: it was skipped for that.",
            "See the task that the message names; `tradewind rerun RUN --only-failed`.",
        ),
        "Failed": Reason(
            "The run failed; of a Backfill: runs of it failed or were deleted.",
            "See the message; of a Backfill `failedRuns`, and rerun them.",
        ),
        "InternalError": Reason(
            "The controller failed at this object. It retries, except for a task whose Pod was not created.",
            "See the controller's log, and report a bug.",
        ),
        "Killed": Reason(
            "`tradewind run` was killed while the run was under way.",
            "Run it again; give it more memory if that was why.",
        ),
        "Marked": Reason("A person marked the run or the task; the message says who and why."),
        "Queued": Reason(
            "The run waits for `maxActiveRuns`.", "Raise the limit, or wait for the runs that are under way."
        ),
        "RequestRejected": Reason(
            "What a person asked of the run (`spec.request`) was not carried out.", "See the message, and ask again."
        ),
        "Rerun": Reason("Tasks of the run run again, as a person asked."),
        "RevisionUnusable": Reason(
            "The run waits: the ControllerRevision that it is pinned to is gone or cannot be read.",
            "Delete the run, or rerun it with `--latest`.",
        ),
        "RunTimeout": Reason(
            "The run took longer than `runTimeout`; of a task: it was skipped or stopped for that.",
            "Raise `runTimeout`, or find the slow task with `tradewind status RUN`.",
        ),
        "Running": Reason("The run is under way."),
        "StatusTooLarge": Reason(
            "The state of the run does not fit into one object, even shortened.",
            "Split the Dag, or write large outputs to storage.",
        ),
        "StatusUnusable": Reason(
            "The run waits: somebody edited its status into something that cannot be read.",
            "Restore what was edited, or delete the run.",
        ),
        "Stopped": Reason(
            "A person stopped the run; of a task: it was stopped or skipped for that.",
            "`tradewind rerun RUN --only-failed` continues it.",
        ),
        "Succeeded": Reason("Every leaf task succeeded or was skipped."),
        "TaskFailed": Reason(
            "A leaf task failed or could not start; as an Event: a task failed for good.",
            "See the tasks that the message names: `tradewind logs RUN TASK`.",
        ),
        "TaskWaiting": Reason(
            "A task has waited to start for 30s; one Event for each reason.", "See the reason in the message."
        ),
        "TryFailed": Reason("A try failed and another follows.", "See the reason in the message."),
        "TryLost": Reason("A try was lost and another follows; it does not count.", "See the reason in the message."),
    },
)
