"""AllDone: every upstream task has ended, however."""

from tradewind.engine.run.upstream import Run, UpstreamCounts, Verdict


def all_done(upstream: UpstreamCounts) -> Verdict:
    """Run when all have ended."""
    return Run() if upstream.done == upstream.total else upstream.wait()
