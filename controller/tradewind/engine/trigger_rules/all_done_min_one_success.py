"""AllDoneMinOneSuccess: every upstream task has finished, none was skipped and at least one succeeded."""

from tradewind.engine.run.states import TaskState
from tradewind.engine.run.upstream import End, Run, UpstreamCounts, Verdict


def all_done_min_one_success(upstream: UpstreamCounts) -> Verdict:
    """Run when all have finished and one succeeded; Skipped on the first skip; UpstreamFailed if none succeeded."""
    if upstream.skipped:
        return End(TaskState.SKIPPED, "an upstream task was skipped")
    if upstream.finished < upstream.total:
        return upstream.wait()
    return Run() if upstream.succeeded else End(TaskState.UPSTREAM_FAILED, "no upstream task succeeded")
