"""Conditions and Events of a Dag."""

from tradewind.api.reasons.section import Reason, Section

DAGS = Section(
    "Dags",
    "Conditions Accepted, Ready and Scheduled of a Dag, and Events about it.",
    {
        "CreateFailed": Reason(
            "The API server rejected a run or did not respond. The controller retries.",
            "See the message; usual causes are a quota, an admission webhook, or an unavailable API server.",
        ),
        "Deleting": Reason("The Dag is being deleted; no new runs start."),
        "Ended": Reason("The schedule has no tick left before `endDate`.", "Change or remove `endDate`."),
        "NameTaken": Reason(
            "Another object has the name of this tick's run, or of this try's Pod.", "Delete or rename that object."
        ),
        "NoSchedule": Reason(
            "The Dag has no schedule, or only @continuous, which a Backfill cannot use.",
            "Set `schedule`, or start runs with `tradewind trigger`.",
        ),
        "NotAccepted": Reason("The Dag is not accepted; no new runs start.", "See its condition Accepted."),
        "OldRun": Reason(
            "A run of an earlier Dag with the same name still exists for the tick.",
            "Wait until it is deleted; if it persists, check that run for finalizers.",
        ),
        "RunFailed": Reason("A run of the Dag failed.", "See the run that the Event names: `tradewind status RUN`."),
        "Scheduled": Reason("The schedule of the Dag starts runs; the message has the next tick."),
        "Suspended": Reason(
            "`spec.suspend` of the Dag or the run is true: no new runs, or no new tasks, start.",
            "`tradewind resume NAME`.",
        ),
        "TooManyFailedRuns": Reason(
            "`maxConsecutiveFailedRuns` runs failed in a row; the Dag was suspended.",
            "Fix the cause, then `tradewind resume DAG`.",
        ),
        "Valid": Reason("The object is accepted."),
    },
)
