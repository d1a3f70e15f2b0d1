"""AllDoneMinOneSuccess: every upstream task has ended, none was skipped and one succeeded."""

from tradewind.engine.run.states import TaskState
from tradewind.engine.run.upstream import End, Run, UpstreamCounts, Verdict


def all_done_min_one_success(upstream: UpstreamCounts) -> Verdict:
    """Run when all have ended and one succeeded; Skipped on the first skip; UpstreamFailed if none succeeded."""
    if upstream.skipped:
        return End(TaskState.SKIPPED, "a task upstream was skipped")
    if upstream.done < upstream.total:
        return upstream.wait()
    return Run() if upstream.succeeded else End(TaskState.UPSTREAM_FAILED, "no task upstream succeeded")
