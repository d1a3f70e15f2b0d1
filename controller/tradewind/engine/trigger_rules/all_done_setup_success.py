"""AllDoneSetupSuccess, the default of teardowns: every upstream task has finished and a setup among them succeeded."""

from tradewind.engine.run.states import TaskState
from tradewind.engine.run.upstream import End, Run, UpstreamCounts, Verdict


def all_done_setup_success(upstream: UpstreamCounts) -> Verdict:
    """When all have finished: Run if a setup succeeded; Skipped if all setups were skipped; UpstreamFailed if none
    succeeded. Without upstream setups it equals AllDone."""
    if upstream.finished < upstream.total:
        return upstream.wait()
    if not upstream.setups or upstream.setups_succeeded:
        return Run()
    if upstream.setups_skipped == upstream.setups:
        return End(TaskState.SKIPPED, "every upstream setup was skipped")
    return End(TaskState.UPSTREAM_FAILED, "no upstream setup succeeded")
