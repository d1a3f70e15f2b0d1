"""OneDone: one upstream task succeeded or failed; the others may still be running."""

from tradewind.engine.run.states import TaskState
from tradewind.engine.run.upstream import End, Run, UpstreamCounts, Verdict


def one_done(upstream: UpstreamCounts) -> Verdict:
    """Run on the first Succeeded or Failed; Skipped when all have finished as Skipped or UpstreamFailed."""
    if upstream.succeeded or upstream.failed:
        return Run()
    if upstream.finished < upstream.total:
        return upstream.wait()
    return End(TaskState.SKIPPED, "no upstream task ran")
