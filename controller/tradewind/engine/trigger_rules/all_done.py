"""AllDone: every upstream task has finished, in any state."""

from tradewind.engine.run.upstream import Run, UpstreamCounts, Verdict


def all_done(upstream: UpstreamCounts) -> Verdict:
    """Run when all have finished."""
    return Run() if upstream.finished == upstream.total else upstream.wait()
