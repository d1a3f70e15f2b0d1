"""AllFailed: every upstream task failed."""

from tradewind.engine.run.states import TaskState
from tradewind.engine.run.upstream import End, Run, UpstreamCounts, Verdict


def all_failed(upstream: UpstreamCounts) -> Verdict:
    """Run when all are Failed or UpstreamFailed; Skipped on the first that succeeded or was skipped."""
    if upstream.succeeded or upstream.skipped:
        return End(TaskState.SKIPPED, "an upstream task did not fail")
    if upstream.finished < upstream.total:
        return upstream.wait()
    return Run()
