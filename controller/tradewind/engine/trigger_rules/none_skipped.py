"""NoneSkipped: every upstream task has ended and none was skipped."""

from tradewind.engine.run.states import TaskState
from tradewind.engine.run.upstream import End, Run, UpstreamCounts, Verdict


def none_skipped(upstream: UpstreamCounts) -> Verdict:
    """Run when all have ended; Skipped on the first skip."""
    if upstream.skipped:
        return End(TaskState.SKIPPED, "a task upstream was skipped")
    return Run() if upstream.done == upstream.total else upstream.wait()
