"""AllSkipped: every upstream task was skipped."""

from tradewind.engine.run.states import TaskState
from tradewind.engine.run.upstream import End, Run, UpstreamCounts, Verdict


def all_skipped(upstream: UpstreamCounts) -> Verdict:
    """Run when all are Skipped; Skipped on the first that was not."""
    if upstream.succeeded or upstream.failed or upstream.upstream_failed:
        return End(TaskState.SKIPPED, "an upstream task was not skipped")
    return Run() if upstream.finished == upstream.total else upstream.wait()
