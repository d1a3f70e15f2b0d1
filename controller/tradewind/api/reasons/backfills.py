"""Phase, conditions and Events of a Backfill."""

from tradewind.api.reasons.section import Reason, Section

BACKFILLS = Section(
    "Backfills",
    "`status.reason`, conditions and Events of a Backfill. DagNotFound, DagNotAccepted, DagDeleting, CreateFailed, "
    "Succeeded and Failed mean what they mean for [runs](#runs) and [Dags](#dags).",
    {
        "AnotherBackfill": Reason(
            "Another Backfill of the Dag is running; a Dag has one at a time.", "Wait for it, or delete it."
        ),
        "DependsOnPast": Reason("`reverse` is true and tasks depend on the previous run.", "Remove `reverse`."),
        "DryRun": Reason("`dryRun` is true: the status only lists what would happen."),
        "FutureDates": Reason("The span ends in the future.", "Set `to` to a time in the past."),
        "InvalidSpan": Reason("`from` is after `to`.", "Swap them."),
        "NoTicks": Reason("The schedule has no tick in the span.", "Correct the span or the schedule of the Dag."),
        "Paused": Reason("`spec.suspend` is true: no new runs are created.", "`tradewind backfill resume NAME`."),
        "Pending": Reason(
            "The controller has not reconciled the Backfill yet.",
            "If it persists, check that the controller is running.",
        ),
        "Started": Reason("The Backfill is creating its runs."),
        "TooManyTicks": Reason("The span has more ticks than the limit of a Backfill.", "Create several Backfills."),
    },
)
