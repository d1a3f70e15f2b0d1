"""NoneSkipped: every upstream task has finished and none was skipped."""

from tradewind.engine.run.states import TaskState
from tradewind.engine.run.upstream import End, Run, UpstreamCounts, Verdict


def none_skipped(upstream: UpstreamCounts) -> Verdict:
    """Run when all have finished; Skipped on the first skip."""
    if upstream.skipped:
        return End(TaskState.SKIPPED, "an upstream task was skipped")
    return Run() if upstream.finished == upstream.total else upstream.wait()
