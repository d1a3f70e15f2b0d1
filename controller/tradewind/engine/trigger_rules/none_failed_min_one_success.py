"""NoneFailedMinOneSuccess: no upstream task failed and one succeeded; what follows a branch uses it."""

from tradewind.engine.run.states import TaskState
from tradewind.engine.run.upstream import End, Run, UpstreamCounts, Verdict


def none_failed_min_one_success(upstream: UpstreamCounts) -> Verdict:
    """Run when none failed and one succeeded; UpstreamFailed on the first failure; Skipped if all are."""
    if upstream.failed or upstream.upstream_failed:
        return End(TaskState.UPSTREAM_FAILED, "a task upstream failed")
    if upstream.done < upstream.total:
        return upstream.wait()
    return Run() if upstream.succeeded else End(TaskState.SKIPPED, "every task upstream was skipped")
