"""Conditions and Events of a Dag."""

from tradewind.api.reasons.section import Reason, Section

DAGS = Section(
    "Dags",
    "Conditions Accepted, Ready and Scheduled of a Dag, and Events about it.",
    {
        "CreateFailed": Reason(
            "The API server refused a run, or did not answer. The controller retries.",
            "See the message: mostly a quota, an admission webhook or an API server that is away.",
        ),
        "Deleting": Reason("The Dag is being deleted and makes no runs."),
        "Ended": Reason("The schedule has no tick left before `endDate`.", "Move or remove `endDate`."),
        "NameTaken": Reason(
            "Another object has the name of this tick's run, or of this try's Pod.", "Delete or rename that object."
        ),
        "NoSchedule": Reason(
            "The Dag has no schedule, or only @continuous where a Backfill needs ticks.",
            "Set `schedule`, or start runs with `tradewind trigger`.",
        ),
        "NotAccepted": Reason("The Dag is not accepted, so it makes no runs.", "See its condition Accepted."),
        "OldRun": Reason(
            "The run that an earlier Dag of this name made of the tick is not deleted yet.",
            "Wait; if it stays, look for a finalizer on that run.",
        ),
        "RunFailed": Reason("A run of the Dag failed.", "See the run that the Event names: `tradewind status RUN`."),
        "Scheduled": Reason("The Dag makes runs by its schedule; the message has the next tick."),
        "Suspended": Reason(
            "`spec.suspend` of the Dag or the run is true: no new runs, or no new tasks, start.",
            "`tradewind resume NAME`.",
        ),
        "TooManyFailedRuns": Reason(
            "As many runs in a row failed as `maxConsecutiveFailedRuns` says; the Dag is suspended.",
            "Fix the cause, then `tradewind resume DAG`.",
        ),
        "Valid": Reason("The object is accepted."),
    },
)
