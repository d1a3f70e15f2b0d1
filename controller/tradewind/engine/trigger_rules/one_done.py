"""OneDone: one upstream task ran to its end; the others may still run."""

from tradewind.engine.run.states import TaskState
from tradewind.engine.run.upstream import End, Run, UpstreamCounts, Verdict


def one_done(upstream: UpstreamCounts) -> Verdict:
    """Run on the first Succeeded or Failed; Skipped when all have ended as Skipped or UpstreamFailed."""
    if upstream.succeeded or upstream.failed:
        return Run()
    if upstream.done < upstream.total:
        return upstream.wait()
    return End(TaskState.SKIPPED, "no task upstream ran")
