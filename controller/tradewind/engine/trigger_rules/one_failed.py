"""OneFailed: one upstream task failed; the others may still be running."""

from tradewind.engine.run.states import TaskState
from tradewind.engine.run.upstream import End, Run, UpstreamCounts, Verdict


def one_failed(upstream: UpstreamCounts) -> Verdict:
    """Run on the first Failed or UpstreamFailed; Skipped when all have finished and none failed."""
    if upstream.failed or upstream.upstream_failed:
        return Run()
    if upstream.finished < upstream.total:
        return upstream.wait()
    return End(TaskState.SKIPPED, "no upstream task failed")
