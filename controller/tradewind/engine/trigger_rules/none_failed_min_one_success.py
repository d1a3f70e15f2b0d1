"""NoneFailedMinOneSuccess: no upstream task failed and one succeeded; for tasks that join the paths of a branch."""

from tradewind.engine.run.states import TaskState
from tradewind.engine.run.upstream import End, Run, UpstreamCounts, Verdict


def none_failed_min_one_success(upstream: UpstreamCounts) -> Verdict:
    """Run when all have finished, none failed and one succeeded; UpstreamFailed on the first failure; Skipped if all
    are."""
    if upstream.failed or upstream.upstream_failed:
        return End(TaskState.UPSTREAM_FAILED, "an upstream task failed")
    if upstream.finished < upstream.total:
        return upstream.wait()
    return Run() if upstream.succeeded else End(TaskState.SKIPPED, "every task upstream was skipped")
