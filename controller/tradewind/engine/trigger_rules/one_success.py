"""OneSuccess: one upstream task succeeded; the others may still be running."""

from tradewind.engine.run.states import TaskState
from tradewind.engine.run.upstream import End, Run, UpstreamCounts, Verdict


def one_success(upstream: UpstreamCounts) -> Verdict:
    """Run on the first success. When all have finished and none succeeded: Skipped if all were skipped, else
    UpstreamFailed."""
    if upstream.succeeded:
        return Run()
    if upstream.finished < upstream.total:
        return upstream.wait()
    if upstream.skipped == upstream.total:
        return End(TaskState.SKIPPED, "every task upstream was skipped")
    return End(TaskState.UPSTREAM_FAILED, "no upstream task succeeded")
