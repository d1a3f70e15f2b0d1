"""AllSuccess, the default: every upstream task succeeded."""

from tradewind.engine.run.states import TaskState
from tradewind.engine.run.upstream import End, Run, UpstreamCounts, Verdict


def all_success(upstream: UpstreamCounts) -> Verdict:
    """Run when all succeeded; UpstreamFailed on the first failure; else Skipped on the first skip.

    A removed task counts as neither: it is no longer one of the tasks that must succeed.
    """
    if upstream.failed or upstream.upstream_failed:
        return End(TaskState.UPSTREAM_FAILED, "an upstream task failed")
    if upstream.skipped:
        return End(TaskState.SKIPPED, "an upstream task was skipped")
    if upstream.finished < upstream.total:
        return upstream.wait()
    return Run()
