"""Phase, conditions and Events of a Backfill."""

from tradewind.api.reasons.section import Reason, Section

BACKFILLS = Section(
    "Backfills",
    "`status.reason`, conditions and Events of a Backfill. DagNotFound, DagNotAccepted, DagDeleting, CreateFailed, "
    "Succeeded and Failed mean what they mean for [runs](#runs) and [Dags](#dags).",
    {
        "AnotherBackfill": Reason(
            "Another Backfill of the Dag is under way; a Dag has one at a time.", "Wait for it, or delete it."
        ),
        "DependsOnPast": Reason("`reverse` is true and tasks depend on the run before theirs.", "Remove `reverse`."),
        "DryRun": Reason("`dryRun` is true: the status lists what would happen, and nothing does."),
        "FutureDates": Reason("The span goes beyond now.", "End it in the past."),
        "InvalidSpan": Reason("`from` is after `to`.", "Exchange them."),
        "NoTicks": Reason("The schedule has no tick in the span.", "Correct the span, or the schedule of the Dag."),
        "Paused": Reason("`spec.suspend` is true: no further runs are made.", "`tradewind backfill resume NAME`."),
        "Pending": Reason(
            "The controller has not looked at the Dag yet.", "If it stays, check that the controller is running."
        ),
        "Started": Reason("The Backfill makes its runs."),
        "TooManyTicks": Reason("The span has more ticks than one Backfill takes.", "Make several Backfills."),
    },
)
