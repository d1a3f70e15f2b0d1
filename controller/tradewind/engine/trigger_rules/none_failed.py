"""NoneFailed: every upstream task succeeded or was skipped."""

from tradewind.engine.run.states import TaskState
from tradewind.engine.run.upstream import End, Run, UpstreamCounts, Verdict


def none_failed(upstream: UpstreamCounts) -> Verdict:
    """Run when all are Succeeded or Skipped; UpstreamFailed on the first failure."""
    if upstream.failed or upstream.upstream_failed:
        return End(TaskState.UPSTREAM_FAILED, "an upstream task failed")
    return Run() if upstream.finished == upstream.total else upstream.wait()
